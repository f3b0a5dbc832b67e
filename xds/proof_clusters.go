package xds

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	"wye/envoy"
)

// clusters finds which backends are behind each cluster, by its endpoints.
func (w *walk) clusters() {
	w.behind, w.used = make(map[string][]Reached), make(map[string]bool)
	for _, name := range w.resources.Names(resourcev3.ClusterType) {
		c, ok := w.resources.Resource(resourcev3.ClusterType, name).(*clusterv3.Cluster)
		if !ok {
			w.fault("cluster %s cannot be read", name)
			continue
		}
		w.noteSecrets(c)
		var load *endpointv3.ClusterLoadAssignment
		switch c.GetType() {
		case clusterv3.Cluster_EDS:
			load, _ = w.resources.Resource(resourcev3.EndpointType, name).(*endpointv3.ClusterLoadAssignment)
		case clusterv3.Cluster_STRICT_DNS, clusterv3.Cluster_STATIC:
			load = c.GetLoadAssignment()
		case clusterv3.Cluster_LOGICAL_DNS, clusterv3.Cluster_ORIGINAL_DST:
		}
		if load == nil || c.GetClusterType() != nil {
			w.fault("where cluster %s leads cannot be followed", name)
			continue
		}
		if name == envoy.ExtProcCluster {
			continue // Wye itself, which has every prompt anyway
		}
		for _, locality := range load.GetEndpoints() {
			for _, e := range locality.GetLbEndpoints() {
				w.endpoint(c, e.GetEndpoint().GetAddress())
			}
		}
	}
}

// endpoint notes which backend is at an address of a cluster. The cluster says
// which one it means to be; the policy says where that is, and in which zone.
func (w *walk) endpoint(c *clusterv3.Cluster, at *corev3.Address) {
	socket := at.GetSocketAddress()
	if socket != nil && socket.GetPortValue() == 0 {
		return // nobody can listen there: see withSubstitute
	}
	fields := c.GetMetadata().GetFilterMetadata()[envoy.NamespaceDecision].GetFields()
	means := fields[envoy.KeyBackend].GetStringValue()
	for i := range w.snapshot.Backends {
		b := &w.snapshot.Backends[i]
		if b.Name != means {
			continue
		}
		a, err := envoy.ParseAddress(b.Address)
		if err != nil || protoAddress(a).String() != at.String() {
			w.fault("cluster %s is for backend %s, but leads to %s", c.GetName(), b.Name, at)
		}
		if said := fields[envoy.KeyZone].GetStringValue(); said != b.Zone {
			w.fault("cluster %s says zone %q of backend %s, which is in %q", c.GetName(), said, b.Name, b.Zone)
		}
		w.behind[c.GetName()] = append(w.behind[c.GetName()], Reached{Backend: b.Name, Zone: zoneOf(b.Zone)})
		return
	}
	w.fault("cluster %s leads to %s, which is no backend of the policy", c.GetName(), at)
}

// noteSecrets finds the secrets that a cluster refers to, however deep.
func (w *walk) noteSecrets(c *clusterv3.Cluster) {
	err := protorange.Range(c.ProtoReflect(), func(p protopath.Values) error {
		m, ok := p.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if secret, ok := m.Interface().(*tlsv3.SdsSecretConfig); ok {
			w.used[secret.GetName()] = true
		}
		return nil
	})
	if err != nil {
		w.fault("cluster %s cannot be read: %v", c.GetName(), err)
	}
}

// admits reports whether the filters of a cluster let the requests of a route
// through. What they cannot be shown to refuse, they let through.
func (w *walk) admits(cluster string, host *routev3.VirtualHost, r *routev3.Route) bool {
	c, ok := w.resources.Resource(resourcev3.ClusterType, cluster).(*clusterv3.Cluster)
	if !ok {
		return false // there is nothing that could let it through
	}
	packedOptions := c.GetTypedExtensionProtocolOptions()[httpProtocolOptions]
	options := new(httpv3.HttpProtocolOptions)
	if packedOptions == nil || packedOptions.UnmarshalTo(options) != nil {
		return true
	}
	for _, f := range options.GetHttpFilters() {
		// Anything on the way to the route may have been told to replace it.
		_, replaced := r.GetTypedPerFilterConfig()[f.GetName()]
		_, replacedAbove := host.GetTypedPerFilterConfig()[f.GetName()]
		if !replaced && !replacedAbove && refuses(f, r) {
			return false
		}
	}
	return true
}

// refuses reports whether f certainly refuses requests of the route.
func refuses(f *hcmv3.HttpFilter, r *routev3.Route) bool {
	config := new(rbacv3.RBAC)
	if f.GetDisabled() || !f.GetTypedConfig().MessageIs(config) || f.GetTypedConfig().UnmarshalTo(config) != nil {
		return false
	}
	if config.GetMatcher() != nil || config.GetRules().GetAction() != rbacconfigv3.RBAC_ALLOW || config.GetRules() == nil {
		return false
	}
	for _, p := range config.GetRules().GetPolicies() {
		for _, permission := range p.GetPermissions() {
			if mayPermit(permission, r) {
				return false
			}
		}
	}
	return true
}

// mayPermit reports whether the permission may hold for a request of the route.
// It knows what zoneLock writes and takes everything else for a yes.
func mayPermit(p *rbacconfigv3.Permission, r *routev3.Route) bool {
	switch rule := p.GetRule().(type) {
	case *rbacconfigv3.Permission_OrRules:
		for _, one := range rule.OrRules.GetRules() {
			if mayPermit(one, r) {
				return true
			}
		}
		return false
	case *rbacconfigv3.Permission_SourcedMetadata:
		m := rule.SourcedMetadata.GetMetadataMatcher()
		exact := m.GetValue().GetStringMatch().GetExact()
		if rule.SourcedMetadata.GetMetadataSource() != rbacconfigv3.MetadataSource_ROUTE || m.GetInvert() ||
			len(m.GetPath()) != 1 || exact == "" || m.GetValue().GetStringMatch().GetIgnoreCase() {
			return true
		}
		is := r.GetMetadata().GetFilterMetadata()[m.GetFilter()].GetFields()[m.GetPath()[0].GetKey()].GetStringValue()
		return is == exact
	}
	return true
}
