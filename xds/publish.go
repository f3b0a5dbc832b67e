package xds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// The types in the order in which additions travel, and removals the other way:
// a route never names a cluster that an Envoy does not have.
var (
	clusterTypes = []string{resourcev3.SecretType, resourcev3.ClusterType, resourcev3.EndpointType}
	routeTypes   = []string{resourcev3.ListenerType, resourcev3.RouteType}
)

// reapTimeout bounds how long a withdrawal waits for acknowledgements between
// its steps.
const reapTimeout = 5 * time.Second

// Staged is a set of resources that every Envoy has acknowledged, beside those
// in force before.
type Staged struct {
	server     *Server
	generation *generation
}

// Stage offers r to every connected Envoy, beside all that is in force, and
// returns when all of them have acknowledged it: clusters first, then routes.
// When one refuses, or ctx ends before all have answered, what was in force
// before is restored and the error says who and why; a refusal is a *Rejection.
// An Envoy that lost its stream just before is given the time to come back. With
// no Envoy connected it returns at once; those that connect later get the same.
//
// Publications do not overlap: a Stage waits for the one before it.
func (s *Server) Stage(ctx context.Context, r *Resources) (*Staged, error) {
	if err := s.begin(ctx); err != nil {
		return nil, fmt.Errorf("stage resources: %w", err)
	}
	defer s.end()
	staged := &generation{resources: r}
	s.mu.Lock()
	if s.current != nil {
		r = r.sharing(s.current)
		staged.resources = r
	}
	s.generations = slices.Insert(s.generations, 0, staged)
	s.mu.Unlock()
	before := s.Published()
	if err := s.advance(ctx, before); err != nil {
		return nil, fmt.Errorf("stage resources: %w", errors.Join(err, s.withdraw(staged, before)))
	}
	return &Staged{server: s, generation: staged}, nil
}

// Resources is what was staged, sharing with what was before whatever is the same.
func (p *Staged) Resources() *Resources { return p.generation.resources }

// maxRetired bounds how many retired policies an Envoy keeps the resources of.
const maxRetired = 20

// Retire says that everything older than the staged resources may go: the caller
// has swapped, and no new request is decided under the old policy. It does not
// wait: the old resources go after their grace.
func (p *Staged) Retire() {
	s := p.server
	s.mu.Lock()
	defer s.mu.Unlock()
	older := false
	for _, g := range s.generations {
		if older && g.expires.IsZero() {
			g.expires = time.Now().Add(cmp.Or(s.grace, g.resources.Grace, DefaultGrace))
			g.resources.retire()
		}
		older = older || g == p.generation
	}
	// Edits that come faster than they expire must not add up: the oldest go
	// early, each long after its own swap.
	for i := maxRetired + 1; i < len(s.generations); i++ {
		if g := s.generations[i]; !g.expires.IsZero() {
			g.expires = time.Now()
		}
	}
	s.counters.Publications++
	select {
	case s.wake <- struct{}{}:
	default: // the reaper has a wake-up to come
	}
}

// Publish stages r and retires what was before.
func (s *Server) Publish(ctx context.Context, r *Resources) error {
	staged, err := s.Stage(ctx, r)
	if err != nil {
		return err
	}
	staged.Retire()
	return nil
}

