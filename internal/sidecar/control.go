package sidecar

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"wye/control"
	"wye/envoy"
	"wye/internal/mtls"
	"wye/policies"
	"wye/policies/policyv1"
	"wye/router"
)

// Control is the control plane that a sidecar takes its policy from.
type Control struct {
	// Addresses are those of the control planes, which all serve the same policy:
	// the next is tried when one does not answer.
	Addresses []string
	// TLS, unless nil, is this sidecar's certificate and key, and as CA the roots of
	// the control planes', which must be for ServerName or, if that is empty, for
	// the host of the address. The identity in the certificate decides the data
	// zone of the policy.
	TLS        *mtls.Files
	ServerName string
	// StateDir, unless empty, is where the last good policy is kept.
	StateDir string
	NodeID   string
	Labels   map[string]string
}

// Times of a connection to the control plane; gRPC allows no shorter pings.
const (
	controlPing        = 10 * time.Second
	controlPingTimeout = 5 * time.Second
)

// newControl brings the last good policy into force, if there is one that can
// be used, and returns the client that takes over from there.
func (s *Sidecar) newControl(ctx context.Context) (*control.Client, error) {
	c := s.config.Control
	zone := cmp.Or(s.config.Zone, router.ZoneGlobal)
	if c.TLS != nil {
		own, err := c.TLS.OwnZone()
		if err != nil {
			return nil, fmt.Errorf("certificate for the control plane: %w", err)
		}
		if own != router.ZoneGlobal && s.config.Zone != "" && s.config.Zone != own {
			return nil, fmt.Errorf("the certificate is of zone %q, and the sidecar of zone %q", own, s.config.Zone)
		}
		if own != router.ZoneGlobal {
			zone = own
		}
	}
	config := control.ClientConfig{
		Dial: s.dialControl, Logger: s.config.Logger,
		Node: control.Node{ID: c.NodeID, Zone: zone, Version: s.config.Version, Labels: c.Labels},
		Apply: func(ctx context.Context, d *policyv1.Policy) (time.Duration, error) {
			again, err := s.bringDocument(ctx, "policy from the control plane", d)
			s.settle()
			return again, err
		},
	}
	var inForce *policyv1.Policy
	if c.StateDir != "" {
		keep, err := control.NewLastGood(c.StateDir, zone)
		if err != nil {
			return nil, err
		}
		config.Keep = keep
		inForce = s.lastGood(ctx, keep)
	}
	return control.NewClient(config, inForce)
}

// lastGood brings the kept policy into force. What cannot be used is as if it
// were not there, but for a warning.
func (s *Sidecar) lastGood(ctx context.Context, keep *control.LastGood) *policyv1.Policy {
	document, err := keep.Load()
	if err == nil && document != nil {
		_, err = s.bringDocument(ctx, keep.Path(), document)
	}
	switch {
	case err != nil:
		s.config.Logger.Warn().Err(err).Msg("the last good policy cannot be used; waiting for the control plane")
		return nil
	case document == nil:
		s.config.Logger.Info().Msg("no policy was kept; waiting for the control plane")
		return nil
	}
	s.config.Logger.Info().Str("policy", s.Snapshot().Hash).Msg("began with the last good policy")
	return document
}

func (s *Sidecar) bringDocument(ctx context.Context, name string, d *policyv1.Policy) (time.Duration, error) {
	return s.reload.bring(ctx, func() (*router.Snapshot, error) {
		p, err := policies.FromDocument(name, d)
		if err != nil {
			return nil, err
		}
		return s.compileParsed(p)
	})
}

// dialControl opens a connection to the next control plane, with the certificates
// that are in the files now.
func (s *Sidecar) dialControl(attempt int) (*grpc.ClientConn, error) {
	c := s.config.Control
	address := c.Addresses[attempt%len(c.Addresses)]
	at, err := envoy.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	network, target := at.Network()
	secure := insecure.NewCredentials()
	if c.TLS != nil && network != "unix" {
		config, err := mtls.Client(*c.TLS, cmp.Or(c.ServerName, at.Host))
		if err != nil {
			return nil, fmt.Errorf("certificate for the control plane: %w", err)
		}
		secure = credentials.NewTLS(config)
	}
	return grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(secure),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, target)
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: controlPing, Timeout: controlPingTimeout}),
	)
}
