package control

import discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

// Mix is all of a, but for what only concerns the order, which is b's.
func Mix(a, b *Set) []*discoveryv3.Resource {
	var mixed []*discoveryv3.Resource
	for _, name := range b.names {
		part := a.parts[name]
		if part == nil || name == nameOrder {
			part = b.parts[name]
		}
		mixed = append(mixed, part)
	}
	return mixed
}

// Join puts resources together as a client does.
func Join(resources []*discoveryv3.Resource, hash string) error {
	parts := make(map[string][]byte)
	for _, r := range resources {
		parts[r.GetName()] = r.GetResource().GetValue()
	}
	_, err := join(parts, hash)
	return err
}

// Resources are all parts in order.
func (s *Set) Resources() []*discoveryv3.Resource {
	var all []*discoveryv3.Resource
	for _, name := range s.names {
		all = append(all, s.parts[name])
	}
	return all
}
