package control_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/control"
)

// inEU is the identity of whoever connects in these tests.
func inEU(context.Context) (string, error) { return "eu", nil }

// euNames are the resources of the policy's part for eu.
var euNames = []string{
	"backend/eu-mini", "backend/eu-nano", "deployment/anywhere", "deployment/eu-chat",
	"head", "model/gpt-4.1-mini", "model/gpt-4.1-nano", "order",
}

// Whatever a member of eu asks for, in either protocol, there is nothing of us in
// the answer.
func TestMemberSeesItsZone(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{Identify: inEU})
	publish(t, s, control.Release{Policy: parse(t, policyText(0, 1))})
	for _, tt := range []struct {
		name      string
		ask, want []string
	}{
		{name: "everything", want: euNames},
		{name: "a star", ask: []string{"*"}, want: euNames},
		{name: "another zone's by name", ask: []string{"deployment/us-chat", "backend/us-secret", "model/gpt-4.1", "deployment/us-only-models"}},
		{name: "patterns", ask: []string{"deployment/*", "*/*", "**", "backend/us-?ecret", "xdstp://x/wye.policy.v1.Policy/*", "backend/.*", ""}},
		{name: "a mixture", ask: []string{"deployment/us-chat", "deployment/eu-chat"}, want: []string{"deployment/eu-chat"}},
	} {
		t.Run("delta, "+tt.name, func(t *testing.T) {
			t.Parallel()
			d := connect(t, conn, node("member", ""))
			d.send(&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: tt.ask})
			r := d.receive()
			got := slices.Sorted(maps.Keys(holds{}.take(r)))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			r.RemovedResources = nil // they repeat what was asked for
			checkForeign(t, r)
			d.ack(r)
			d.send(&discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"backend/us-nano"}})
			r = d.receive()
			if len(r.GetResources()) != 0 || !slices.Equal(r.GetRemovedResources(), []string{"backend/us-nano"}) {
				t.Errorf("asked for more, got %v", r)
			}
		})
		t.Run("state of the world, "+tt.name, func(t *testing.T) {
			t.Parallel()
			stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&discoveryv3.DiscoveryRequest{Node: node("member", "eu"), TypeUrl: control.TypeURL, ResourceNames: tt.ask}); err != nil {
				t.Fatal(err)
			}
			r, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range r.GetResources() {
				res := &discoveryv3.Resource{}
				if err := a.UnmarshalTo(res); err != nil {
					t.Fatal(err)
				}
				got = append(got, res.GetName())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if mentions(t, r, "us-") || mentions(t, r, "gpt-4.1-2025") {
				t.Errorf("got %v", r)
			}
		})
	}
}

// checkForeign fails if r has anything of us in it.
func checkForeign(t *testing.T, r *discoveryv3.DeltaDiscoveryResponse) {
	t.Helper()
	for _, foreign := range []string{"us-", "us.example", "gpt-4.1-2025"} {
		if mentions(t, r, foreign) {
			t.Errorf("%s is in %v", foreign, r)
		}
	}
}

// withOwn is a node with something in Wye's part of its metadata.
func withOwn(id string, own map[string]any) *corev3.Node {
	s, err := structpb.NewStruct(map[string]any{"wye": own})
	if err != nil {
		panic(err) // the test's own fault
	}
	return &corev3.Node{Id: id, Metadata: s}
}

// What a node may not say of itself ends the stream before anything is sent.
func TestNodesThatAreRefused(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{Identify: inEU})
	publish(t, s, control.Release{Policy: parse(t, policyText(0, 1))})
	many := map[string]any{}
	for i := range 33 {
		many["k"+strings.Repeat("x", i)] = "v"
	}
	for _, tt := range []struct {
		name string
		node *corev3.Node
		want codes.Code
	}{
		{"another zone", node("m", "us"), codes.PermissionDenied},
		{"all zones", node("m", "global"), codes.PermissionDenied},
		{"another zone in the metadata", withOwn("m", map[string]any{"zone": "us"}), codes.PermissionDenied},
		{"a zone that is a number", withOwn("m", map[string]any{"zone": 7}), codes.InvalidArgument},
		{"a zone that is none", node("m", "../us"), codes.InvalidArgument},
		{"no node", nil, codes.InvalidArgument},
		{"no id", node("", ""), codes.InvalidArgument},
		{"an id with a line break", node("a\nb", ""), codes.InvalidArgument},
		{"a long id", node(strings.Repeat("x", 257), ""), codes.InvalidArgument},
		{"many labels", withOwn("m", map[string]any{"labels": many}), codes.InvalidArgument},
		{"a label of another kind", withOwn("m", map[string]any{"labels": map[string]any{"a": 1}}), codes.InvalidArgument},
		{"a label with a line break", withOwn("m", map[string]any{"labels": map[string]any{"a": "b\nc"}}), codes.InvalidArgument},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := connect(t, conn, tt.node)
			d.send(&discoveryv3.DeltaDiscoveryRequest{})
			if err := d.end(); status.Code(err) != tt.want {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// Within a stream nobody becomes somebody else, asks for another type, or names
// without end.
func TestStreamsThatAreEnded(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{})
	publish(t, s, control.Release{Policy: parse(t, policyText(0, 1))})
	names := make([]string, 8193)
	for i := range names {
		names[i] = strings.Repeat("x", i%100) + string(rune('a'+i%26)) + strings.Repeat("y", i/100)
	}
	for _, tt := range []struct {
		name   string
		node   *corev3.Node
		second *discoveryv3.DeltaDiscoveryRequest
		want   codes.Code
	}{
		{"another zone", node("m", "us"), &discoveryv3.DeltaDiscoveryRequest{}, codes.PermissionDenied},
		{"no zone any more", node("m", ""), &discoveryv3.DeltaDiscoveryRequest{}, codes.PermissionDenied},
		{"another id", node("n", "eu"), &discoveryv3.DeltaDiscoveryRequest{}, codes.PermissionDenied},
		{"another type", node("m", "eu"), &discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"}, codes.InvalidArgument},
		{"many names", node("m", "eu"), &discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: names}, codes.ResourceExhausted},
		{"a long name", node("m", "eu"), &discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{strings.Repeat("x", 513)}}, codes.ResourceExhausted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := connect(t, conn, node("m", "eu"))
			d.send(&discoveryv3.DeltaDiscoveryRequest{})
			d.ack(d.receive())
			d.node = tt.node
			d.send(tt.second)
			if err := d.end(); status.Code(err) != tt.want {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// Without an identity there is nothing, and without Envoys no other type.
func TestNoIdentityAndNoEnvoys(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{Identify: func(context.Context) (string, error) { return "", errors.New("no certificate") }})
	publish(t, s, control.Release{Policy: parse(t, policyText(0, 1))})
	d := connect(t, conn, node("m", ""))
	d.send(&discoveryv3.DeltaDiscoveryRequest{})
	if err := d.end(); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("error %v", err)
	}
	d = connect(t, conn, node("m", ""))
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"})
	if err := d.end(); status.Code(err) != codes.Unimplemented {
		t.Errorf("error %v", err)
	}
	if len(s.Members()) != 0 {
		t.Errorf("members %+v", s.Members())
	}
}

// A zone that the policy has nothing for is told so, with nothing.
func TestZoneWithNothing(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{})
	publish(t, s, control.Release{Policy: parse(t, policyText(0, 1))})
	d := connect(t, conn, node("m", "mars"))
	d.send(&discoveryv3.DeltaDiscoveryRequest{})
	if r := d.receive(); len(r.GetResources()) != 0 || r.GetSystemVersionInfo() != "" {
		t.Errorf("got %v", r)
	}
}
