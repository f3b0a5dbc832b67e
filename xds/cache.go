package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
)

// byView maps every node to the key of its view.
type byView struct{}

// ID implements cachev3.NodeHash.
func (byView) ID(n *corev3.Node) string { return viewOf(n).key() }

// published adapts Resources to go-control-plane's cache. Types that Wye has
// nothing of, or never heard of, have a version too, so that who asks for them
// is told at once that there is nothing.
type published struct{ *Resources }

// GetVersion implements cachev3.ResourceSnapshot.
func (p published) GetVersion(typeURL string) string { return p.Version(typeURL) }

// GetVersionMap implements cachev3.ResourceSnapshot.
func (p published) GetVersionMap(typeURL string) map[string]string { return p.versions(typeURL) }

// ConstructVersionMap implements cachev3.ResourceSnapshot.
func (published) ConstructVersionMap() error { return nil }

// GetResources implements cachev3.ResourceSnapshot.
func (p published) GetResources(typeURL string) map[string]types.Resource {
	all := make(map[string]types.Resource, len(p.byType[typeURL]))
	for name, r := range p.byType[typeURL] {
		all[name] = r.message
	}
	return all
}

// GetResourcesAndTTL implements cachev3.ResourceSnapshot.
func (p published) GetResourcesAndTTL(typeURL string) map[string]types.ResourceWithTTL {
	all := make(map[string]types.ResourceWithTTL, len(p.byType[typeURL]))
	for name, r := range p.byType[typeURL] {
		all[name] = types.ResourceWithTTL{Resource: r.message}
	}
	return all
}
