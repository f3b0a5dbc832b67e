package limits

import (
	"hash/maphash"
	"time"
)

// DefaultCallers is how many callers New tells apart: up to some 24 MiB if all of
// them have limits on both requests and tokens, and nothing without any.
const DefaultCallers = 1 << 16

// Callers that are nobody in particular. They are never forgotten.
const (
	// Unnamed are those who gave no name.
	Unnamed uint64 = 1
	// Crowd are those for whom there was no room.
	Crowd uint64 = 2

	firstCaller uint64 = 3
)

// Caller is the key of a caller's name, which may be anything: at least
// firstCaller, and different in each Limiter, so that nobody can make up two names
// that meet.
func (l *Limiter) Caller(name []byte) uint64 {
	return max(maphash.Bytes(l.seed, name), firstCaller)
}

// isCaller reports whether k is of one caller, who may be forgotten.
func (k Key) isCaller() bool { return k.Caller >= firstCaller }

// place is where a caller's bucket stands in callers.
type place struct {
	key          Key
	limit        int // that it was last held to; 0: it is no caller's
	older, newer *bucket
}

// callers orders the buckets of callers by their last use.
type callers struct {
	most           int // buckets
	count          int
	oldest, newest *bucket
	crowded        int64
}

// admit returns a bucket for a new caller, nil if there is no room. A caller who
// is back to the whole limit is forgotten without a loss; one who is not stays, so
// that nobody gets rid of a debt by calling under many names. Whoever called
// longest ago stands for all: others may have smaller debts, but few do.
// l.mu is held.
func (l *Limiter) admit(key Key, now time.Duration) *bucket {
	c := &l.callers
	b := c.oldest
	if c.count < c.most {
		b = &bucket{}
		c.count++
	} else {
		if !b.full(now) {
			c.crowded++
			return nil
		}
		delete(l.buckets, b.key)
		c.unlink(b)
	}
	b.key = key
	l.buckets[key] = b
	c.link(b)
	return b
}

// touch notes that b is in use.
func (c *callers) touch(b *bucket) {
	if c.newest != b {
		c.unlink(b)
		c.link(b)
	}
}

func (c *callers) link(b *bucket) {
	b.older, b.newer = c.newest, nil
	if c.newest != nil {
		c.newest.newer = b
	} else {
		c.oldest = b
	}
	c.newest = b
}

func (c *callers) unlink(b *bucket) {
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		c.oldest = b.newer
	}
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		c.newest = b.older
	}
}

// CallerCounts returns how many buckets of callers are held and how often there
// was no room for one.
func (l *Limiter) CallerCounts() (held int, crowded int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.callers.count, l.callers.crowded
}
