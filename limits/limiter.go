package limits

import (
	"math"
	"sync"
	"time"
)

// Key is what is limited: the requests or the tokens of a name.
type Key struct {
	Name string
	What What
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
}

// Limiter holds the buckets of all names. It is safe for concurrent use.
type Limiter struct {
	clock func() time.Duration

	mu      sync.Mutex
	buckets map[Key]*bucket
}

// New returns a Limiter. clock tells the time since some fixed moment; nil: the
// system's.
func New(clock func() time.Duration) *Limiter {
	if clock == nil {
		start := time.Now()
		clock = func() time.Duration { return time.Since(start) }
	}
	return &Limiter{clock: clock, buckets: make(map[Key]*bucket)}
}

// Take takes n from what key may use of limit in a minute, or nothing, if not as
// much is left; Standing.Wait says which. Keys are kept for ever, so their
// names must come from a policy and not from clients. A key that is new has its
// whole limit.
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
	if b == nil {
		b = &bucket{level: float64(limit), at: now}
		l.buckets[key] = b
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
