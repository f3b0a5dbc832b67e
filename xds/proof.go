package xds

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wye/envoy"
	"wye/router"
)

// Proof says where the requests of each deployment can go, whatever the ext_proc
// server writes into their metadata: on an Envoy that has everything, and on one
// of each zone. It is read from Envoy's resources. The policy is only asked what
// zones its deployments and backends are of.
type Proof struct {
	Policy string       `json:"policy"` // hash
	Envoys []EnvoyProof `json:"envoys"`
	// Faults are crossings, and all that cannot be followed and so may be one.
	Faults []string `json:"faults"`
}

// EnvoyProof is the proof for an Envoy of a zone, empty for one that has all.
type EnvoyProof struct {
	Zone        string            `json:"zone"`
	Backends    []Reached         `json:"backends"` // all that the Envoy has
	Deployments []DeploymentProof `json:"deployments"`
}

// DeploymentProof is where requests that name a deployment can go.
type DeploymentProof struct {
	Deployment string    `json:"deployment"`
	Zone       string    `json:"zone"`
	Default    []Reached `json:"default"`   // by the route's own chain
	Reachable  []Reached `json:"reachable"` // by any metadata whatever
	Refused    []Reached `json:"refused"`   // named by metadata, but refused by the cluster
}

// Reached is a backend, as the policy knows it.
type Reached struct {
	Backend string `json:"backend"`
	Zone    string `json:"zone"`
}

// OK reports whether no request can leave its zone.
func (p *Proof) OK() bool { return len(p.Faults) == 0 }

// Prove follows every way that r, built from s, has for a request, for Envoys of
// all releases. What is listed is what one of a release reaches.
func Prove(s *router.Snapshot, r *Resources, of envoy.Release) (*Proof, error) {
	if err := of.Served(); err != nil {
		return nil, err
	}
	if !of.Before(envoy.Full) {
		of = envoy.Full // all newer ones are sent the same
	}
	p := &Proof{Policy: s.Hash, Envoys: []EnvoyProof{}, Faults: []string{}}
	zones := map[string]bool{"": true}
	for i := range s.Backends {
		zones[s.Backends[i].Zone] = true
	}
	for i := range s.Deployments {
		zones[s.Deployments[i].Zone] = true
	}
	delete(zones, router.ZoneGlobal)
	for _, release := range []envoy.Release{envoy.Full, envoy.Oldest} {
		for _, zone := range slices.Sorted(maps.Keys(zones)) {
			part, err := r.For(zone, release)
			if err != nil {
				return nil, err
			}
			e := p.prove(s, part, zone, release)
			if release == of {
				p.Envoys = append(p.Envoys, e)
			}
		}
	}
	return p, nil
}

// prove is the proof for the Envoys of a release that are sent r. It notes their
// faults.
func (p *Proof) prove(s *router.Snapshot, r *Resources, zone string, release envoy.Release) EnvoyProof {
	w := &walk{snapshot: s, resources: r}
	w.clusters()
	w.listeners()
	e := EnvoyProof{Zone: zone, Backends: w.all(), Deployments: []DeploymentProof{}}
	if zone != "" {
		for _, b := range e.Backends {
			if b.Zone != zone {
				w.fault("it has backend %s of zone %s", b.Backend, b.Zone)
			}
		}
		w.secrets()
	}
	for i := range s.Deployments {
		d := &s.Deployments[i]
		if zone != "" && !router.ZoneAllows(d.Zone, zone) && w.reach[d.Name] == nil {
			continue // this Envoy has no route for it
		}
		e.Deployments = append(e.Deployments, w.deployment(d))
	}
	for name := range w.reach {
		if !slices.ContainsFunc(s.Deployments, func(d router.Deployment) bool { return d.Name == name }) {
			w.fault("a route is of a deployment %q that the policy does not have", name)
		}
	}
	place := "an Envoy of every zone"
	if zone != "" {
		place = "an Envoy of zone " + zone
	}
	if release.Before(envoy.Full) {
		place = strings.Replace(place, "an Envoy", "an Envoy "+release.String(), 1)
	}
	slices.Sort(w.faults)
	for _, f := range slices.Compact(w.faults) {
		p.Faults = append(p.Faults, place+": "+f)
	}
	return e
}

