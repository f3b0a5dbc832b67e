package xds_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"wye/router"
	"wye/xds"
)

// generation is a policy in which everything but the deployment's name is of
// its own: the model, the backend, the cluster.
func generation(t *testing.T, n int, p *provider) *router.Snapshot {
	t.Helper()
	model := fmt.Sprintf("m%d", n)
	return snapshot(t, router.Config{
		Hash:   model,
		Models: []router.Model{{Name: model}},
		Backends: []router.Backend{
			{Name: "one", SendAs: model, Address: p.address()},
			{Name: "two", SendAs: model, Address: p.address()},
		},
		Deployments: []router.Deployment{
			{Name: "auto", Subset: []router.ModelIndex{0}},
			{Name: "only-" + model, Subset: []router.ModelIndex{0}},
		},
	})
}

// Under load, with a reload every few moments, every request is served by the
// policy under which it was decided, those that a retry carries over the swap
// included.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("sotw=%v", sotw), func(t *testing.T) {
			t.Parallel()
			reloadUnderLoad(t, sotw)
		})
	}
}

func reloadUnderLoad(t *testing.T, sotw bool) {
	const grace = 2 * time.Second
	var turn atomic.Int64
	var seen sync.Map
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		// Every third request fails late at its first attempt, so that the
		// retry may come after a reload.
		if _, again := seen.LoadOrStore(r.Header.Get("x-request-id"), true); !again && turn.Add(1)%3 == 0 {
			time.Sleep(200 * time.Millisecond)
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var inForce atomic.Pointer[router.Snapshot]
	inForce.Store(generation(t, 0, p))
	g := startGateway(t, inForce.Load(), gatewayOptions{grace: grace, stateOfTheWorld: sotw})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var requests atomic.Int64
	for worker := range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				s := inForce.Load()
				d := s.Deployments[worker%2].Name
				chain := []string{first(s, 0), fallback(s, 1), fallback(s, 0), fallback(s, 1)}
				// Wye names the fallbacks either way.
				asked := plan{Deployment: d, SendAs: s.Hash, Clusters: chain, ByName: worker >= 2}
				a, err := g.try(http.MethodPost, xds.PathChatCompletions, asked.body())
				if err != nil || a.status != http.StatusOK || a.header.Get("x-wye-model") != s.Hash || a.header.Get("x-wye-deployment") != d {
					t.Errorf("%d %v %s: %v", a.status, a.header, a.body, err)
				}
				requests.Add(1)
			}
		})
	}
	most := 0
	for n := range 12 {
		next := generation(t, n+1, p)
		stageCtx, cancel := context.WithTimeout(ctx, 20*time.Second)
		staged, err := g.server.Stage(stageCtx, g.build(next))
		cancel()
		if err != nil {
			t.Error(err)
			break
		}
		most = max(most, len(g.server.Published().Names(resourcev3.ClusterType)))
		inForce.Store(next)
		staged.Retire()
		time.Sleep(300 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	t.Logf("%d requests, at most %d clusters", requests.Load(), most)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		n := len(g.server.Published().Names(resourcev3.ClusterType))
		if n == 6 {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("%d clusters are left after the grace, want those of one policy", n)
		}
	}
	// The Envoy has let go of them, too.
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		body, err := g.process.Admin(t.Context(), http.MethodGet, "/stats?filter=cluster_manager.active_clusters$")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(body), "active_clusters: 7\n") { // and the ADS cluster
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("envoy has %s", body)
		}
	}
}

