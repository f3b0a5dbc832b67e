package xds

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"wye/envoy"
)

func TestSharing(t *testing.T) {
	t.Parallel()
	build := func(seconds int64) *Resources {
		r := newResources()
		for name, s := range map[string]int64{"same": 1, "changed": seconds} {
			c := &clusterv3.Cluster{Name: name, ConnectTimeout: &durationpb.Duration{Seconds: s}}
			if err := r.add(name, c); err != nil {
				t.Fatal(err)
			}
		}
		return r
	}
	before, after := build(2), build(3)
	after.Warnings = []string{"look"}
	shared := after.sharing(before)
	if !shared.Equal(after) || len(shared.Warnings) != 1 {
		t.Error("sharing changed what there is")
	}
	if shared.Resource(resourcev3.ClusterType, "same") != before.Resource(resourcev3.ClusterType, "same") {
		t.Error("what is the same is there twice")
	}
	if shared.Resource(resourcev3.ClusterType, "changed") != after.Resource(resourcev3.ClusterType, "changed") {
		t.Error("what changed is the old one")
	}
}

func TestSharingRoutes(t *testing.T) {
	t.Parallel()
	build := func(body string) *Resources {
		routes := []*routev3.Route{reply("twin", exactPath("/a"), 200, "same"), reply("twin", exactPath("/b"), 200, body), reply("last", exactPath("/c"), 200, "same")}
		r := newResources()
		if err := r.add(envoy.RouteName, &routev3.RouteConfiguration{
			Name: envoy.RouteName, VirtualHosts: []*routev3.VirtualHost{{Name: "wye", Domains: []string{"*"}, Routes: routes}},
		}); err != nil {
			t.Fatal(err)
		}
		return r
	}
	of := func(r *Resources) *routev3.RouteConfiguration {
		return r.Resource(resourcev3.RouteType, envoy.RouteName).(*routev3.RouteConfiguration)
	}
	before, after := build("old"), build("new")
	untouched, want := proto.CloneOf(of(before)), proto.CloneOf(of(after))
	shared := of(after.sharing(before))
	if !proto.Equal(shared, want) || !proto.Equal(of(after), want) || !proto.Equal(of(before), untouched) {
		t.Error("sharing changed what there is")
	}
	had, now := of(before).GetVirtualHosts()[0].GetRoutes(), shared.GetVirtualHosts()[0].GetRoutes()
	for i, same := range []bool{true, false, true} {
		if (had[i] == now[i]) != same {
			t.Errorf("route %d is shared: %v", i, !same)
		}
	}
}
