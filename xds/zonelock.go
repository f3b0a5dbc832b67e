package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
	"wye/router"
)

// The second lock of data zones. The route of a deployment says its zone in the
// route's own metadata, which only the control plane writes, and every cluster
// refuses requests of a route that its zone may not serve. So Envoy itself
// stops a request for which the ext_proc server named a cluster of another
// zone, by whatever mistake or intent.

// rbacFilter is the name of the filter and of its policy.
const (
	rbacFilter     = "envoy.filters.http.rbac"
	zonePolicyName = "wye zone"
)

// zoneOf is the zone that an empty one stands for.
func zoneOf(zone string) string {
	if zone == "" {
		return router.ZoneGlobal
	}
	return zone
}

// zoned reports whether a deployment is bound to a zone, so that there is
// something to lock.
func zoned(s *router.Snapshot) bool {
	for i := range s.Deployments {
		if zoneOf(s.Deployments[i].Zone) != router.ZoneGlobal {
			return true
		}
	}
	return false
}

// routeMetadata says which zone a deployment's route is of, and which API's. Every route has it,
// locked or not: the clusters of a newer policy may read it.
func routeMetadata(d *router.Deployment, api router.API) *corev3.Metadata {
	m := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{envoy.NamespaceDecision: {
		Fields: map[string]*structpb.Value{
			envoy.KeyZone: structpb.NewStringValue(zoneOf(d.Zone)),
			envoy.KeyAPI:  structpb.NewStringValue(api.String()),
		},
	}}}
	if api != router.APIChat {
		m.FilterMetadata[envoy.FilterPath] = &structpb.Struct{Fields: map[string]*structpb.Value{
			envoy.KeyPath: structpb.NewStringValue(envoy.Paths[api.String()]),
		}}
	}
	return m
}

// zoneLock is the upstream filter that lets through what may be served in the
// zone: requests of routes of that zone, and of routes that any zone may serve.
// A route that does not say its zone is refused.
func zoneLock(zone string) *hcmv3.HttpFilter {
	routes := []string{router.ZoneGlobal}
	if z := zoneOf(zone); z != router.ZoneGlobal {
		routes = append(routes, z)
	}
	var rules []*rbacconfigv3.Permission
	for _, z := range routes {
		rules = append(rules, &rbacconfigv3.Permission{Rule: &rbacconfigv3.Permission_SourcedMetadata{
			SourcedMetadata: &rbacconfigv3.SourcedMetadata{
				MetadataMatcher: metadataIs(envoy.NamespaceDecision, envoy.KeyZone, z),
				MetadataSource:  rbacconfigv3.MetadataSource_ROUTE,
			},
		}})
	}
	return httpFilter(rbacFilter, &rbacv3.RBAC{Rules: &rbacconfigv3.RBAC{
		Action: rbacconfigv3.RBAC_ALLOW,
		Policies: map[string]*rbacconfigv3.Policy{zonePolicyName: {
			Permissions: []*rbacconfigv3.Permission{{Rule: &rbacconfigv3.Permission_OrRules{
				OrRules: &rbacconfigv3.Permission_Set{Rules: rules},
			}}},
			Principals: []*rbacconfigv3.Principal{{Identifier: &rbacconfigv3.Principal_Any{Any: true}}},
		}},
	}})
}

// metadataIs matches a string in a namespace of metadata.
func metadataIs(namespace, key, value string) *matcherv3.MetadataMatcher {
	return &matcherv3.MetadataMatcher{
		Filter: namespace,
		Path: []*matcherv3.MetadataMatcher_PathSegment{
			{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: key}},
		},
		Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{
			StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}},
		}},
	}
}
