package router

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Limits on a policy. They bound the work of one decision and the size of a
// Decision, so that the hot path needs no growth.
const (
	MaxModels       = 1024 // in a catalog
	MaxSubset       = 64   // models in one deployment
	MaxChain        = 8    // attempts of one request
	DefaultMaxChain = 4
)

// Bands are how far the average quality of a mode's choices may lie below that
// of always calling the best single model, as a share of the latter: 0.015 is
// one and a half per cent. They are what an operator states; a Scorer turns them
// into rates.
type Bands struct {
	Balanced float64
	Cost     float64
}

// Of returns the band of a mode; quality mode has none.
func (b Bands) Of(m Mode) float64 {
	switch m {
	case ModeBalanced:
		return b.Balanced
	case ModeCost:
		return b.Cost
	case ModeDefault, ModeQuality, modeCount:
	}
	return 0
}

// Deployment is a named router endpoint: what clients put into model.
type Deployment struct {
	Name         string
	Aliases      []string
	Mode         Mode
	AllowedModes ModeSet // what a client may ask for; always has Mode
	Subset       []ModelIndex
	NamedModels  bool // clients may name a model of the subset
	AgentTools   AgentTools
	Zone         string // empty or "global": any zone
	Bands        Bands
	// MaxCost bounds the expected cost of one call in US dollars; 0: none.
	MaxCost float64
	// PerMinute is what callers of Route hold the deployment to.
	PerMinute PerMinute
	// Callers is what they hold each caller of the deployment to.
	Callers CallerLimits
	// Budget is what they should spend on it; see Request.Floor.
	Budget Budget
	// MaxAttempts bounds the chain, 1 to MaxChain.
	MaxAttempts int
	// MaxBodyBytes bounds a request body.
	MaxBodyBytes int
	// Timeout bounds the whole response, PerTryTimeout the time to one
	// attempt's response headers.
	Timeout       time.Duration
	PerTryTimeout time.Duration
	Affinity      Affinity
	Scorer        Scorer
	// Single is the model of Subset that would be the best for every prompt: what
	// Bands are relative to and savings are measured against.
	Single ModelIndex

	// backends[i] are the in-zone backends of Subset[i], fixed at compile time.
	backends [][]BackendIndex
	// serving has, for each API, those of backends that serve its clients.
	serving [apiCount][][]BackendIndex
	// native has those that do so without a translation; translates the APIs for
	// which that makes a difference.
	native     [apiCount][][]BackendIndex
	translates APIs
	// hosts are the models that may be given requests with agent tools.
	hosts Members
}

// PerMinute bounds a deployment's use in a minute; 0: no bound.
type PerMinute struct {
	Requests int
	Tokens   int // of prompts and answers
}

// ZoneGlobal is the zone of a deployment that may use every backend.
const ZoneGlobal = "global"

// ZoneAllows reports whether a deployment of zone deployment may use a backend
// of zone backend. A zone-bound deployment takes its own zone and no other: not
// even a backend of the zone "global", which promises nothing.
func ZoneAllows(deployment, backend string) bool {
	return deployment == "" || deployment == ZoneGlobal || deployment == backend
}

// Backends returns the backends that may serve d's i-th subset model, in the
// policy's order. The caller must not change them.
func (d *Deployment) Backends(i int) []BackendIndex { return d.backends[i] }

// Config is the input of NewSnapshot. The snapshot takes ownership.
type Config struct {
	Hash        string // content hash of the policy
	Models      []Model
	Backends    []Backend
	Deployments []Deployment
	Default     string // name of the deployment that serves NameAuto; empty: none
	Usage       Usage
}

// Usage is how the use of models is accounted for.
type Usage struct {
	// Off: not at all.
	Off bool
	// CallerHeader is the request header, in lower case, whose value names who
	// calls; empty: nobody does.
	CallerHeader string
}

