package router

import (
	"fmt"
	"time"
)

// Session is what is remembered of the conversation that a request continues.
// The zero Session remembers nothing. Keys and not indexes, because it outlives
// snapshots, and keys and not names, so that it has no pointers.
type Session struct {
	Model   uint64 // Key of the model that answered last; 0: nothing is remembered
	Backend uint64 // Key of the backend that it answered at
	// CachedTokens is how much of the prompt that backend is likely to have in its
	// cache. The router trusts it as far as the prompt is long.
	CachedTokens int
}

// Turn is under which keys a request is remembered, for whoever learns later what
// became of it. The zero Turn is of a request that nothing is remembered of.
type Turn struct {
	Content uint64 // by what the conversation says
	Named   uint64 // by what the client calls it; 0: by nothing
}

// Key names a model or a backend across snapshots: FNV-1a over the name, and
// never 0.
func Key[S ~string | ~[]byte](name S) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	return max(h, 1)
}

// Strategy says what a conversation's memory is worth.
type Strategy uint8

// The strategies. AffinityDefault stands for the deployment's own in a Request,
// and in a Config for AffinityAdaptive; a compiled Deployment never has it.
const (
	AffinityDefault Strategy = iota
	// AffinityAdaptive counts the cached prefix at the cached price and lets the
	// conversation move when that pays by more than Hysteresis.
	AffinityAdaptive
	// AffinitySticky stays while the model passes the hard filters.
	AffinitySticky
	// AffinityNone decides each request as if it were the first.
	AffinityNone
	strategyCount
)

// String returns the strategy as policies spell it.
func (s Strategy) String() string {
	switch s {
	case AffinityDefault:
		return "default"
	case AffinityAdaptive:
		return "adaptive"
	case AffinitySticky:
		return "sticky"
	case AffinityNone:
		return "none"
	case strategyCount:
	}
	return fmt.Sprintf("strategy(%d)", uint8(s))
}

// ParseStrategy is the inverse of String for the strategies that can be named;
// it is case-sensitive. ok is false for anything else.
func ParseStrategy[S ~string | ~[]byte](s S) (strategy Strategy, ok bool) {
	switch string(s) {
	case "adaptive":
		return AffinityAdaptive, true
	case "sticky":
		return AffinitySticky, true
	case "none":
		return AffinityNone, true
	}
	return AffinityDefault, false
}

// Hysteresis is by how much another model must be worth more than the one that a
// conversation is with: half a point of quality. It is well below what an
// estimate is uncertain by, so it only keeps a conversation from going back and
// forth between models that are as good as equal.
const Hysteresis = 0.005

// Affinity is how a deployment's conversations stay with their models.
type Affinity struct {
	Strategy Strategy
	// Idle is after how long without a request a conversation is forgotten, which
	// is about as long as providers keep a prompt; 0: DefaultIdle.
	Idle time.Duration
}

// DefaultIdle is Affinity.Idle of a deployment that states none.
const DefaultIdle = 30 * time.Minute

// withDefaults returns a with every field stated.
func (a Affinity) withDefaults() Affinity {
	if a.Strategy == AffinityDefault {
		a.Strategy = AffinityAdaptive
	}
	if a.Idle <= 0 {
		a.Idle = DefaultIdle
	}
	return a
}

// Continuity says what a decision means for its conversation.
type Continuity uint8

// The continuities.
const (
	ContinuityNone       Continuity = iota // affinity is off
	ContinuityInitialize                   // nothing was remembered
	ContinuityRetain                       // the conversation stays with its model
	ContinuitySwitch                       // it moves to another one
)

// String returns the continuity as metrics and explain spell it.
func (c Continuity) String() string {
	return [...]string{"none", "initialize", "retain", "switch"}[c]
}

// Continuity says what d, which has a chain, means for its conversation.
func (d *Decision) Continuity() Continuity {
	switch {
	case d.Affinity == AffinityNone:
		return ContinuityNone
	case d.Session.Model == 0:
		return ContinuityInitialize
	case d.Candidates[0].Incumbent:
		return ContinuityRetain
	}
	return ContinuitySwitch
}

// settle notes in c what the conversation's memory means for it.
func (d *Decision) settle(c *Candidate, promptTokens int) {
	if d.Session.Model == 0 || d.Session.Model != d.Snapshot.modelKeys[c.Model] {
		return
	}
	c.Incumbent = true
	c.Pinned = d.Affinity == AffinitySticky
	c.CachedTokens = max(0, min(d.Session.CachedTokens, promptTokens))
}

// home is the position in backends of the one that the candidate's conversation
// is with, and otherwise the one that hash picks.
func (d *Decision) home(c *Candidate, backends []BackendIndex, hash uint64) int {
	if c.Incumbent {
		for i, b := range backends {
			if d.Snapshot.backendKeys[b] == d.Session.Backend {
				return i
			}
		}
	}
	return d.Snapshot.pick(backends, hash)
}
