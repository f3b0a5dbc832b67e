package xds_test

import (
	"net"
	"testing"

	"wye/envoy"
)

// A backend whose name does not resolve is one that cannot be reached: the next
// one serves, and where there is none, the client is told.
func TestUnresolvedBackend(t *testing.T) {
	t.Parallel()
	b := newProvider(t, nil)
	s := snapshot(t, twoBackends("provider.invalid:443", b.address(), nil))
	g := startGateway(t, s, gatewayOptions{})
	got := g.chat(plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 1)}})
	if got.status != 200 || got.header.Get(envoy.HeaderModel) != "b" || got.header.Get(envoy.HeaderAttempts) != "2" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if r := b.received(); len(r) != 1 || r[0].host != b.address() {
		t.Errorf("the provider got %+v", r)
	}
	got = g.chat(plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 0)}})
	if _, _, code := errorBody(t, got); got.status != 503 || code != "upstream_unavailable" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
}

// A backend whose name resolves gets every request.
func TestResolvedBackend(t *testing.T) {
	t.Parallel()
	a := newProvider(t, nil)
	_, port, err := net.SplitHostPort(a.address())
	if err != nil {
		t.Fatal(err)
	}
	s := snapshot(t, twoBackends(net.JoinHostPort("localhost", port), "127.0.0.1:1", nil))
	g := startGateway(t, s, gatewayOptions{})
	for range 20 {
		got := g.chat(plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 1)}})
		if got.status != 200 || got.header.Get(envoy.HeaderAttempts) != "1" {
			t.Fatalf("%d %v %s", got.status, got.header, got.body)
		}
	}
}
