package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"wye/envoy"
	"wye/policies"
	"wye/xds"
)

func newRenderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Write Envoy's configuration for where Wye's xDS is not wanted",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRenderStaticCommand())
	return cmd
}

func newRenderStaticCommand() *cobra.Command {
	o := xds.Options{}
	var policy, version, zone, admin string
	cmd := &cobra.Command{
		Use:   "static",
		Short: "Print one complete Envoy document for a policy",
		Long: `Static prints all that an Envoy needs to serve a policy without xDS: listener,
routes, clusters. It decides with the wye serve of the same policy at --extproc.
Keys are not in it: Envoy reads them where the policy says.

After an edit of the policy, render it again and restart Envoy and Wye together.`,
		Example: `  wye render static --policy policy.yaml > envoy.json
  wye serve --policy policy.yaml &
  envoy -c envoy.json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			release, err := envoy.ParseRelease(version)
			if err != nil {
				return usageError{fmt.Errorf("--envoy: %w", err)}
			}
			name, content, err := readPolicy(policy, cmd.InOrStdin())
			if err != nil {
				return err
			}
			p, err := policies.Parse(name, content)
			if err != nil {
				return err
			}
			s, err := p.Compile()
			if err != nil {
				return err
			}
			r, err := xds.Build(s, o)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			document, err := xds.Static(s, r, zone, release, admin)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			_, err = cmd.OutOrStdout().Write(document)
			return err
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "", "policy `file`; - is standard input (default: the embedded policy)")
	cmd.Flags().StringVar(&o.Listen, "listen", defaultListen, "`address` at which Envoy takes client requests")
	cmd.Flags().StringVar(&o.ExtProc, "extproc", defaultExtProc, "`address` of Wye's ext_proc server")
	cmd.Flags().StringVar(&admin, "admin", "127.0.0.1:9901", "`address` of Envoy's own admin page")
	cmd.Flags().StringVar(&zone, "zone", "", "data `zone` that the Envoy stands in: it gets the backends of that zone and no others")
	cmd.Flags().StringVar(&version, "envoy", envoy.Full.String(), "`version` of the Envoy")
	return cmd
}