// deployment sums up where d's requests can go.
func (w *walk) deployment(d *router.Deployment) DeploymentProof {
	p := DeploymentProof{Deployment: d.Name, Zone: zoneOf(d.Zone), Default: []Reached{}, Reachable: []Reached{}, Refused: []Reached{}}
	ways := w.reach[d.Name]
	if ways == nil {
		return p // it is answered without any backend
	}
	p.Default, p.Reachable = w.backends(ways.byDefault), w.backends(ways.reachable)
	for _, b := range w.backends(ways.refused) {
		if !slices.Contains(p.Reachable, b) {
			p.Refused = append(p.Refused, b)
		}
	}
	for _, b := range p.Default {
		if !slices.Contains(p.Reachable, b) {
			w.fault("the default chain of deployment %s names backend %s, which refuses it", p.Deployment, b.Backend)
		}
	}
	for _, b := range p.Reachable {
		if !router.ZoneAllows(p.Zone, b.Zone) {
			w.fault("requests of deployment %s of zone %s can reach backend %s of zone %s", p.Deployment, p.Zone, b.Backend, b.Zone)
		}
	}
	return p
}

// backends lists what is behind clusters, each once, sorted.
func (w *walk) backends(clusters map[string]bool) []Reached {
	all := []Reached{}
	for name := range clusters {
		all = append(all, w.behind[name]...)
	}
	slices.SortFunc(all, func(a, b Reached) int {
		return cmp.Or(strings.Compare(a.Zone, b.Zone), strings.Compare(a.Backend, b.Backend))
	})
	return slices.Compact(all)
}

// all lists every backend that the Envoy has.
func (w *walk) all() []Reached {
	names := make(map[string]bool, len(w.behind))
	for name := range w.behind {
		names[name] = true
	}
	return w.backends(names)
}

// secrets finds keys that no cluster of the Envoy uses.
func (w *walk) secrets() {
	for _, name := range w.resources.Names(secretType) {
		if !w.used[name] {
			w.fault("it has secret %s, which none of its clusters uses", name)
		}
	}
}

// Err is an error that lists the faults, nil if there are none.
func (p *Proof) Err() error {
	errs := make([]error, 0, len(p.Faults))
	for _, f := range p.Faults {
		errs = append(errs, errors.New(f))
	}
	return errors.Join(errs...)
}

// String is the proof for people.
func (p *Proof) String() string {
	var b strings.Builder
	for _, e := range p.Envoys {
		if e.Zone == "" {
			b.WriteString("On an Envoy that has every zone, whatever the ext_proc server says,\n")
		} else {
			fmt.Fprintf(&b, "On an Envoy of zone %s, which has %s,\n", e.Zone, list(e.Backends))
		}
		for _, d := range e.Deployments {
			fmt.Fprintf(&b, "  %s (zone %s) reaches %s", d.Deployment, d.Zone, list(d.Reachable))
			if len(d.Refused) > 0 {
				fmt.Fprintf(&b, "; refused: %s", list(d.Refused))
			}
			b.WriteByte('\n')
		}
	}
	for _, f := range p.Faults {
		fmt.Fprintf(&b, "FAULT: %s\n", f)
	}
	return b.String()
}

// list is the backends by zone: "eu: a, b; us: c".
func list(all []Reached) string {
	if len(all) == 0 {
		return "no backend"
	}
	var b strings.Builder
	for i, r := range all {
		switch {
		case i == 0 || all[i-1].Zone != r.Zone:
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(r.Zone + ": ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(r.Backend)
	}
	return b.String()
}

// walk follows the resources of one Envoy.
type walk struct {
	snapshot  *router.Snapshot
	resources *Resources
	behind    map[string][]Reached // backends by cluster
	used      map[string]bool      // secrets that clusters refer to
	reach     map[string]*ways     // by deployment
	faults    []string
}

// ways are clusters that the requests of a deployment can name.
type ways struct{ byDefault, reachable, refused map[string]bool }

func (w *walk) fault(format string, a ...any) { w.faults = append(w.faults, fmt.Sprintf(format, a...)) }
