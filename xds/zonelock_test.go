package xds_test

import (
	"net/http"
	"testing"

	"wye/envoy"
	"wye/router"
)

// Whatever cluster the processor names, a request whose route is of a zone does
// not leave it: neither on the first attempt nor on a retry.
func TestZoneLock(t *testing.T) {
	t.Parallel()
	eu := newProvider(t, status(http.StatusServiceUnavailable))
	us := newProvider(t, nil)
	s := snapshot(t, twoBackends(eu.address(), us.address(), func(c *router.Config) {
		c.Backends = append(c.Backends, router.Backend{Name: "b-any", Model: 1, SendAs: "b-sent", Address: us.address()})
	}))
	g := startGateway(t, s, gatewayOptions{})
	for _, tt := range []struct {
		name     string
		clusters []string
		status   int
		code     string
		euSaw    int
	}{
		{"first attempt", []string{first(s, 1)}, 403, "zone_refused", 0},
		{"by a fallback cluster", []string{fallback(s, 1)}, 403, "zone_refused", 0},
		{"a backend of no zone", []string{first(s, 2)}, 403, "zone_refused", 0},
		{"retry", []string{first(s, 0), fallback(s, 1)}, 403, "zone_refused", 1},
		{"retry by a first cluster", []string{first(s, 0), first(s, 1)}, 403, "zone_refused", 1},
		{"a cluster that does not exist", []string{"wye/first/c-us/12345678"}, 503, "upstream_unavailable", 0},
		{"Wye's own cluster", []string{envoy.ExtProcCluster}, 0, "", 0},
	} {
		before := len(eu.received())
		a := g.chat(plan{Deployment: "eu", SendAs: "b-sent", Clusters: tt.clusters})
		if tt.status != 0 {
			kind, _, code := errorBody(t, a)
			if a.status != tt.status || kind != "server_error" || code != tt.code {
				t.Errorf("%s: %d %s", tt.name, a.status, a.body)
			}
		}
		if n := len(eu.received()) - before; n != tt.euSaw {
			t.Errorf("%s: the zone's own provider saw %d requests, want %d", tt.name, n, tt.euSaw)
		}
	}
	if n := len(us.received()); n != 0 {
		t.Fatalf("%d requests left the zone", n)
	}
	// What may go there does.
	if a := g.chat(plan{Deployment: "auto", SendAs: "b-sent", Clusters: []string{first(s, 0), fallback(s, 1)}}); a.status != 200 || a.header.Get(envoy.HeaderZone) != "us" {
		t.Errorf("a request of no zone: %d %s %v", a.status, a.body, a.header)
	}
	if a := g.chat(plan{Deployment: "auto", SendAs: "b-sent", Clusters: []string{first(s, 2)}}); a.status != 200 {
		t.Errorf("a request of no zone to a backend of none: %d %s", a.status, a.body)
	}
}

// An Envoy of a zone has nothing of another, whoever names it, and carries
// requests of its own.
func TestEnvoyOfZone(t *testing.T) {
	t.Parallel()
	for _, variant := range []struct {
		name            string
		stateOfTheWorld bool
	}{{"delta", false}, {"state of the world", true}} {
		t.Run(variant.name, func(t *testing.T) {
			t.Parallel()
			eu, us := newProvider(t, nil), newProvider(t, nil)
			s := snapshot(t, twoBackends(eu.address(), us.address(), func(c *router.Config) {
				c.Deployments = append(c.Deployments, router.Deployment{Name: "us", Zone: "us", Subset: []router.ModelIndex{1}})
			}))
			g := startGateway(t, s, gatewayOptions{zone: "eu", stateOfTheWorld: variant.stateOfTheWorld})
			for _, tt := range []struct {
				name, deployment string
				clusters         []string
				status           int
				zone             string
			}{
				{"its own", "eu", []string{first(s, 0)}, 200, "eu"},
				{"any zone's", "auto", []string{first(s, 0)}, 200, "eu"},
				{"any zone's, by the default chain", "auto", nil, 200, "eu"},
				{"any zone's, elsewhere", "auto", []string{first(s, 1)}, 503, ""},
				{"another zone's", "us", []string{first(s, 1)}, 503, ""},
				{"another zone's, by the default chain", "us", nil, 503, ""},
				{"no backend", "nowhere", nil, 503, ""},
			} {
				a := g.chat(plan{Deployment: tt.deployment, SendAs: "x", Clusters: tt.clusters})
				if a.status != tt.status || a.header.Get(envoy.HeaderZone) != tt.zone {
					t.Errorf("%s: %d in %q, %s", tt.name, a.status, a.header.Get(envoy.HeaderZone), a.body)
				}
				if tt.status == 503 {
					if _, _, code := errorBody(t, a); code != "upstream_unavailable" {
						t.Errorf("%s: %s", tt.name, a.body)
					}
				}
			}
			if n := len(us.received()); n != 0 {
				t.Errorf("%d requests left the zone", n)
			}
			if a := g.do("GET", "/v1/models/us", ""); a.status != 404 {
				t.Errorf("another zone's deployment is listed: %d %s", a.status, a.body)
			}
			for _, n := range g.server.Nodes() {
				if n.Zone != "eu" {
					t.Errorf("node in zone %q", n.Zone)
				}
			}
			// An edit reaches it, and a backend that moves to another zone goes.
			moved := snapshot(t, twoBackends(eu.address(), us.address(), func(c *router.Config) { c.Backends[0].Zone = "us" }))
			if err := g.server.Publish(t.Context(), g.build(moved)); err != nil {
				t.Fatal(err)
			}
			if a := g.chat(plan{Deployment: "auto", SendAs: "x", Clusters: []string{first(moved, 0)}}); a.status != 503 {
				t.Errorf("after the backend has moved away: %d", a.status)
			}
		})
	}
}
