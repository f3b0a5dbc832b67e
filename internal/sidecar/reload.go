package sidecar

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"wye/router"
)

// stageTimeout bounds how long a reload waits for every connected Envoy to
// acknowledge, stageRetry how long a reload that failed for want of it waits
// before it tries the same policy again.
const (
	stageTimeout = 10 * time.Second
	stageRetry   = 5 * time.Second
)

// PolicyStatus is what the admin page says of the policy.
type PolicyStatus struct {
	Hash     string    `json:"hash"`      // of the policy in force
	LoadedAt time.Time `json:"loaded_at"` // when it came into force
	Reloads  int       `json:"reloads"`   // policies that came into force, the first included
	Failures int       `json:"failures"`  // edits that did not
	// Refused is why the newest edit is not in force; empty when it is.
	Refused   string    `json:"refused,omitempty"`
	RefusedAt time.Time `json:"refused_at,omitzero"`
}

// reloader brings policies into force: compile, stage at every Envoy, swap,
// retire. Whatever fails before the swap leaves the last good policy in force.
type reloader struct {
	router  *router.Router
	compile func(content []byte) (*router.Snapshot, error)
	// stage offers the snapshot's resources beside those in force and returns
	// once every connected Envoy has acknowledged them. retire withdraws the
	// old ones; it does not wait. It is nil when the resources are those in
	// force, which takes the same policy and the same keys.
	stage func(ctx context.Context, s *router.Snapshot) (retire func(), err error)
	// inForce is told of a policy just before requests are decided under it.
	inForce func(*router.Snapshot)
	log     zerolog.Logger

	applying sync.Mutex // held while the Envoys are given something; before mu

	mu  sync.Mutex
	now PolicyStatus
}

func (r *reloader) status() PolicyStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// apply brings content into force. When only the Envoys stand in the way,
// again says when to try once more.
func (r *reloader) apply(ctx context.Context, content []byte) (again time.Duration, err error) {
	return r.bring(ctx, func() (*router.Snapshot, error) { return r.compile(content) })
}

// bring is apply for a policy from wherever.
func (r *reloader) bring(ctx context.Context, compile func() (*router.Snapshot, error)) (again time.Duration, err error) {
	r.applying.Lock()
	defer r.applying.Unlock()
	s, err := compile()
	if err != nil {
		return 0, r.refuse(err)
	}
	old := r.router.Snapshot()
	same := old != nil && old.Hash == s.Hash
	stageCtx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	retire, err := r.stage(stageCtx, s)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			again = stageRetry
		}
		return again, r.refuse(fmt.Errorf("policy %s: %w", s.Hash, err))
	}
	r.inForce(s)
	r.router.Swap(s)
	if retire != nil {
		retire()
	}
	if same && retire != nil {
		r.log.Info().Str("policy", s.Hash).Msg("keys or certificates have changed")
	}
	r.accept(s, !same)
	return 0, nil
}

func (r *reloader) refuse(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Failures++
	r.now.Refused, r.now.RefusedAt = err.Error(), time.Now()
	r.log.Error().Str("in_force", r.now.Hash).Str("reason", r.now.Refused).Msg("policy refused")
	return err
}

func (r *reloader) accept(s *router.Snapshot, swapped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Refused, r.now.RefusedAt = "", time.Time{}
	if !swapped {
		r.log.Info().Str("policy", s.Hash).Msg("policy edited without a change of meaning")
		return
	}
	r.now.Reloads++
	r.now.Hash, r.now.LoadedAt = s.Hash, time.Now()
	r.log.Info().Str("policy", s.Hash).Int("models", len(s.Models)).Int("backends", len(s.Backends)).
		Int("deployments", len(s.Deployments)).Msg("policy in force")
}
