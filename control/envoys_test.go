package control_test

import (
	"net"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"wye/control"
)

// serveGRPC serves until the test ends and returns the address.
func serveGRPC(t testing.TB, g *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// echo answers every request with its type, as a server of Envoys.
type echo struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
}

// DeltaAggregatedResources implements the service.
func (echo) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if err := s.Send(&discoveryv3.DeltaDiscoveryResponse{TypeUrl: r.GetTypeUrl(), Nonce: r.GetResponseNonce()}); err != nil {
			return err
		}
	}
}

// StreamAggregatedResources implements the service.
func (echo) StreamAggregatedResources(s discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if err := s.Send(&discoveryv3.DiscoveryResponse{TypeUrl: r.GetTypeUrl(), Nonce: r.GetResponseNonce()}); err != nil {
			return err
		}
	}
}

// An Envoy's stream goes to whoever serves Envoys, from its first request on.
func TestEnvoysAreServedBesides(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{Envoys: echo{}})
	d := connect(t, conn, node("envoy", ""))
	whole, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, nonce := range []string{"a", "b"} {
		d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: "clusters", ResponseNonce: nonce})
		if r := d.receive(); r.GetTypeUrl() != "clusters" || r.GetNonce() != nonce {
			t.Errorf("got %v", r)
		}
		if err := whole.Send(&discoveryv3.DiscoveryRequest{TypeUrl: "routes", ResponseNonce: nonce}); err != nil {
			t.Fatal(err)
		}
		if r, err := whole.Recv(); err != nil || r.GetTypeUrl() != "routes" || r.GetNonce() != nonce {
			t.Errorf("got %v, %v", r, err)
		}
	}
	if len(s.Members()) != 0 {
		t.Errorf("members %+v", s.Members())
	}
}
