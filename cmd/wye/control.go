package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"wye/control"
	"wye/envoy"
	"wye/internal/controlplane"
	"wye/internal/mtls"
	"wye/internal/sidecar"
)

// Default addresses of the control plane.
const (
	defaultControl      = "127.0.0.1:18090"
	defaultControlAdmin = "127.0.0.1:8091"
)

func newControlCommand() *cobra.Command {
	var c controlplane.Config
	var logs logFlags
	var tls mtls.Files
	var insecure bool
	cmd := &cobra.Command{
		Use:   "control",
		Short: "Run the control plane: one policy for a fleet of sidecars",
		Long: `Control reads a policy, checks it, and hands it to every wye serve --control that
connects, over ADS; an edit of the file reaches all of them, and wye fleet says who
has it. Several control planes may serve the same file: a member takes either.

Beyond this machine it speaks TLS with certificates on both sides: give all of
--tls-cert, --tls-key and --tls-client-ca. A member's SPIFFE identity,
spiffe://TRUST-DOMAIN/.../zone/NAME, decides the data zone whose part of the policy it
gets; global is all of it.

With --extproc it serves Envoys, too: each finds its own Wye at that address.`,
		Example: "  wye control --policy policy.yaml --listen 127.0.0.1:18090",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logs.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if c.Policy == "" {
				return usageError{errors.New("--policy is required")}
			}
			addresses := map[string]string{"listen": c.Listen, "admin": c.Admin}
			if c.ExtProc != "" {
				addresses["extproc"], addresses["envoy-listen"] = c.ExtProc, c.EnvoyListen
			}
			if err := checkAddresses(addresses); err != nil {
				return err
			}
			if c.TLS, err = allOrNone(tls, "--tls-cert, --tls-key and --tls-client-ca"); err != nil {
				return err
			}
			if c.TLS == nil && !insecure {
				if err := checkLocal(map[string]string{"listen": c.Listen}); err != nil {
					return err
				}
			}
			c.Logger, c.Version, c.Settled = log, wyeVersion(), returnMemory
			p, err := controlplane.Start(cmd.Context(), c)
			if err != nil {
				return err
			}
			settleMemory()
			at := p.Addresses()
			log.Info().Str("ads", at.ADS).Str("admin", at.Admin).Msg("control plane serves")
			select {
			case err = <-p.Failed():
			case <-cmd.Context().Done():
			}
			return errors.Join(err, p.Shutdown())
		},
	}
	cmd.Flags().StringVarP(&c.Policy, "policy", "p", "", "policy `file`, or directory with policy.yaml in it; watched for changes")
	cmd.Flags().StringVar(&c.Listen, "listen", defaultControl, "`address` at which members connect")
	cmd.Flags().StringVar(&c.Admin, "admin", defaultControlAdmin, "`address` of the admin page: health, metrics, policy and fleet state (empty: none)")
	cmd.Flags().StringVar(&tls.Cert, "tls-cert", "", "`file` with the control plane's certificate")
	cmd.Flags().StringVar(&tls.Key, "tls-key", "", "`file` with its private key")
	cmd.Flags().StringVar(&tls.CA, "tls-client-ca", "", "`file` with the roots of the members' certificates")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain text at addresses that other machines can reach")
	cmd.Flags().StringVar(&c.ExtProc, "extproc", "", "serve Envoys, too: `address` at which each finds its own Wye's ext_proc server")
	cmd.Flags().StringVar(&c.EnvoyListen, "envoy-listen", defaultListen, "`address` at which those Envoys take client requests")
	logs.add(cmd)
	return cmd
}

// allOrNone returns the files if all are given, and nil if none is.
func allOrNone(f mtls.Files, names string) (*mtls.Files, error) {
	if f == (mtls.Files{}) {
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" || f.CA == "" {
		return nil, usageError{fmt.Errorf("%s belong together", names)}
	}
	return &f, nil
}

// memberFlags are those of wye serve that make it a member of a fleet.
type memberFlags struct {
	config sidecar.Control
	tls    mtls.Files
}

func (f *memberFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.config.Addresses, "control", nil, "`address` of a control plane to take the policy from; several are tried in turn")
	cmd.Flags().StringVar(&f.config.StateDir, "state-dir", "", "`directory` to keep the last good policy in")
	cmd.Flags().StringVar(&f.config.NodeID, "node-id", "", "`name` of this member (default: the host's name)")
	cmd.Flags().StringToStringVar(&f.config.Labels, "label", nil, "`key=value` that rollouts may choose this member by; several are allowed")
	cmd.Flags().StringVar(&f.tls.Cert, "control-tls-cert", "", "`file` with this member's certificate for the control plane")
	cmd.Flags().StringVar(&f.tls.Key, "control-tls-key", "", "`file` with its private key")
	cmd.Flags().StringVar(&f.tls.CA, "control-tls-ca", "", "`file` with the roots of the control plane's certificate")
	cmd.Flags().StringVar(&f.config.ServerName, "control-server-name", "", "whom the control plane's certificate is for (default: the host of --control)")
}

// control returns what the flags mean, nil without --control.
func (f *memberFlags) control(policyFile string, insecure bool) (*sidecar.Control, error) {
	c := f.config
	tls, err := allOrNone(f.tls, "--control-tls-cert, --control-tls-key and --control-tls-ca")
	if err != nil {
		return nil, err
	}
	c.TLS = tls
	if len(c.Addresses) == 0 {
		if c.StateDir != "" || c.TLS != nil || len(c.Labels) > 0 {
			return nil, usageError{errors.New("--state-dir, --label and --control-tls-… are for --control")}
		}
		return nil, nil
	}
	if policyFile != "" {
		return nil, usageError{errors.New("--policy and --control exclude each other")}
	}
	for _, a := range c.Addresses {
		if _, err := envoy.ParseAddress(a); err != nil {
			return nil, usageError{fmt.Errorf("--control: %w", err)}
		}
		if c.TLS == nil && !insecure {
			if err := checkLocal(map[string]string{"control": a}); err != nil {
				return nil, err
			}
		}
	}
	if c.NodeID == "" {
		if c.NodeID, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("--node-id is needed: %w", err)
		}
	}
	if err := control.CheckNodeID(c.NodeID); err != nil {
		return nil, usageError{fmt.Errorf("--node-id: %w", err)}
	}
	for k, v := range c.Labels {
		if err := control.CheckLabel(k, v); err != nil {
			return nil, usageError{fmt.Errorf("--label: %w", err)}
		}
	}
	return &c, nil
}
