package xds_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"wye/envoy"
	"wye/router"
	"wye/xds"
)

// oldEnvoy is the oldest release that is served.
const oldEnvoy = "1.39.3"

// An Envoy without priority groups goes down the chain that the ext_proc server
// names, cluster by cluster, and no client can have it begin elsewhere.
func TestChainByAttempt(t *testing.T) {
	t.Parallel()
	a, b := newProvider(t, status503), newProvider(t, nil)
	s := snapshot(t, twoBackends(a.address(), b.address(), nil))
	g := startGateway(t, s, gatewayOptions{version: oldEnvoy})
	for _, tt := range []struct {
		name     string
		clusters []string
		status   int
		model    string
		attempts string
		sawA     int
		message  string
	}{
		{"first", []string{first(s, 1)}, 200, "b", "1", 0, ""},
		{"second", []string{first(s, 0), fallback(s, 1)}, 200, "b", "2", 1, ""},
		{"third", []string{first(s, 0), fallback(s, 0), fallback(s, 1)}, 200, "b", "3", 2, ""},
		{"fourth", []string{first(s, 0), fallback(s, 0), fallback(s, 0), fallback(s, 1)}, 200, "b", "4", 3, ""},
		{
			"exhausted",
			[]string{first(s, 0), fallback(s, 0), envoy.ExhaustedCluster},
			503, "", "2", 2,
			"Every model that could serve the request failed: a-2026: status 503; a-2026: status 503.",
		},
		{"of another's deployment, which is the default order", []string{"wye/first/nobody/12345678"}, 200, "b", "2", 1, ""},
	} {
		before := len(a.received())
		got := g.chat(plan{Deployment: "auto", SendAs: "b-sent", Model: "a-2026", Clusters: tt.clusters}, "x-envoy-attempt-count", "3")
		if got.status != tt.status || got.header.Get(envoy.HeaderModel) != tt.model || got.header.Get(envoy.HeaderAttempts) != tt.attempts ||
			!strings.Contains(got.body, tt.message) {
			t.Errorf("%s: %d %s %v", tt.name, got.status, got.body, got.header)
		}
		if n := len(a.received()) - before; n != tt.sawA {
			t.Errorf("%s: the first provider saw %d requests, want %d", tt.name, n, tt.sawA)
		}
	}
	for _, r := range b.received() {
		if r.model != "b-sent" {
			t.Errorf("the second provider got model %q", r.model)
		}
	}
}

var status503 = status(http.StatusServiceUnavailable)

// On such an Envoy, too, a request stays in its zone whatever the ext_proc server
// names: the route knows no cluster of another.
func TestChainByAttemptStaysInZone(t *testing.T) {
	t.Parallel()
	eu, us := newProvider(t, status503), newProvider(t, nil)
	s := snapshot(t, twoBackends(eu.address(), us.address(), nil))
	g := startGateway(t, s, gatewayOptions{version: oldEnvoy})
	for _, clusters := range [][]string{
		{first(s, 1)}, {fallback(s, 1)}, {first(s, 0), fallback(s, 1)}, {first(s, 0), first(s, 1), first(s, 1)}, nil,
	} {
		got := g.chat(plan{Deployment: "eu", SendAs: "b-sent", Clusters: clusters})
		if _, _, code := errorBody(t, got); got.status != 503 || code != "all_models_failed" {
			t.Errorf("%v: %d %s", clusters, got.status, got.body)
		}
	}
	if n := len(us.received()); n != 0 {
		t.Errorf("%d requests left the zone", n)
	}
}

// An edit of the policy loses no request that was decided before it, although
// its clusters are no longer those of the route.
func TestChainByAttemptOverAnEdit(t *testing.T) {
	t.Parallel()
	a, b := newProvider(t, status503), newProvider(t, nil)
	s := snapshot(t, twoBackends(a.address(), b.address(), nil))
	g := startGateway(t, s, gatewayOptions{version: oldEnvoy, grace: time.Minute})
	edited := snapshot(t, twoBackends(a.address(), b.address(), func(c *router.Config) {
		c.Backends[1].SendAs, c.Backends[1].Hash = "b-edited", ""
		c.Deployments[0].MaxAttempts = 2
	}))
	if fallback(s, 1) == fallback(edited, 1) {
		t.Fatal("the edit changes no cluster")
	}
	if err := g.server.Publish(t.Context(), g.build(edited)); err != nil {
		t.Fatal(err)
	}
	for send, of := range map[string]*router.Snapshot{"b-sent": s, "b-edited": edited} {
		got := g.chat(plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(of, 0), fallback(of, 1)}})
		if got.status != 200 || !strings.Contains(got.body, send) {
			t.Errorf("%s: %d %s", send, got.status, got.body)
		}
	}
}

// An Envoy that is too old is told so and sent nothing.
func TestTooOldEnvoy(t *testing.T) {
	t.Parallel()
	server := xds.NewServer(xds.Config{})
	t.Cleanup(server.Close)
	r, err := xds.Build(snapshot(t, twoBackends("127.0.0.1:1", "127.0.0.1:2", nil)), xds.Options{Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ads := grpc.NewServer()
	server.Register(ads)
	conn, err := grpc.NewClient(serve(t, ads), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for _, tt := range []struct {
		major, minor uint32
		code         codes.Code
	}{{1, 38, codes.FailedPrecondition}, {0, 99, codes.FailedPrecondition}, {1, 39, codes.OK}, {1, 40, codes.OK}, {2, 0, codes.OK}} {
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = stream.Send(&discoveryv3.DiscoveryRequest{TypeUrl: resourcev3.ListenerType, Node: &corev3.Node{
			Id: "n", UserAgentVersionType: &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{
				Version: &typev3.SemanticVersion{MajorNumber: tt.major, MinorNumber: tt.minor},
			}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		r, err := stream.Recv()
		if grpcstatus.Code(err) != tt.code || err == nil && len(r.GetResources()) != 1 {
			t.Errorf("envoy %d.%d: %v, %v", tt.major, tt.minor, r, err)
		}
		if err != nil && !strings.Contains(err.Error(), "is older than 1.39") {
			t.Error(err)
		}
		_ = stream.CloseSend()
	}
}