// begin waits until no other publication is under way.
func (s *Server) begin(ctx context.Context) error {
	select {
	case s.publishing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) end() { <-s.publishing }

// target is what the Envoys should have: all generations together.
func (s *Server) target() (*Resources, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sets := make([]*Resources, 0, len(s.generations))
	for _, g := range s.generations {
		sets = append(sets, g.resources)
	}
	return union(sets)
}

// advance takes every Envoy from before, which is nil at first, to the target,
// which is the larger.
func (s *Server) advance(ctx context.Context, before *Resources) error {
	want, err := s.target()
	if err != nil {
		return err
	}
	if before != nil {
		if err := s.step(ctx, before.with(want, clusterTypes...), clusterTypes, awaitLost); err != nil {
			return err
		}
	}
	return s.step(ctx, want, Types, awaitLost)
}

// withdraw takes a generation back and restores before. The very first has
// nothing to be restored: what Envoys accepted of it stays, and what they had
// from an earlier run of Wye is not taken from them.
func (s *Server) withdraw(staged *generation, before *Resources) error {
	s.mu.Lock()
	s.generations = slices.DeleteFunc(s.generations, func(g *generation) bool { return g == staged })
	s.counters.Failures++
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	return s.show(before)
}

// Whether a step waits for the Envoys that may be about to come back, too. Those
// that have not got what is added would fail requests; what is withdrawn is
// nothing to them.
const (
	awaitLost = true
	skipLost  = false
)

// step publishes r and waits until every Envoy has acknowledged the given types.
func (s *Server) step(ctx context.Context, r *Resources, typeURLs []string, lost bool) error {
	s.mu.Lock()
	for _, st := range s.streams {
		st.forgive()
	}
	s.mu.Unlock()
	if err := s.show(r); err != nil {
		return err
	}
	for {
		s.mu.Lock()
		changed := s.changed
		waiting, rejected := s.outstanding(typeURLs)
		var expiry <-chan time.Time
		if lost {
			away, next := s.away(r, typeURLs)
			waiting = append(waiting, away...)
			if len(away) > 0 {
				expiry = time.After(next)
			}
		}
		s.mu.Unlock()
		switch {
		case len(rejected) > 0:
			return errors.Join(rejected...)
		case len(waiting) == 0:
			return nil
		}
		select {
		case <-changed:
		case <-expiry:
		case <-ctx.Done():
			return fmt.Errorf("%d of the envoys have not acknowledged, %q among them: %w", len(waiting), waiting[0], ctx.Err())
		}
	}
}

// outstanding lists the nodes that have not acknowledged the types of what they
// are shown, and the refusals. s.mu is held.
func (s *Server) outstanding(typeURLs []string) (waiting []string, rejected []error) {
	for _, st := range s.streams {
		r := s.shown[st.view]
		if why := st.refusal(r, typeURLs); why != nil {
			rejected = append(rejected, why)
		}
		if !st.has(r, typeURLs) {
			waiting = append(waiting, st.node.ID)
		}
	}
	slices.Sort(waiting)
	return waiting, rejected
}

// reap withdraws what was retired when its grace is over.
func (s *Server) reap(ctx context.Context) {
	defer close(s.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
			if err := s.expire(ctx); err != nil && ctx.Err() == nil {
				s.log.Warn().Err(err).Msg("old resources were withdrawn without every acknowledgement")
			}
		}
		timer.Reset(s.nextExpiry())
	}
}

// nextExpiry is the time until the next generation expires, or an hour.
func (s *Server) nextExpiry() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := time.Hour
	for _, g := range s.generations {
		if !g.expires.IsZero() {
			next = min(next, max(time.Until(g.expires), 0))
		}
	}
	return next
}

// expire drops the generations whose grace is over: their routes first, then the
// clusters, then what those referred to.
func (s *Server) expire(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.end()
	now := time.Now()
	s.mu.Lock()
	s.generations = slices.DeleteFunc(s.generations, func(g *generation) bool { return !g.expires.IsZero() && !g.expires.After(now) })
	s.mu.Unlock()
	before := s.Published()
	want, err := s.target()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reapTimeout)
	defer cancel()
	// Envoys that do not answer in time must not keep the rest from going.
	return errors.Join(
		s.step(ctx, before.with(want, routeTypes...), routeTypes, skipLost),
		s.step(ctx, before.with(want, resourcev3.ListenerType, resourcev3.RouteType, resourcev3.ClusterType), []string{resourcev3.ClusterType}, skipLost),
		s.step(ctx, want, Types, skipLost),
	)
}
