package limits

import (
	"hash/maphash"
	"math"
	"sync"
	"time"
)

// Key is what is limited: the requests or the tokens of a name or, where Caller is
// not 0, of one caller under that name.
type Key struct {
	Name   string
	What   What
	Caller uint64 // see Limiter.Caller
}

// What is what is counted.
type What uint8

// The kinds.
const (
	Requests What = iota
	Tokens
)

// Standing is where a key stands against its limit.
type Standing struct {
	Limit     int           // in a minute
	Remaining int           // right now, at least 0
	Reset     time.Duration // until all of it is there again
	// Wait is how long the amount that was asked for is to be waited for; 0 if it
	// was granted, Never if it is more than the limit.
	Wait time.Duration
}

// Never is the wait for more than a limit allows at once.
const Never = time.Duration(math.MaxInt64)

// bucket holds what is left. It fills up evenly, a limit's worth in a minute, and
// holds no more than that. It may be in debt, when something turned out to have
// used more than it was granted.
type bucket struct {
	level float64
	at    time.Duration
	place // of a caller's
}

// full reports whether the bucket is what a new one would be.
func (b *bucket) full(now time.Duration) bool {
	return b.level+(now-b.at).Minutes()*float64(b.limit) >= float64(b.limit)
}

// Limiter holds the buckets of all names. It is safe for concurrent use.
type Limiter struct {
	clock func() time.Duration
	seed  maphash.Seed

	mu      sync.Mutex
	buckets map[Key]*bucket
	callers callers
}

// New returns a Limiter that tells DefaultCallers callers apart. clock tells the
// time since some fixed moment; nil: the system's.
func New(clock func() time.Duration) *Limiter { return NewSized(DefaultCallers, clock) }

// NewSized returns a Limiter that tells apart as many callers, at least 1.
func NewSized(most int, clock func() time.Duration) *Limiter {
	if clock == nil {
		start := time.Now()
		clock = func() time.Duration { return time.Since(start) }
	}
	return &Limiter{
		clock: clock, seed: maphash.MakeSeed(), buckets: make(map[Key]*bucket), callers: callers{most: max(2*most, 2)},
	}
}

// Take takes n from what key may use of limit in a minute, or nothing, if not as
// much is left; Standing.Wait says which. Names are kept for ever, so they must
// come from a policy and not from clients; callers are forgotten. A key that is
// new has its whole limit, unless it is of a caller for whom there is no room: all
// those share one limit.
func (l *Limiter) Take(key Key, limit, n int) Standing {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.fill(key, limit)
	amount := float64(max(n, 0))
	s := Standing{Limit: limit}
	switch {
	case amount > float64(limit):
		s.Wait = Never
	case amount > b.level:
		s.Wait = max(l.until(b.level, amount, limit), 1)
	default:
		b.level -= amount
	}
	s.Remaining = int(max(b.level, 0))
	s.Reset = l.until(b.level, float64(limit), limit)
	return s
}

// Give gives n back, of what was taken and not used; a negative n takes what was
// used beyond that.
func (l *Limiter) Give(key Key, limit, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.fill(key, limit)
	b.level = min(b.level+float64(n), float64(limit))
}

// fill returns the bucket of key as it is now. l.mu is held.
func (l *Limiter) fill(key Key, limit int) *bucket {
	now := l.clock()
	b := l.buckets[key]
	switch {
	case b != nil && b.limit > 0:
		l.callers.touch(b)
	case b == nil && key.isCaller():
		if b = l.admit(key, now); b == nil {
			return l.fill(Key{Name: key.Name, What: key.What, Caller: Crowd}, limit)
		}
		b.level, b.at = float64(limit), now
	case b == nil:
		b = &bucket{level: float64(limit), at: now}
		l.buckets[key] = b
	}
	if key.isCaller() {
		b.limit = limit
	}
	b.level = min(b.level+(now-b.at).Minutes()*float64(limit), float64(limit))
	b.at = now
	return b
}

// until is how long it takes from level to want.
func (l *Limiter) until(level, want float64, limit int) time.Duration {
	if level >= want || limit <= 0 {
		return 0
	}
	return time.Duration(math.Ceil((want - level) / float64(limit) * float64(time.Minute)))
}
