package xds

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	routematcherv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/matcher/v3"
	prioritygroupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"wye/envoy"
)

// listeners follows what every listener does with a request.
func (w *walk) listeners() {
	w.reach = make(map[string]*ways)
	for _, name := range w.resources.Names(resourcev3.ListenerType) {
		l, ok := w.resources.Resource(resourcev3.ListenerType, name).(*listenerv3.Listener)
		if !ok {
			w.fault("listener %s cannot be read", name)
			continue
		}
		chains := append([]*listenerv3.FilterChain{}, l.GetFilterChains()...)
		if l.GetDefaultFilterChain() != nil {
			chains = append(chains, l.GetDefaultFilterChain())
		}
		for _, chain := range chains {
			for _, f := range chain.GetFilters() {
				hcm := new(hcmv3.HttpConnectionManager)
				if !f.GetTypedConfig().MessageIs(hcm) || f.GetTypedConfig().UnmarshalTo(hcm) != nil {
					w.fault("what filter %s of listener %s does cannot be followed", f.GetName(), name)
					continue
				}
				routes := hcm.GetRouteConfig()
				if rds := hcm.GetRds(); rds != nil {
					routes, _ = w.resources.Resource(resourcev3.RouteType, rds.GetRouteConfigName()).(*routev3.RouteConfiguration)
				}
				if routes == nil {
					w.fault("the routes of listener %s cannot be followed", name)
					continue
				}
				w.routes(routes)
			}
		}
	}
}

func (w *walk) routes(c *routev3.RouteConfiguration) {
	if c.GetVhds() != nil || len(c.GetClusterSpecifierPlugins()) > 0 || len(c.GetTypedPerFilterConfig()) > 0 {
		w.fault("the routes %s have parts elsewhere", c.GetName())
	}
	for _, host := range c.GetVirtualHosts() {
		if host.GetMatcher() != nil || len(host.GetRequestMirrorPolicies()) > 0 {
			w.fault("the routes of host %s cannot be followed", host.GetName())
		}
		for _, r := range host.GetRoutes() {
			w.route(host, r)
		}
	}
}

// route follows one route: where it leads by itself, and where metadata can make
// it lead, which is to every cluster there is.
func (w *walk) route(host *routev3.VirtualHost, r *routev3.Route) {
	action := r.GetRoute()
	if action == nil {
		if r.GetDirectResponse() == nil && r.GetRedirect() == nil {
			w.fault("what route %s does cannot be followed", r.GetName())
		}
		return
	}
	if len(action.GetRequestMirrorPolicies()) > 0 || action.GetInternalRedirectPolicy() != nil {
		w.fault("route %s leads to more than one place", r.GetName())
	}
	named, anywhere := defaultClusters(action)
	deployment, ok := w.deploymentOf(r)
	if !ok {
		w.fault("route %s leads to clusters for requests of any deployment", r.GetName())
		return
	}
	d := w.reach[deployment]
	if d == nil {
		d = &ways{byDefault: make(map[string]bool), reachable: make(map[string]bool), refused: make(map[string]bool)}
		w.reach[deployment] = d
	}
	for _, c := range named {
		d.byDefault[c] = true
	}
	if anywhere {
		named = append(named, w.resources.Names(resourcev3.ClusterType)...)
	}
	for _, c := range named {
		if w.admits(c, host, r) {
			d.reachable[c] = true
		} else {
			d.refused[c] = true
		}
	}
}

// defaultClusters lists the clusters that an action names; anywhere is set when
// metadata, headers or what is not known here can name any other.
func defaultClusters(a *routev3.RouteAction) (named []string, anywhere bool) {
	if c := a.GetCluster(); c != "" {
		return []string{c}, false
	}
	matcher := new(routematcherv3.MatcherClusterSpecifier)
	if config := a.GetInlineClusterSpecifierPlugin().GetExtension().GetTypedConfig(); config.MessageIs(matcher) {
		if config.UnmarshalTo(matcher) != nil {
			return nil, true
		}
		named, ok := matched(matcher.GetClusterMatcher())
		return named, !ok
	}
	groups := new(prioritygroupv3.PriorityGroupClusterSpecifier)
	config := a.GetInlineClusterSpecifierPlugin().GetExtension().GetTypedConfig()
	if config == nil || config.UnmarshalTo(groups) != nil {
		return nil, true
	}
	for _, g := range groups.GetPriorityGroups() {
		for _, c := range g.GetClusters() {
			named = append(named, c.GetClusterName())
		}
	}
	return named, groups.GetOverrideMetadataNamespace() != ""
}

// deploymentOf is the deployment whose requests alone take the route.
func (w *walk) deploymentOf(r *routev3.Route) (string, bool) {
	for _, m := range r.GetMatch().GetDynamicMetadata() {
		exact := m.GetValue().GetStringMatch().GetExact()
		if m.GetFilter() == envoy.NamespaceDecision && len(m.GetPath()) == 1 && m.GetPath()[0].GetKey() == envoy.KeyDeployment &&
			exact != "" && !m.GetInvert() && !m.GetValue().GetStringMatch().GetIgnoreCase() {
			return exact, true
		}
	}
	return "", false
}
