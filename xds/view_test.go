package xds_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/router"
	"wye/xds"
)

// unionPolicy has a backend and a deployment of each zone, with keys and CA
// bundles; every name of the zone us contains "america".
func unionPolicy(t *testing.T, edit func(*router.Config)) *xds.Resources {
	t.Helper()
	backend := func(name, zone, address string) router.Backend {
		return router.Backend{
			Name: name, SendAs: name, Address: address, Zone: zone,
			Credential: &router.Credential{Env: "KEY_" + name, Header: "Authorization"},
			TLS:        &router.TLS{ServerName: name + ".test", CAFile: name + ".pem"},
		}
	}
	c := router.Config{
		Models: []router.Model{{Name: "m"}},
		Backends: []router.Backend{
			backend("europe", "eu", "127.0.0.1:8001"), backend("america", "us", "127.0.0.1:8002"), backend("america-dns", "us", "america.example:443"),
		},
		Deployments: []router.Deployment{
			{Name: "auto", Subset: []router.ModelIndex{0}},
			{Name: "eu-chat", Zone: "eu", Subset: []router.ModelIndex{0}},
			{Name: "america-chat", Aliases: []string{"chat-america"}, Zone: "us", Subset: []router.ModelIndex{0}},
		},
	}
	if edit != nil {
		edit(&c)
	}
	r, err := xds.Build(snapshot(t, c), xds.Options{
		Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:1",
		Secret:   func(c router.Credential) (string, error) { return "secret of " + c.Env, nil },
		ReadFile: func(name string) ([]byte, error) { return certificate(name), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// inZone is a node of a zone, by its metadata.
func inZone(zone string) *corev3.Node {
	fields, err := structpb.NewStruct(map[string]any{"wye": map[string]any{"zone": zone}})
	if err != nil {
		panic(err)
	}
	return &corev3.Node{Id: "n", Cluster: "c", Metadata: fields, Locality: &corev3.Locality{Zone: "us"}}
}

// asker is an xDS stream of either variant: it sends one request and hands on
// what comes.
type asker struct {
	send func(node *corev3.Node, typeURL string, names []string) error
	// receive returns the type and the resources of the next response.
	receive func() (string, []*anypb.Any, error)
}

// askers opens streams of both variants.
func askers(ctx context.Context, t *testing.T, conn *grpc.ClientConn) map[string]func() asker {
	t.Helper()
	client := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	return map[string]func() asker{
		"delta": func() asker {
			stream, err := client.DeltaAggregatedResources(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return asker{
				func(n *corev3.Node, typeURL string, names []string) error {
					return stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: typeURL, ResourceNamesSubscribe: names})
				},
				func() (string, []*anypb.Any, error) {
					r, err := stream.Recv()
					var all []*anypb.Any
					for _, res := range r.GetResources() {
						all = append(all, res.GetResource(), &anypb.Any{Value: []byte(res.GetName())})
					}
					return r.GetTypeUrl(), all, err
				},
			}
		},
		"state of the world": func() asker {
			stream, err := client.StreamAggregatedResources(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return asker{
				func(n *corev3.Node, typeURL string, names []string) error {
					return stream.Send(&discoveryv3.DiscoveryRequest{Node: n, TypeUrl: typeURL, ResourceNames: names})
				},
				func() (string, []*anypb.Any, error) {
					r, err := stream.Recv()
					return r.GetTypeUrl(), r.GetResources(), err
				},
			}
		},
	}
}

// A member of the zone eu gets nothing of the zone us: by whatever names it
// asks, over either variant of xDS, before a publication and after it.
func TestZoneViewHidesOtherZones(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	whole := unionPolicy(t, nil)
	s, conn := serveXDS(t, xds.Config{})
	if err := s.Publish(ctx, whole); err != nil {
		t.Fatal(err)
	}
	for variant, open := range askers(ctx, t, conn) {
		for _, typeURL := range xds.Types {
			all := whole.Names(typeURL)
			for what, names := range map[string][]string{
				"everything": nil, "a wildcard": {"*"}, "every name": all, "a wildcard and every name": append([]string{"*"}, all...),
				"globs": {"wye/*", "wye/first/*", "wye/first/america/*", "**", "", "xdstp:///" + typeURL + "/*", "xdstp://wye/america*"},
			} {
				name := variant + ", " + typeURL + ", " + what
				a := open()
				if err := a.send(inZone("eu"), typeURL, names); err != nil {
					t.Fatal(err)
				}
				// A second type on the same stream: whatever the first asked for, this
				// one is answered.
				last := resourcev3.ClusterType
				if typeURL == last {
					last = resourcev3.ListenerType
				}
				if err := a.send(nil, last, nil); err != nil {
					t.Fatal(err)
				}
				seen, mine, other := "", what != "every name", false
				for !mine || !other { // in whichever order
					got, resources, err := a.receive()
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					for _, r := range resources {
						b, err := proto.Marshal(r)
						if err != nil {
							t.Fatal(err)
						}
						seen += string(b)
					}
					mine, other = mine || got == typeURL && len(resources) > 0, other || got == last
				}
				if strings.Contains(seen, "america") || strings.Contains(seen, "8002") {
					t.Errorf("%s: the zone us shows", name)
				}
			}
		}
	}
	// Without a zone everything comes, so that the search finds what there is.
	a := askers(ctx, t, conn)["delta"]()
	if err := a.send(&corev3.Node{Id: "n"}, resourcev3.ClusterType, nil); err != nil {
		t.Fatal(err)
	}
	if _, resources, err := a.receive(); err != nil || !strings.Contains(fmt.Sprint(resources), "america") {
		t.Errorf("a member of no zone got %v, %v", resources, err)
	}
}

// A node is of one zone for as long as its stream lives, and of a zone that can
// be.
func TestZoneOfStream(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, conn := serveXDS(t, xds.Config{})
	if err := s.Publish(ctx, unionPolicy(t, nil)); err != nil {
		t.Fatal(err)
	}
	number := inZone("eu")
	number.Metadata.Fields["wye"].GetStructValue().Fields["zone"] = structpb.NewNumberValue(1)
	for variant, open := range askers(ctx, t, conn) {
		for what, tt := range map[string]struct {
			nodes []*corev3.Node
			want  codes.Code
		}{
			"another zone":         {[]*corev3.Node{inZone("eu"), inZone("us")}, codes.PermissionDenied},
			"no zone any more":     {[]*corev3.Node{inZone("eu"), {Id: "n"}}, codes.PermissionDenied},
			"a zone after none":    {[]*corev3.Node{nil, inZone("us")}, codes.PermissionDenied},
			"the same again":       {[]*corev3.Node{inZone("eu"), inZone("eu")}, codes.OK},
			"not a name":           {[]*corev3.Node{inZone("EU")}, codes.InvalidArgument},
			"the key of the whole": {[]*corev3.Node{inZone("eu/")}, codes.InvalidArgument},
			"a number":             {[]*corev3.Node{number}, codes.InvalidArgument},
			"an empty name":        {[]*corev3.Node{inZone("")}, codes.InvalidArgument},
		} {
			a := open()
			var err error
			types := []string{resourcev3.ClusterType, resourcev3.ListenerType}
			for i, n := range tt.nodes {
				if err = a.send(n, types[i], nil); err == nil {
					_, _, err = a.receive()
				}
				if err != nil && i+1 < len(tt.nodes) {
					t.Fatalf("%s, %s: %v at the first request", variant, what, err)
				}
			}
			if grpcstatus.Code(err) != tt.want {
				t.Errorf("%s, %s: %v, want %v", variant, what, err, tt.want)
			}
		}
	}
}

// Every member acknowledges what its zone is sent, and an edit waits for all.
func TestStageByZone(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{Grace: time.Millisecond})
	policy := func(models ...string) *xds.Resources {
		c := router.Config{Deployments: []router.Deployment{{Name: "auto"}}}
		for i, m := range models {
			c.Models = append(c.Models, router.Model{Name: m})
			c.Backends = append(c.Backends, router.Backend{Name: m, Model: router.ModelIndex(i), SendAs: m, Address: m + ".example:80", Zone: m[:2]})
			c.Deployments[0].Subset = append(c.Deployments[0].Subset, router.ModelIndex(i))
		}
		r, err := xds.Build(snapshot(t, c), xds.Options{Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := s.Publish(t.Context(), policy("eu-1", "us-1")); err != nil {
		t.Fatal(err)
	}
	eu, us := connect(t, conn, "european"), connect(t, conn, "american")
	eu.zone, us.zone = "eu", "us"
	for _, m := range []*member{eu, us} {
		m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
		r := m.receive(resourcev3.ClusterType)
		if got := strings.Join(names(r), " "); strings.Count(got, "wye/") != 2 || !strings.Contains(got, m.zone+"-1/") {
			t.Fatalf("%s got %s", m.id, got)
		}
		m.ack(r)
	}
	// An edit of one zone concerns its members alone.
	result := stage(t.Context(), t, s, policy("eu-1", "us-1", "us-2"))
	r := us.receive(resourcev3.ClusterType)
	if got := strings.Join(names(r), " "); strings.Count(got, "wye/") != 2 || !strings.Contains(got, "us-2/") {
		t.Fatalf("the edit brings %s", got)
	}
	pendingResult(t, result)
	us.ack(r)
	if err := done(t, result); err != nil {
		t.Fatal(err)
	}
	eu.quiet()
	// A refusal in one zone takes the edit back in all.
	result = stage(t.Context(), t, s, policy("eu-1", "eu-2", "us-1", "us-2", "us-3"))
	euGot, usGot := eu.receive(resourcev3.ClusterType), us.receive(resourcev3.ClusterType)
	eu.ack(euGot)
	us.nack(usGot, "no")
	var refused *xds.Rejection
	if err := done(t, result); !errors.As(err, &refused) || refused.NodeID != "american" {
		t.Fatalf("error %v", err)
	}
	if r := eu.receive(resourcev3.ClusterType); len(r.GetRemovedResources()) != 2 {
		t.Errorf("what remains with the other zone: %v", r)
	} else {
		eu.ack(r)
	}
	for _, n := range s.Nodes() {
		if n.Zone != map[string]string{"european": "eu", "american": "us"}[n.ID] {
			t.Errorf("node %s is shown in zone %q", n.ID, n.Zone)
		}
	}
	// Retired clusters go from their zone.
	us.ack(us.receive(resourcev3.ClusterType)) // what was taken back
	result = stage(t.Context(), t, s, policy("eu-1", "us-1"))
	if err := done(t, result); err != nil {
		t.Fatal(err)
	}
	if r := us.receive(resourcev3.ClusterType); len(r.GetRemovedResources()) != 2 || !strings.Contains(r.GetRemovedResources()[0], "us-2") {
		t.Errorf("retired: %v", r)
	}
}

// A zone that no policy has gets no backend, and says so to clients.
func TestZoneWithoutBackends(t *testing.T) {
	t.Parallel()
	part, err := unionPolicy(t, nil).InZone("mars")
	if err != nil {
		t.Fatal(err)
	}
	if got := part.Names(resourcev3.ClusterType); !slices.Equal(got, []string{"wye_exhausted", "wye_extproc"}) {
		t.Errorf("clusters %q", got)
	}
	if n := len(part.Names(resourcev3.SecretType)) + len(part.Names(resourcev3.EndpointType)); n != 0 {
		t.Errorf("%d secrets and endpoints", n)
	}
	if _, err := unionPolicy(t, nil).InZone("Mars"); err == nil {
		t.Error("a zone that cannot be is one")
	}
}
