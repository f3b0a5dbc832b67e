package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"wye/envoy"
	"wye/policies"
	"wye/router"
	"wye/xds"
)

func newCheckCommand() *cobra.Command {
	var prove, asJSON bool
	var version string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a policy and the Envoy configuration that follows from it",
		Long: `Check reads a policy (YAML or JSON; - is standard input), reports every fault
as file:line:column, and builds the Envoy resources that follow from it. It exits
with 1 when the policy would be refused; warnings alone do not fail.

With --prove-zones it also follows, in these resources, every way that a request
of each deployment has, whatever the ext_proc server says, prints which backends it
can reach, and exits with 1 if one of them is in another data zone.

With --envoy the resources are those for an Envoy of that version. One that Wye
cannot serve is refused.`,
		Example: "  wye check policy.yaml\n  wye check --prove-zones policy.yaml\n  wye check --envoy 1.39 policy.yaml",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && !prove {
				return usageError{errors.New("--json is for --prove-zones")}
			}
			release, err := envoy.ParseRelease(version)
			if err != nil {
				return usageError{fmt.Errorf("--envoy: %w", err)}
			}
			if err := release.Served(); err != nil {
				return err
			}
			name, content, err := readPolicy(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				w = cmd.ErrOrStderr() // the proof alone is JSON
			}
			s, resources, err := check(w, name, content)
			if err != nil {
				return err
			}
			if _, err := resources.For("", release); err != nil {
				return fmt.Errorf("%s: for envoy %v: %w", name, release, err)
			}
			if !prove {
				return nil
			}
			return proveZones(cmd.OutOrStdout(), name, s, resources, release, asJSON)
		},
	}
	cmd.Flags().BoolVar(&prove, "prove-zones", false, "prove from Envoy's resources that no request leaves its data zone")
	cmd.Flags().StringVar(&version, "envoy", envoy.Full.String(), "`version` of the Envoy that is to be served")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the proof as JSON")
	return cmd
}

// proveZones prints the proof. A fault in it is an error.
func proveZones(w io.Writer, name string, s *router.Snapshot, r *xds.Resources, release envoy.Release, asJSON bool) error {
	proof, err := xds.Prove(s, r, release)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		err = e.Encode(proof)
	} else {
		_, err = io.WriteString(w, proof.String())
	}
	if err != nil {
		return err
	}
	if err := proof.Err(); err != nil {
		return fmt.Errorf("%s: requests can leave their data zone: %w", name, err)
	}
	return nil
}

// check reports on w and returns what follows from the policy.
func check(w io.Writer, name string, content []byte) (*router.Snapshot, *xds.Resources, error) {
	p, err := policies.Parse(name, content)
	if err != nil {
		return nil, nil, err
	}
	for _, warning := range p.Warnings() {
		fmt.Fprintln(w, warning)
	}
	s, err := p.Compile()
	if err != nil {
		return nil, nil, err
	}
	resources, err := xds.Build(s, xds.Options{Listen: defaultListen, ExtProc: defaultExtProc})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, warning := range resources.Warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", name, warning)
	}
	fmt.Fprintf(w, "%s: ok, policy %s: %d models, %d backends, %d deployments\n",
		name, s.Hash, len(s.Models), len(s.Backends), len(s.Deployments))
	return s, resources, nil
}
