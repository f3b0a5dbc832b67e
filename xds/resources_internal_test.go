package xds

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/durationpb"
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
