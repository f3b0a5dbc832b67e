package router

import "slices"

// InZone returns what of the snapshot may be used where only the zone's backends
// may be: these backends, the deployments of the zone, and those that any zone
// may serve, with what backends are left to them, which may be none. A zone that
// the policy does not have has no backends. The zone "global" or none is the
// whole snapshot. Backends keep their hashes; indexes are the new snapshot's own.
func (s *Snapshot) InZone(zone string) *Snapshot {
	if zone == "" || zone == ZoneGlobal {
		return s
	}
	if z := s.zones[zone]; z != nil {
		return z
	}
	return s.nowhere
}

// Zoned reports whether the policy binds any deployment or backend to a zone.
func (s *Snapshot) Zoned() bool { return len(s.zones) > 0 }

// compileZones prepares the answers of InZone.
func (s *Snapshot) compileZones() {
	s.zones = make(map[string]*Snapshot)
	add := func(zone string) {
		if zone != "" && zone != ZoneGlobal && s.zones[zone] == nil {
			s.zones[zone] = s.restrict(zone)
		}
	}
	for i := range s.Backends {
		add(s.Backends[i].Zone)
	}
	for i := range s.Deployments {
		add(s.Deployments[i].Zone)
	}
	s.nowhere = s.restrict(noZone)
}

// noZone is the zone of no backend: policies have no such name.
const noZone = "\x00"

// restrict computes the answer of InZone for one zone.
func (s *Snapshot) restrict(zone string) *Snapshot {
	r := *s
	r.Backends, r.Deployments, r.backendKeys = nil, nil, nil
	r.byName = make(map[string]target)
	moved := make([]int, len(s.Backends)) // new index of each backend, -1: left out
	for i := range s.Backends {
		moved[i] = -1
		if s.Backends[i].Zone == zone {
			moved[i] = len(r.Backends)
			r.Backends = append(r.Backends, s.Backends[i])
			r.backendKeys = append(r.backendKeys, s.backendKeys[i])
		}
	}
	for i := range s.Deployments {
		d := s.Deployments[i]
		if d.Zone != "" && d.Zone != ZoneGlobal && d.Zone != zone {
			continue
		}
		d.backends = make([][]BackendIndex, len(d.Subset))
		for j, of := range s.Deployments[i].backends {
			for _, old := range of {
				if moved[old] >= 0 {
					d.backends[j] = append(d.backends[j], BackendIndex(moved[old]))
				}
			}
		}
		d.narrow(r.Backends)
		r.Deployments = append(r.Deployments, d)
	}
	r.restrictNames(s.byName)
	// Of a part there is only the part: its own zone is all of it, any other
	// nothing.
	if zone == noZone {
		r.zones, r.nowhere = nil, &r
	} else {
		r.zones = map[string]*Snapshot{zone: &r}
		r.nowhere = r.restrict(noZone)
	}
	return &r
}

// restrictNames gives r the names of the whole that still mean something, with
// the meaning that they have there. A name that is ambiguous stays so.
func (s *Snapshot) restrictNames(whole map[string]target) {
	for name, t := range whole {
		if t.deployment == nil {
			continue
		}
		i := slices.IndexFunc(s.Deployments, func(d Deployment) bool { return d.Name == t.deployment.Name })
		if i >= 0 {
			t.deployment = &s.Deployments[i]
			s.byName[name] = t
		}
	}
	for name, t := range whole {
		if t.deployment != nil {
			continue
		}
		t.names = slices.DeleteFunc(slices.Clone(t.names), func(n string) bool { return s.byName[n].deployment == nil })
		if len(t.names) > 0 {
			s.byName[name] = t
		}
	}
}
