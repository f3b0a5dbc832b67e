package xds_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"wye/router"
	"wye/xds"
)

// take subscribes to everything that dnsPolicy has, as a member that had
// versions before, and acknowledges what it gets.
func (m *member) take(versions map[string]map[string]string) {
	m.t.Helper()
	for _, typeURL := range []string{resourcev3.ClusterType, resourcev3.ListenerType, resourcev3.RouteType} {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: versions[typeURL]}
		if typeURL == resourcev3.RouteType {
			r.ResourceNamesSubscribe = []string{"wye"}
		}
		m.send(r)
		m.ack(m.receive(typeURL))
	}
}

// outdated are the versions of a member that has all of the names, of an older
// policy.
func outdated(r *xds.Resources) map[string]map[string]string {
	versions := map[string]map[string]string{}
	for _, typeURL := range []string{resourcev3.ClusterType, resourcev3.ListenerType, resourcev3.RouteType} {
		versions[typeURL] = map[string]string{}
		for _, name := range r.Names(typeURL) {
			versions[typeURL][name] = "older"
		}
	}
	return versions
}

func await(ctx context.Context, s *xds.Server) chan error {
	result := make(chan error, 1)
	go func() { result <- s.AwaitReturn(ctx) }()
	return result
}

// Who comes back has acknowledged clusters, listener and routes before the wait
// is over; who is new has nothing to be waited for.
func TestAwaitReturn(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{})
	result := await(t.Context(), s)
	pendingResult(t, result) // nothing is published, nobody is there
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	pendingResult(t, result)
	old := outdated(s.Published())
	m := connect(t, conn, "back")
	steps := []string{resourcev3.ClusterType, resourcev3.ListenerType, resourcev3.RouteType}
	for i, typeURL := range steps {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: old[typeURL]}
		if typeURL == resourcev3.RouteType {
			r.ResourceNamesSubscribe = []string{"wye"}
		}
		m.send(r)
		answer := m.receive(typeURL)
		pendingResult(t, result)
		if i < len(steps)-1 {
			m.ack(answer)
			pendingResult(t, result)
			continue
		}
		m.ack(answer)
	}
	if err := done(t, result); err != nil {
		t.Error(err)
	}

	fresh, freshConn := serveXDS(t, xds.Config{})
	if err := fresh.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	result = await(t.Context(), fresh)
	pendingResult(t, result)
	connect(t, freshConn, "new").send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
	if err := done(t, result); err != nil {
		t.Error(err)
	}

	nobody, _ := serveXDS(t, xds.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := done(t, await(ctx, nobody)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v with nobody there", err)
	}
}

// leave ends the stream, which the server has noticed when leave returns.
func (m *member) leave(s *xds.Server) {
	m.t.Helper()
	before := s.Counters().Streams
	if err := m.stream.CloseSend(); err != nil {
		m.t.Fatal(err)
	}
	for began := time.Now(); s.Counters().Streams == before; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			m.t.Fatal("the server keeps the stream")
		}
	}
}

// ackAll acknowledges whatever comes until there is a result.
func (m *member) ackAll(result chan error) error {
	m.t.Helper()
	for {
		select {
		case r := <-m.inbox:
			m.ack(r)
		case err := <-result:
			return err
		case <-time.After(10 * time.Second):
			m.t.Fatal("it does not return")
		}
	}
}

// A publication waits for an Envoy that lost its stream just before, until it
// is back and has everything; for one that does not come back it waits no
// longer than that takes.
func TestStageWaitsForTheLost(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	m := connect(t, conn, "one")
	m.take(nil)
	m.leave(s)
	began := time.Now()
	if err := done(t, stage(t.Context(), t, s, dnsPolicy(t, "a"))); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("waited %v for who has everything", took)
	}

	result := stage(t.Context(), t, s, dnsPolicy(t, "a", "b"))
	pendingResult(t, result)
	other := connect(t, conn, "two")
	other.take(outdated(s.Published()))
	pendingResult(t, result) // that is somebody else
	back := connect(t, conn, "one")
	pendingResult(t, result)
	for typeURL, versions := range outdated(s.Published()) {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, InitialResourceVersions: versions}
		if typeURL == resourcev3.RouteType {
			r.ResourceNamesSubscribe = []string{"wye"}
		}
		back.send(r)
	}
	go func() {
		for {
			select {
			case r := <-other.inbox:
				_ = other.stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
			case <-t.Context().Done():
				return
			}
		}
	}()
	if err := back.ackAll(result); err != nil {
		t.Fatal(err)
	}
	if got, want := acked(s, "one"), s.Published().Version(resourcev3.ClusterType); got != want {
		t.Errorf("it has clusters %s, want %s", got, want)
	}

	back.leave(s)
	began = time.Now()
	result = stage(t.Context(), t, s, dnsPolicy(t, "c"))
	if err := done(t, result); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < time.Second || took > 6*time.Second {
		t.Errorf("waited %v for who does not come back", took)
	}
}

// A real Envoy whose stream is cut when the policy is edited has the new
// clusters by the time they may be named.
func TestEnvoyReturns(t *testing.T) {
	t.Parallel()
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("sotw=%v", sotw), func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, nil)
			s := generation(t, 0, p)
			var ads *gate
			g := startGateway(t, s, gatewayOptions{stateOfTheWorld: sotw, ads: func(server string) string {
				ads = newGate(t, server)
				return ads.addr
			}})
			ask := func(s *router.Snapshot) {
				t.Helper()
				if a := g.chat(plan{Deployment: "auto", SendAs: s.Hash, Clusters: []string{first(s, 0)}}); a.status != http.StatusOK {
					t.Errorf("%s: %d %s", s.Hash, a.status, a.body)
				}
			}
			ask(s)
			for n := range 3 {
				next := generation(t, n+1, p)
				ads.kill()
				for g.server.Counters().Streams > 0 {
					time.Sleep(time.Millisecond)
				}
				reopened := make(chan struct{})
				go func() {
					defer close(reopened)
					time.Sleep(100 * time.Millisecond)
					ads.open()
				}()
				staged, err := g.server.Stage(t.Context(), g.build(next))
				<-reopened
				if err != nil {
					t.Fatal(err)
				}
				ask(next)
				staged.Retire()
			}
		})
	}
}

// acked is the version of the clusters that a node has acknowledged.
func acked(s *xds.Server, id string) string {
	for _, n := range s.Nodes() {
		if n.ID == id {
			return n.Acked[resourcev3.ClusterType]
		}
	}
	return "no node " + id
}
