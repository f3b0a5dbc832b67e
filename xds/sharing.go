package xds

import (
	"hash/maphash"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// sharingRoutes is c with those routes of o in the place of its own that are the
// same. All routes are one resource and most of its size, and an edit of a policy
// changes few of them.
func sharingRoutes(c, o *routev3.RouteConfiguration) *routev3.RouteConfiguration {
	seed := maphash.MakeSeed()
	var buffer []byte
	key := func(r *routev3.Route) (uint64, bool) {
		b, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(buffer[:0], r)
		buffer = b
		return maphash.Bytes(seed, b), err == nil
	}
	had := make(map[uint64]*routev3.Route)
	for _, host := range o.GetVirtualHosts() {
		for _, r := range host.GetRoutes() {
			if k, ok := key(r); ok {
				had[k] = r
			}
		}
	}
	c = withOwnHosts(c)
	for _, host := range c.GetVirtualHosts() {
		for i, r := range host.GetRoutes() {
			if k, ok := key(r); ok && proto.Equal(r, had[k]) {
				host.Routes[i] = had[k]
			}
		}
	}
	return c
}

// withOwnHosts is a copy of c that shares its routes, in lists of its own: what
// others are shown of c does not change with it.
func withOwnHosts(c *routev3.RouteConfiguration) *routev3.RouteConfiguration {
	own := shallow(c)
	own.VirtualHosts = slices.Clone(c.GetVirtualHosts())
	for i, host := range own.GetVirtualHosts() {
		own.VirtualHosts[i] = shallow(host)
		own.VirtualHosts[i].Routes = slices.Clone(host.GetRoutes())
	}
	return own
}

// shallow is a copy of m that shares what its fields hold.
func shallow[M proto.Message](m M) M {
	own := m.ProtoReflect().New()
	for field, value := range m.ProtoReflect().Range {
		own.Set(field, value)
	}
	return own.Interface().(M)
}
