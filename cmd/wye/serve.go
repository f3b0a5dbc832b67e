package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"wye/affinity"
	"wye/envoy"
	"wye/extproc"
	"wye/internal/mtls"
	"wye/internal/sidecar"
	"wye/limits"
	"wye/xds"
)

// Default addresses.
const (
	defaultListen  = "127.0.0.1:8080"
	defaultAdmin   = "127.0.0.1:8081"
	defaultExtProc = "127.0.0.1:18080"
	defaultADS     = "127.0.0.1:18081"
)

// drainTimeout bounds how long open requests may take to finish.
const drainTimeout = 30 * time.Second

// checkAddresses makes a flag that is no address a usage error. The admin page
// may be nowhere.
func checkAddresses(flags map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if name == "admin" && flags[name] == "" {
			continue
		}
		if _, err := envoy.ParseAddress(flags[name]); err != nil {
			return usageError{fmt.Errorf("--%s: %w", name, err)}
		}
	}
	return nil
}

// checkLocal refuses to offer keys and prompts in plain text to other machines.
func checkLocal(flags map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		a, err := envoy.ParseAddress(flags[name])
		if err != nil {
			return usageError{fmt.Errorf("--%s: %w", name, err)}
		}
		if a.Path == "" && !a.IP.IsLoopback() && a.Host != "localhost" {
			return usageError{fmt.Errorf("--%s: %q can be reached from other machines, in plain text and by anybody: use TLS (--tls-cert), a Unix socket, or --insecure", name, flags[name])}
		}
	}
	return nil
}

func newServeCommand() *cobra.Command {
	var c sidecar.Config
	var logs logFlags
	var delay time.Duration
	var tls mtls.Files
	var insecure bool
	var member memberFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the sidecar: the ext_proc and ADS servers for an Envoy that somebody else runs",
		Long: `Serve runs Wye's two servers and reloads the policy when its file changes. Start
Envoy with the document that wye envoy bootstrap prints; everything else, the
listener included, reaches it over ADS. Addresses are host:port or unix:/path.

Beyond this machine the two servers speak TLS with certificates on both sides: give
all of --tls-cert, --tls-key and --tls-client-ca, files that may be replaced at any
time. A client's SPIFFE identity, spiffe://TRUST-DOMAIN/.../zone/NAME, decides the
data zone that its Envoy is sent; global is all of them. Unix sockets stay as they are.

With --control the policy comes from control planes instead, see wye control; the last
good one is kept in --state-dir and used at a start without them.

On SIGTERM or SIGINT it reports not ready, goes on for the drain delay, finishes
the requests under way and exits with 0.`,
		Example: `  wye serve --policy policy.yaml --extproc unix:/run/wye/extproc.sock --ads unix:/run/wye/ads.sock`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logs.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := checkAddresses(map[string]string{
				"listen": c.Listen, "extproc": c.ExtProc, "ads": c.ADS, "admin": c.Admin,
			}); err != nil {
				return err
			}
			if tls != (mtls.Files{}) {
				if tls.Cert == "" || tls.Key == "" || tls.CA == "" {
					return usageError{errors.New("--tls-cert, --tls-key and --tls-client-ca belong together")}
				}
				c.TLS = &tls
			}
			if c.TLS == nil && !insecure {
				if err := checkLocal(map[string]string{"extproc": c.ExtProc, "ads": c.ADS}); err != nil {
					return err
				}
			}
			if c.Control, err = member.control(c.PolicyFile, insecure); err != nil {
				return err
			}
			if err := checkLimits(&c); err != nil {
				return err
			}
			if err := checkDecisionLog(&c); err != nil {
				return err
			}
			c.Logger, c.Version, c.Settled = log, wyeVersion(), returnMemory
			c.DecisionLog.Logger = log
			c.OTLP.Logger, c.OTLP.Version = log, c.Version
			s, err := sidecar.Start(cmd.Context(), c)
			if err != nil {
				return err
			}
			settleMemory()
			at := s.Addresses()
			log.Info().Str("ext_proc", at.ExtProc).Str("ads", at.ADS).Str("admin", at.Admin).
				Str("listener", c.Listen).Msg("serving")
			select {
			case err = <-s.Failed():
				delay = 0
			case <-cmd.Context().Done():
				log.Info().Dur("delay", delay).Msg("draining")
			}
			ctx, cancel := context.WithTimeout(context.Background(), delay+drainTimeout)
			defer cancel()
			if stopErr := s.Shutdown(ctx, delay); stopErr != nil {
				err = errors.Join(err, fmt.Errorf("shut down: %w", stopErr))
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&c.PolicyFile, "policy", "p", "", "policy `file`, watched for changes (default: the embedded policy)")
	cmd.Flags().StringVar(&c.Zone, "zone", "", "leave out of the policy what may not be used in this data `zone`")
	cmd.Flags().StringVar(&c.Listen, "listen", defaultListen, "`address` at which Envoy takes client requests")
	cmd.Flags().StringVar(&c.ExtProc, "extproc", defaultExtProc, "`address` of the ext_proc server")
	cmd.Flags().StringVar(&c.ADS, "ads", defaultADS, "`address` of the ADS server")
	cmd.Flags().StringVar(&c.Admin, "admin", defaultAdmin, "`address` of the admin page: health, metrics, policy state, usage (empty: none)")
	cmd.Flags().DurationVar(&c.Grace, "grace", 0, "how `long` Envoy keeps what a new policy no longer has (default: until its last attempts have begun)")
	cmd.Flags().StringVar(&tls.Cert, "tls-cert", "", "`file` with the certificate of the ext_proc and ADS servers")
	cmd.Flags().StringVar(&tls.Key, "tls-key", "", "`file` with its private key")
	cmd.Flags().StringVar(&tls.CA, "tls-client-ca", "", "`file` with the roots of the clients' certificates")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "allow plain text at addresses that other machines can reach, and to a control plane on another machine")
	member.add(cmd)
	addLimitFlags(cmd, &c)
	addDecisionLogFlags(cmd, &c)
	addOTLPFlags(cmd, &c)
	cmd.Flags().DurationVar(&delay, "drain-delay", 5*time.Second, "how `long` to go on after SIGTERM, for Envoy to stop first")
	logs.add(cmd)
	return cmd
}