// A fallback that a decision only names is found in the tables of the policy
// that decided, also beside those of a newer one.
func TestFallbackByName(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		if _, again := seen.LoadOrStore(r.Header.Get("x-request-id"), true); !again {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s := generation(t, 0, p)
	g := startGateway(t, s, gatewayOptions{})
	ask := func(s *router.Snapshot) {
		t.Helper()
		a := g.chat(plan{Deployment: "auto", SendAs: s.Hash, Clusters: []string{first(s, 0), fallback(s, 1)}, ByName: true})
		if a.status != http.StatusOK || a.header.Get("x-wye-model") != s.Hash || a.header.Get("x-wye-attempts") != "2" {
			t.Errorf("%s: %d %v %s", s.Hash, a.status, a.header, a.body)
		}
	}
	ask(s)
	policies := []*router.Snapshot{s}
	for n := range 2 {
		next := generation(t, n+1, p)
		staged, err := g.server.Stage(t.Context(), g.build(next))
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, next)
		for _, s := range policies {
			ask(s)
		}
		staged.Retire()
	}
	for _, r := range p.received() {
		if r.model != "m0" && r.model != "m1" && r.model != "m2" {
			t.Errorf("a provider was sent %q", r.model)
		}
	}
}

// An answer that is still streaming when its cluster is withdrawn goes on.
func TestStreamOutlivesItsCluster(t *testing.T) {
	t.Parallel()
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		for range 30 {
			fmt.Fprint(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	})
	s := generation(t, 0, p)
	g := startGateway(t, s, gatewayOptions{grace: 100 * time.Millisecond})
	type result struct {
		answer
		err error
	}
	done := make(chan result)
	go func() {
		a, err := g.try(http.MethodPost, xds.PathChatCompletions, plan{Deployment: "auto", SendAs: "m0", Clusters: []string{first(s, 0)}}.body())
		done <- result{a, err}
	}()
	time.Sleep(300 * time.Millisecond)
	if err := g.server.Publish(t.Context(), g.build(generation(t, 1, p))); err != nil {
		t.Fatal(err)
	}
	for len(g.server.Published().Names(resourcev3.ClusterType)) > 6 {
		time.Sleep(10 * time.Millisecond)
	}
	if r := <-done; r.err != nil || strings.Count(r.body, "data: x") != 30 {
		t.Errorf("%d of 30 chunks, error %v", strings.Count(r.body, "data: x"), r.err)
	}
}

// What an Envoy refuses does not come into force, and the error is in Envoy's
// words; the one before stays and the next good one is taken.
func TestEnvoyRefuses(t *testing.T) {
	t.Parallel()
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("sotw=%v", sotw), func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, nil)
			s := generation(t, 0, p)
			g := startGateway(t, s, gatewayOptions{stateOfTheWorld: sotw})
			bad := generation(t, 1, p)
			// In PEM, but no certificate to Envoy.
			bad.Backends[1].TLS = &router.TLS{CAFile: "ca.pem"}
			g.options.ReadFile = func(string) ([]byte, error) { return certificate("nonsense"), nil }
			before := g.server.Published()
			err := g.server.Publish(t.Context(), g.build(bad))
			if err == nil || !strings.Contains(err.Error(), "Secret: ") || !strings.Contains(err.Error(), "CA cert") {
				t.Errorf("error %v", err)
			}
			if c := g.server.Counters(); c.Nacks == 0 || c.Failures != 1 || c.Publications != 1 {
				t.Errorf("counters %+v", c)
			}
			if nodes := g.server.Nodes(); len(nodes) != 1 || nodes[0].Rejected == nil || nodes[0].ID != t.Name() || nodes[0].Delta == sotw {
				t.Errorf("nodes %+v", nodes)
			}
			if g.server.Published() != before {
				t.Error("the resources before are not restored")
			}
			ask := func(s *router.Snapshot) {
				t.Helper()
				if a := g.chat(plan{Deployment: "auto", SendAs: s.Hash, Clusters: []string{first(s, 0)}}); a.status != http.StatusOK {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
			ask(s)
			good := generation(t, 2, p)
			if err := g.server.Publish(t.Context(), g.build(good)); err != nil {
				t.Fatal(err)
			}
			ask(good)
			ask(s)
			for _, typeURL := range xds.Types {
				if typeURL == resourcev3.SecretType {
					continue
				}
				if got, want := g.server.Nodes()[0].Acked[typeURL], g.server.Published().Version(typeURL); got != want {
					t.Errorf("%s: acknowledged %s, published %s", typeURL, got, want)
				}
			}
		})
	}
}
