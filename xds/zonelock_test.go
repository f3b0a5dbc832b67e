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