// addLimitFlags adds the flags that bound what clients can hold.
func addLimitFlags(cmd *cobra.Command, c *sidecar.Config) {
	cmd.Flags().IntVar(&c.MaxInflightBytes, "max-inflight-bytes", extproc.DefaultMaxInflightBytes, "`bytes` that all request bodies together may hold")
	cmd.Flags().IntVar(&c.AffinityEntries, "affinity-entries", affinity.DefaultEntries, "`turns` of conversations to remember, at 40 bytes each")
	cmd.Flags().StringVar(&c.BudgetFile, "budget-file", "", "`file` that keeps what deployments with a budget have spent over a restart (default: it is forgotten)")
	cmd.Flags().IntVar(&c.LimitedCallers, "limited-callers", limits.DefaultCallers, "`callers` that limits tell apart, at up to 400 bytes each")
	cmd.Flags().DurationVar(&c.RequestTimeout, "request-timeout", xds.DefaultRequestTimeout, "how `long` a request may take to arrive")
}

// maxAffinityEntries is 2.5 GiB worth of them.
const maxAffinityEntries = 1 << 26

// maxLimitedCallers is 6 GiB worth of them.
const maxLimitedCallers = 1 << 24

// checkLimits refuses what those flags cannot mean.
func checkLimits(c *sidecar.Config) error {
	switch {
	case c.MaxInflightBytes <= 0:
		return usageError{errors.New("--max-inflight-bytes must be above 0")}
	case c.AffinityEntries < 1 || c.AffinityEntries > maxAffinityEntries:
		return usageError{fmt.Errorf("--affinity-entries must be 1 to %d", maxAffinityEntries)}
	case c.LimitedCallers < 1 || c.LimitedCallers > maxLimitedCallers:
		return usageError{fmt.Errorf("--limited-callers must be 1 to %d", maxLimitedCallers)}
	case c.RequestTimeout <= 0:
		return usageError{errors.New("--request-timeout must be above 0")}
	}
	return nil
}
