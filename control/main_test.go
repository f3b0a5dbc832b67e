package control_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"go.uber.org/goleak"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"wye/control"
	"wye/policies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for whatever has no bound of its own.
const patience = 20 * time.Second

// policyText has backends in two zones and n deployments beside those of the
// zones.
func policyText(n, attempts int) string {
	var b strings.Builder
	b.WriteString(`backends:
- {name: eu-nano, model: gpt-4.1-nano, address: "eu.example:443", zone: eu, tls: {}}
- {name: eu-mini, model: gpt-4.1-mini, address: "eu.example:443", zone: eu, tls: {}}
- {name: us-nano, model: gpt-4.1-nano, address: "us.example:443", zone: us, tls: {}}
- {name: us-secret, model: gpt-4.1, address: "us.example:443", zone: us, tls: {}}
default_deployment: us-chat
deployments:
- {name: us-chat, zone: us, subset: [gpt-4.1, gpt-4.1-nano]}
- {name: eu-chat, zone: eu, subset: [gpt-4.1-mini, gpt-4.1-nano]}
- {name: anywhere, subset: [gpt-4.1, gpt-4.1-mini, gpt-4.1-nano]}
- {name: us-only-models, subset: [gpt-4.1]}
`)
	for i := range n {
		fmt.Fprintf(&b, "- {name: d%d, subset: [gpt-4.1-mini, gpt-4.1-nano]", i)
		if i == n/2 {
			fmt.Fprintf(&b, ", limits: {max_attempts: %d}", attempts)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func parse(t testing.TB, text string) *policies.Policy {
	t.Helper()
	p, err := policies.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serve runs a server and returns a connection to it.
func serve(t testing.TB, c control.ServerConfig) (*control.Server, *grpc.ClientConn) {
	t.Helper()
	s := control.NewServer(c)
	return s, dial(t, listen(t, s))
}

// listen serves at an address of its own until the test ends.
func listen(t testing.TB, s *control.Server) string {
	t.Helper()
	g := grpc.NewServer()
	s.Register(g)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		g.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func publish(t testing.TB, s *control.Server, releases ...control.Release) {
	t.Helper()
	if err := s.Publish(releases...); err != nil {
		t.Fatal(err)
	}
}

// delta is a member that does by hand what a client does.
type delta struct {
	t      testing.TB
	node   *corev3.Node
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	inbox  chan *discoveryv3.DeltaDiscoveryResponse
	ended  chan error
}

func node(id, zone string) *corev3.Node {
	n := &corev3.Node{Id: id}
	if zone != "" {
		n.Locality = &corev3.Locality{Zone: zone}
	}
	return n
}

func connect(t testing.TB, conn *grpc.ClientConn, n *corev3.Node) *delta {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d := &delta{t: t, node: n, stream: stream, inbox: make(chan *discoveryv3.DeltaDiscoveryResponse), ended: make(chan error, 1)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := stream.Recv()
			if err != nil {
				d.ended <- err
				return
			}
			select {
			case d.inbox <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return d
}

func (d *delta) send(r *discoveryv3.DeltaDiscoveryRequest) {
	d.t.Helper()
	r.Node = d.node
	if r.TypeUrl == "" {
		r.TypeUrl = control.TypeURL
	}
	// The stream's end is seen by whoever receives.
	_ = d.stream.Send(r)
}

func (d *delta) receive() *discoveryv3.DeltaDiscoveryResponse {
	d.t.Helper()
	select {
	case r := <-d.inbox:
		return r
	case err := <-d.ended:
		d.t.Fatalf("the stream has ended: %v", err)
	case <-time.After(patience):
		d.t.Fatal("nothing came")
	}
	return nil
}

func (d *delta) end() error {
	d.t.Helper()
	select {
	case err := <-d.ended:
		return err
	case r := <-d.inbox:
		d.t.Fatalf("got %v", r)
	case <-time.After(patience):
		d.t.Fatal("the stream goes on")
	}
	return nil
}

// quiet fails if there is a response.
func (d *delta) quiet() {
	d.t.Helper()
	select {
	case r := <-d.inbox:
		d.t.Fatalf("got %v", r)
	case err := <-d.ended:
		d.t.Fatalf("the stream has ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
}

func (d *delta) ack(r *discoveryv3.DeltaDiscoveryResponse) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: r.GetNonce()})
}

func (d *delta) nack(r *discoveryv3.DeltaDiscoveryResponse, why string) {
	d.t.Helper()
	d.send(&discoveryv3.DeltaDiscoveryRequest{ResponseNonce: r.GetNonce(), ErrorDetail: &statusv1.Status{Code: 3, Message: why}})
}

// holds is what a response leaves a member with.
type holds map[string]string

func (h holds) take(r *discoveryv3.DeltaDiscoveryResponse) holds {
	for _, res := range r.GetResources() {
		h[res.GetName()] = res.GetVersion()
	}
	for _, name := range r.GetRemovedResources() {
		delete(h, name)
	}
	return h
}

// mentions reports whether anything in a message has the text.
func mentions(t testing.TB, m proto.Message, text string) bool {
	t.Helper()
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(wire), text)
}

// eventually polls.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// only returns the one member there is.
func only(t testing.TB, s *control.Server) control.Member {
	t.Helper()
	all := s.Members()
	if len(all) != 1 {
		t.Fatalf("members %+v, want one", all)
	}
	return all[0]
}
