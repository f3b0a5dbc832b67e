package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"wye/control"
	"wye/envoy"
	"wye/internal/controlplane"
)

func newFleetCommand() *cobra.Command {
	var admin string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "fleet",
		Short: "Show which member of the fleet has which policy",
		Long: `Fleet asks a control plane how every member stands to the policy that it is to have:
current (it is in force there), waiting (no answer yet), refused (with the reason; the
member goes on with what it had) or gone (not connected).

It exits with 1 if a member has refused.`,
		Example: "  wye fleet --admin 127.0.0.1:8091",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := askAdmin(cmd.Context(), admin, "/fleet")
			if err != nil {
				return err
			}
			var fleet controlplane.Fleet
			if err := json.Unmarshal(text, &fleet); err != nil {
				return fmt.Errorf("%s is no control plane: %w", admin, err)
			}
			if asJSON {
				_, err = cmd.OutOrStdout().Write(text)
			} else {
				err = printFleet(cmd.OutOrStdout(), &fleet)
			}
			if err != nil {
				return err
			}
			if n := fleet.Counts[control.StateRefused]; n > 0 {
				return fmt.Errorf("%d of the members refuse the policy", n)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&admin, "admin", defaultControlAdmin, "`address` of the control plane's admin page")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// adminTimeout bounds a question to an admin page.
const adminTimeout = 10 * time.Second

// maxAdminAnswer bounds its answer.
const maxAdminAnswer = 64 << 20

// askAdmin gets a path of the admin page at host:port or unix:/path.
func askAdmin(ctx context.Context, address, path string) ([]byte, error) {
	at, err := envoy.ParseAddress(address)
	if err != nil {
		return nil, usageError{fmt.Errorf("--admin: %w", err)}
	}
	network, target := at.Network()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://wye"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the control plane: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask the control plane: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s to %s: is it a control plane's admin page?", address, response.Status, path)
	}
	return text, nil
}

func printFleet(w io.Writer, f *controlplane.Fleet) error {
	fmt.Fprintf(w, "policy %s: %d current, %d waiting, %d refused, %d gone\n", f.Policy.Hash, f.Counts[control.StateCurrent],
		f.Counts[control.StateWaiting], f.Counts[control.StateRefused], f.Counts[control.StateGone])
	if f.Policy.Refused != "" {
		fmt.Fprintf(w, "the newest edit is not handed out: %s\n", f.Policy.Refused)
	}
	if len(f.Members) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tZONE\tSTATE\tWANTED\tACKNOWLEDGED\tAGE\tREASON")
	for i := range f.Members {
		m := &f.Members[i]
		since := m.Since
		if m.GoneAt != nil {
			since = *m.GoneAt
		}
		reason, _, _ := strings.Cut(m.Reason, "\n")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Zone, m.State, dash(m.Wanted), dash(m.Acknowledged),
			f.Now.Sub(since).Round(time.Second), reason)
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
