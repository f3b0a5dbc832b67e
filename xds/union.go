package xds

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	prioritygroupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
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
		for i, set := range sets {
			part, err := set.of(v)
			if i > 0 && errors.Is(err, errRetired) {
				continue
			}
			if err != nil {
				return nil, err
			}
			parts = append(parts, part)
		}
		return union(parts)
	}), nil
}

// unionRoutes is the newest route configuration with the routes of deployments
// that only older ones have. A deployment that several have has the newest one's
// route, and the groups of all: a decision names groups.
func unionRoutes(sets []*Resources) (*routev3.RouteConfiguration, error) {
	var all *routev3.RouteConfiguration
	var lists [][]*routev3.Route // of each set, without what a newer one has
	type place struct{ list, index int }
	seen := make(map[string]place)
	own := make(map[string]bool) // copied, so that groups may be added
	for _, set := range sets {
		c, ok := set.Resource(resourcev3.RouteType, envoy.RouteName).(*routev3.RouteConfiguration)
		if !ok {
			return nil, fmt.Errorf("resources have no route configuration %q", envoy.RouteName)
		}
		if all == nil {
			all = withOwnHosts(c)
			lists = append(lists, all.GetVirtualHosts()[0].GetRoutes())
			for i, r := range lists[0] {
				seen[r.GetName()] = place{0, i}
			}
			continue
		}
		var old []*routev3.Route
		for _, r := range c.GetVirtualHosts()[0].GetRoutes() {
			if !isDeploymentRoute(r) {
				continue
			}
			at, ok := seen[r.GetName()]
			if !ok {
				seen[r.GetName()] = place{len(lists), len(old)}
				old = append(old, r)
				continue
			}
			newer := &old
			if at.list < len(lists) {
				newer = &lists[at.list]
			}
			if (*newer)[at.index] == r {
				continue
			}
			if !own[r.GetName()] {
				own[r.GetName()] = true
				(*newer)[at.index] = proto.CloneOf((*newer)[at.index])
			}
			if err := addGroups((*newer)[at.index], r); err != nil {
				return nil, err
			}
		}
		lists = append(lists, old)
	}
	// The older in front: the routes behind those of the deployments match any name.
	slices.Reverse(lists)
	all.GetVirtualHosts()[0].Routes = slices.Concat(lists...)
	return all, nil
}

// isDeploymentRoute tells the routes that decided requests take from those that
// answer by path.
func isDeploymentRoute(r *routev3.Route) bool { return len(r.GetMatch().GetDynamicMetadata()) > 0 }

// addGroups adds the priority groups that only from has to the end of those of
// to, behind the order that a request without one of its own takes.
func addGroups(to, from *routev3.Route) error {
	if added, err := addAttempts(to, from); added || err != nil {
		return err
	}
	target, err := priorityGroups(to)
	if err != nil {
		return err
	}
	source, err := priorityGroups(from)
	if err != nil {
		return err
	}
	if target == nil || source == nil {
		return nil // one of them answers by itself
	}
	known := make(map[string]bool)
	for _, g := range target.GetPriorityGroups() {
		known[g.GetName()] = true
	}
	for _, g := range source.GetPriorityGroups() {
		if !known[g.GetName()] {
			target.PriorityGroups = append(target.PriorityGroups, g)
		}
	}
	to.GetRoute().GetInlineClusterSpecifierPlugin().GetExtension().TypedConfig = packed(target)
	return nil
}

// addAttempts does what addGroups does for chains by attempt, if both have those.
func addAttempts(to, from *routev3.Route) (added bool, err error) {
	target, err := attemptsOf(to.GetRoute().GetInlineClusterSpecifierPlugin().GetExtension().GetTypedConfig())
	if target == nil || err != nil {
		return false, err
	}
	source, err := attemptsOf(from.GetRoute().GetInlineClusterSpecifierPlugin().GetExtension().GetTypedConfig())
	if source == nil || err != nil {
		return false, err
	}
	target.add(source)
	to.GetRoute().GetInlineClusterSpecifierPlugin().Extension = target.extension()
	return true, nil
}

// priorityGroups returns a copy of a route's cluster specifier, nil if it has
// none, or another.
func priorityGroups(r *routev3.Route) (*prioritygroupv3.PriorityGroupClusterSpecifier, error) {
	config := r.GetRoute().GetInlineClusterSpecifierPlugin().GetExtension().GetTypedConfig()
	s := new(prioritygroupv3.PriorityGroupClusterSpecifier)
	if !config.MessageIs(s) {
		return nil, nil
	}
	if err := config.UnmarshalTo(s); err != nil {
		return nil, fmt.Errorf("route %s: %w", r.GetName(), err)
	}
	return s, nil
}
