package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"wye/policies"
	"wye/xds"
)

func newCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy and the Envoy configuration that follows from it",
		Long: `Check reads a policy (YAML or JSON; - is standard input), reports every fault
as file:line:column, and builds the Envoy resources that follow from it. It exits
with 1 when the policy would be refused; warnings alone do not fail.`,
		Example: "  wye check policy.yaml",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return check(cmd.OutOrStdout(), args[0], cmd.InOrStdin())
		},
	}
}

func check(w io.Writer, path string, stdin io.Reader) error {
	name, content, err := readPolicy(path, stdin)
	if err != nil {
		return err
	}
	p, err := policies.Parse(name, content)
	if err != nil {
		return err
	}
	for _, warning := range p.Warnings() {
		fmt.Fprintln(w, warning)
	}
	s, err := p.Compile()
	if err != nil {
		return err
	}
	resources, err := xds.Build(s, xds.Options{Listen: defaultListen, ExtProc: defaultExtProc})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, warning := range resources.Warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", name, warning)
	}
	fmt.Fprintf(w, "%s: ok, policy %s: %d models, %d backends, %d deployments\n",
		name, s.Hash, len(s.Models), len(s.Backends), len(s.Deployments))
	return nil
}
