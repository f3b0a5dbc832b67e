package xds

import (
	"fmt"
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"

	"wye/envoy"
)

// union is what serves requests that were decided under any of the sets, the
// newest first: everything in any of them, and of resources of the same name
// the newest.
func union(sets []*Resources) (*Resources, error) {
	if len(sets) == 1 {
		return sets[0], nil
	}
	u := newResources()
	for _, set := range slices.Backward(sets) {
		for t, resources := range set.byType {
			maps.Copy(u.byType[t], resources)
		}
	}
	u.Warnings = sets[0].Warnings
	delete(u.byType[resourcev3.RouteType], envoy.RouteName)
	routes, err := unionRoutes(sets)
	if err != nil {
		return nil, err
	}
	if err := u.add(envoy.RouteName, routes); err != nil {
		return nil, err
	}
	return u.partsBy(func(v view) (*Resources, error) {
		parts := make([]*Resources, 0, len(sets))
		for _, set := range sets {
			part, err := set.of(v)
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
		}
		return union(parts)
	}), nil
}

// unionRoutes is the newest route configuration with the routes of deployments
// that only older ones have.
func unionRoutes(sets []*Resources) (*routev3.RouteConfiguration, error) {
	var all *routev3.RouteConfiguration
	seen := make(map[string]bool)
	for _, set := range sets {
		c, ok := set.Resource(resourcev3.RouteType, envoy.RouteName).(*routev3.RouteConfiguration)
		if !ok {
			return nil, fmt.Errorf("resources have no route configuration %q", envoy.RouteName)
		}
		if all == nil {
			all = proto.CloneOf(c)
			for _, r := range all.GetVirtualHosts()[0].GetRoutes() {
				seen[r.GetName()] = true
			}
			continue
		}
		host := all.GetVirtualHosts()[0]
		var old []*routev3.Route
		for _, r := range c.GetVirtualHosts()[0].GetRoutes() {
			if isDeploymentRoute(r) && !seen[r.GetName()] {
				seen[r.GetName()] = true
				old = append(old, r)
			}
		}
		// In front: the routes behind those of the deployments match any name.
		host.Routes = append(old, host.Routes...)
	}
	return all, nil
}

// isDeploymentRoute tells the routes that decided requests take from those that
// answer by path.
func isDeploymentRoute(r *routev3.Route) bool { return len(r.GetMatch().GetDynamicMetadata()) > 0 }
