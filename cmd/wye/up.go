package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"wye/internal/sidecar"
	"wye/internal/stack"
)

func newUpCommand() *cobra.Command {
	c := stack.Config{Sidecar: sidecar.Config{}}
	var logs logFlags
	var envoyLog bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run Wye and an Envoy together on this machine",
		Long: `Up runs the whole system in the foreground until SIGINT or SIGTERM: the sidecar,
an Envoy that takes its configuration from it and, with --fake-providers, a
stand-in for every provider, so that nothing leaves this machine and no key is
needed. Without them requests go to the backends of the policy.

Envoy is found as wye envoy path says.`,
		Example: `  wye up --fake-providers
  OPENAI_API_KEY=... wye up --policy policy.yaml`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logs.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := checkLimits(&c.Sidecar); err != nil {
				return err
			}
			if err := checkAddresses(map[string]string{"listen": c.Sidecar.Listen, "admin": c.Sidecar.Admin}); err != nil {
				return err
			}
			if err := checkDecisionLog(&c.Sidecar); err != nil {
				return err
			}
			c.Sidecar.Logger, c.Sidecar.Version, c.Sidecar.Settled = log, wyeVersion(), returnMemory
			c.Sidecar.DecisionLog.Logger = log
			c.Sidecar.OTLP.Logger, c.Sidecar.OTLP.Version = log, c.Sidecar.Version
			c.Progress = func(message string) { log.Info().Msg(message) }
			if envoyLog {
				c.EnvoyLog = cmd.ErrOrStderr()
			}
			s, err := stack.Start(cmd.Context(), c)
			if err != nil {
				return err
			}
			settleMemory()
			printUsage(cmd.OutOrStdout(), s)
			failed := s.Failed(cmd.Context())
			log.Info().Msg("stopping")
			return errors.Join(failed, s.Stop())
		},
	}
	cmd.Flags().StringVarP(&c.Sidecar.PolicyFile, "policy", "p", "", "policy `file`, watched for changes (default: the embedded policy)")
	cmd.Flags().StringVar(&c.Sidecar.Listen, "listen", defaultListen, "`address` at which Envoy takes client requests; port 0 picks a free one")
	cmd.Flags().StringVar(&c.Sidecar.Admin, "admin", defaultAdmin, "`address` of the admin page: health, metrics, policy state, usage (empty: none)")
	cmd.Flags().DurationVar(&c.Sidecar.Grace, "grace", 0, "how `long` Envoy keeps what a new policy no longer has (default: until its last attempts have begun)")
	addLimitFlags(cmd, &c.Sidecar)
	addDecisionLogFlags(cmd, &c.Sidecar)
	addOTLPFlags(cmd, &c.Sidecar)
	cmd.Flags().BoolVar(&c.FakeProviders, "fake-providers", false, "put a fake provider in the place of every backend")
	cmd.Flags().DurationVar(&c.Pace, "fake-pace", 2*time.Millisecond, "how `long` a fast fake provider takes for a token; dearer models take longer")
	cmd.Flags().BoolVar(&envoyLog, "envoy-log", false, "pass on what Envoy prints")
	logs.add(cmd)
	return cmd
}

// printUsage says how to try the running system.
func printUsage(w io.Writer, s *stack.Stack) {
	deployment := s.Sidecar.Snapshot().Deployments[0].Name
	fmt.Fprintf(w, `Wye is ready at %[1]s

curl -si %[1]s/v1/chat/completions -H 'content-type: application/json' \
  -d '{"model":"%[2]s","messages":[{"role":"user","content":"Say hello in three languages."}]}'

python3 -c "import openai; r = openai.OpenAI(base_url='%[1]s/v1', api_key='any').chat.completions.create(model='%[2]s', messages=[{'role': 'user', 'content': 'Hello'}]); print(r.model, r.choices[0].message.content)"

`, s.URL, deployment)
	if admin := s.Sidecar.Addresses().Admin; admin != "" {
		fmt.Fprintf(w, "health, metrics, policy state and usage: http://%s/{healthz,readyz,metrics,policy,envoys,usage}\n", admin)
	}
	fmt.Fprintln(w, "Ctrl-C stops everything.")
}

// startTimeout bounds the start of a stack that runs for a moment only.
const startTimeout = 2 * time.Minute

func startStack(ctx context.Context, c stack.Config) (*stack.Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return stack.Start(ctx, c)
}
