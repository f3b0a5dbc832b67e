package xds_test

import (
	"context"
	"slices"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"wye/router"
	"wye/xds"
)

// member is a client that does by hand what an Envoy does over delta xDS.
type member struct {
	t      *testing.T
	id     string
	zone   string
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	inbox  chan *discoveryv3.DeltaDiscoveryResponse
}

// serveXDS runs the server and returns a connection to it.
func serveXDS(t *testing.T, c xds.Config) (*xds.Server, *grpc.ClientConn) {
	t.Helper()
	s := xds.NewServer(c)
	t.Cleanup(s.Close)
	g := grpc.NewServer()
	s.Register(g)
	conn, err := grpc.NewClient(serve(t, g), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, conn
}

func connect(t *testing.T, conn *grpc.ClientConn, id string) *member {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{t: t, id: id, stream: stream, inbox: make(chan *discoveryv3.DeltaDiscoveryResponse)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case m.inbox <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return m
}

func (m *member) send(r *discoveryv3.DeltaDiscoveryRequest) {
	m.t.Helper()
	r.Node = &corev3.Node{Id: m.id, Cluster: "test"}
	if m.zone != "" {
		r.Node.Locality = &corev3.Locality{Zone: m.zone}
	}
	if err := m.stream.Send(r); err != nil {
		m.t.Fatal(err)
	}
}

// receive waits for a response of the type.
func (m *member) receive(typeURL string) *discoveryv3.DeltaDiscoveryResponse {
	m.t.Helper()
	select {
	case r := <-m.inbox:
		if r.GetTypeUrl() != typeURL {
			m.t.Fatalf("%s got %s, want %s", m.id, r.GetTypeUrl(), typeURL)
		}
		return r
	case <-time.After(10 * time.Second):
		m.t.Fatalf("%s got nothing of %s", m.id, typeURL)
		return nil
	}
}

// quiet fails if there is a response.
func (m *member) quiet() {
	m.t.Helper()
	select {
	case r := <-m.inbox:
		m.t.Fatalf("%s got %v", m.id, r)
	case <-time.After(100 * time.Millisecond):
	}
}

func (m *member) ack(r *discoveryv3.DeltaDiscoveryResponse) {
	m.t.Helper()
	m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
}

func (m *member) nack(r *discoveryv3.DeltaDiscoveryResponse, why string) {
	m.t.Helper()
	m.send(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), ErrorDetail: &statusv1.Status{Code: 13, Message: why},
	})
}

func names(r *discoveryv3.DeltaDiscoveryResponse) []string {
	var all []string
	for _, res := range r.GetResources() {
		all = append(all, res.GetName())
	}
	slices.Sort(all)
	return all
}

// dnsPolicy builds a policy whose clusters have no endpoints of their own, so
// that a member needs only clusters, and routes.
func dnsPolicy(t *testing.T, models ...string) *xds.Resources {
	t.Helper()
	c := router.Config{Deployments: []router.Deployment{{Name: "d-" + models[0]}}}
	for i, m := range models {
		c.Models = append(c.Models, router.Model{Name: m})
		c.Backends = append(c.Backends, router.Backend{Name: m, Model: router.ModelIndex(i), SendAs: m, Address: m + ".example:80"})
		c.Deployments[0].Subset = append(c.Deployments[0].Subset, router.ModelIndex(i))
	}
	r, err := xds.Build(snapshot(t, c), xds.Options{Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stage runs Stage in the background.
func stage(ctx context.Context, t *testing.T, s *xds.Server, r *xds.Resources) chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		staged, err := s.Stage(ctx, r)
		if err == nil {
			staged.Retire()
		}
		result <- err
	}()
	return result
}

func pendingResult(t *testing.T, result chan error) {
	t.Helper()
	select {
	case err := <-result:
		t.Fatalf("it returned %v before every member had acknowledged", err)
	case <-time.After(100 * time.Millisecond):
	}
}

func done(t *testing.T, result chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("it does not return")
		return nil
	}
}
