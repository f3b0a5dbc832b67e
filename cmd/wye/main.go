// Command wye is a self-hosted model router for Envoy: the sidecar, its control
// plane, and the tools to check, explain, train and evaluate what it decides.
// This package is flags and wiring only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a call that the command line cannot mean.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "wye:", err)
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "wye",
		Short: "A model router for Envoy: each prompt to the model that should serve it",
		Long: `Wye picks, for each prompt, the model that should serve it, at the quality,
cost and data-zone terms of your policy, and has Envoy carry the request there.

Exit codes: 0 success, 1 failure, 2 a command line that makes no sense.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
	})
	root.AddGroup(
		&cobra.Group{ID: groupServe, Title: "Serve:"},
		&cobra.Group{ID: groupFleet, Title: "One policy for many sidecars:"},
		&cobra.Group{ID: groupPolicy, Title: "Policies and decisions:"},
		&cobra.Group{ID: groupPredictor, Title: "The predictor:"},
	)
	grouped := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	grouped(groupServe, newDemoCommand(), newUpCommand(), newServeCommand(), newEnvoyCommand(), newRenderCommand())
	grouped(groupFleet, newControlCommand(), newFleetCommand())
	grouped(groupPolicy, newCheckCommand(), newExplainCommand(), newAuditCommand())
	grouped(groupPredictor, newTrainCommand(), newEvalCommand(), newCalibrateCommand())
	root.AddCommand(newVersionCommand())
	return root
}

const (
	groupServe     = "serve"
	groupFleet     = "fleet"
	groupPolicy    = "policy"
	groupPredictor = "predictor"
)

// usage makes a wrong number of arguments a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{fmt.Errorf("%w (see %s --help)", err, cmd.CommandPath())}
		}
		return nil
	}
}