// Snapshot is one compiled policy. It is immutable and safe for concurrent
// use; in-flight requests keep the one they started with.
type Snapshot struct {
	Hash        string
	Models      []Model
	Backends    []Backend
	Deployments []Deployment
	Usage       Usage
	byName      map[string]target
	// The Keys of the models and the backends, by index.
	modelKeys, backendKeys []uint64

	zones   map[string]*Snapshot // the part of each zone; see InZone
	nowhere *Snapshot            // the part of a zone that has nothing
}

// NewSnapshot checks what routing relies on and compiles the lookups. A policy
// that was validated in package policies never fails here; an error means a
// caller's bug and lists every fault.
func NewSnapshot(c Config) (*Snapshot, error) {
	var errs []error
	fault := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if len(c.Models) > MaxModels {
		fault("%d models, at most %d are allowed", len(c.Models), MaxModels)
	}
	for i := range c.Backends {
		b := &c.Backends[i]
		if int(b.Model) >= len(c.Models) {
			fault("backend %q: model index %d out of range", b.Name, b.Model)
			continue
		}
		b.Hash = b.contentHash(&c.Models[b.Model])
	}
	s := &Snapshot{
		Hash: c.Hash, Models: c.Models, Backends: c.Backends, Deployments: c.Deployments,
		Usage: c.Usage, byName: make(map[string]target),
	}
	for i := range s.Models {
		s.modelKeys = append(s.modelKeys, Key(s.Models[i].Name))
	}
	for i := range s.Backends {
		s.backendKeys = append(s.backendKeys, Key(s.Backends[i].Name))
	}
	for i := range s.Deployments {
		d := &s.Deployments[i]
		if d.Mode == ModeDefault || d.Mode >= modeCount {
			fault("deployment %q: mode %v", d.Name, d.Mode)
		}
		if !d.AllowedModes.Has(d.Mode) {
			fault("deployment %q: its own mode is not allowed", d.Name)
		}
		if d.Scorer == nil {
			fault("deployment %q: no scorer", d.Name)
		}
		if len(d.Subset) == 0 || len(d.Subset) > MaxSubset {
			fault("deployment %q: %d models in the subset, 1 to %d are allowed", d.Name, len(d.Subset), MaxSubset)
		}
		if d.MaxAttempts < 1 || d.MaxAttempts > MaxChain {
			fault("deployment %q: %d attempts, 1 to %d are allowed", d.Name, d.MaxAttempts, MaxChain)
		}
		if int(d.Single) >= len(c.Models) {
			fault("deployment %q: model index %d out of range", d.Name, d.Single)
		}
		if d.Affinity.Strategy >= strategyCount {
			fault("deployment %q: affinity %v", d.Name, d.Affinity.Strategy)
		}
		d.Affinity = d.Affinity.withDefaults()
		for j, m := range d.Subset {
			switch {
			case int(m) >= len(c.Models):
				fault("deployment %q: model index %d out of range", d.Name, m)
			case d.AgentTools.hostedBy(c.Models[m].Publisher):
				d.hosts = d.hosts.With(j)
			}
		}
		d.backends = make([][]BackendIndex, len(d.Subset))
		for j, m := range d.Subset {
			for k := range s.Backends {
				if b := &s.Backends[k]; b.Model == m && ZoneAllows(d.Zone, b.Zone) {
					d.backends[j] = append(d.backends[j], BackendIndex(k))
				}
			}
		}
		d.narrow(s.Backends)
	}
	errs = append(errs, s.name(c.Default)...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.compileZones()
	return s, nil
}

// Keys returns what a Session that is remembered of the step says.
func (s *Snapshot) Keys(step Step) (model, backend uint64) {
	return s.modelKeys[step.Model], s.backendKeys[step.Backend]
}

// Router holds the current Snapshot. Route pins it once per request; Swap
// replaces it for requests that start later. The zero Router has none.
type Router struct{ current atomic.Pointer[Snapshot] }

// Snapshot returns the current snapshot, nil before the first Swap.
func (r *Router) Snapshot() *Snapshot { return r.current.Load() }

// Swap installs s and returns the snapshot it replaces.
func (r *Router) Swap(s *Snapshot) *Snapshot { return r.current.Swap(s) }
