package affinity

import (
	"math/bits"
	"sync"
	"time"
)

// DefaultEntries is the size of a table whose maker has no opinion: 1.3 MiB once
// every part of it is in use.
const DefaultEntries = 1 << 15

// Place is where a turn was answered.
type Place struct {
	Model, Backend uint64 // keys of the caller's; Model is not 0
	Tokens         int    // that the place has read, and may have cached
}

// entry is one remembered turn. It has no pointers, so that a full table costs
// the garbage collector nothing.
type entry struct {
	key            uint64
	model, backend uint64
	used           time.Duration // by the table's clock
	tokens         uint32
	filled         bool
	passed         bool // a later turn was seen: first to be forgotten
}

// ways is how many entries a key can be in. Among them the least useful gives
// way to a new one, which comes close to a strict order of use over the whole
// table and needs no list.
const ways = 8

type set [ways]entry

// shards is how many parts are locked and made by themselves.
const shards = 64

type shard struct {
	mu   sync.Mutex
	sets []set // nil until something is kept here
}

// Table is the memory. It is safe for concurrent use and allocates nothing but
// its shards, each once.
type Table struct {
	shards  [shards]shard
	perMask uint64 // sets in a shard, less one
	clock   func() time.Duration
}

// New returns a table of at least entries turns. clock tells the time since some
// fixed moment, and never less than before; nil: the system's.
func New(entries int, clock func() time.Duration) *Table {
	if clock == nil {
		start := time.Now()
		clock = func() time.Duration { return time.Since(start) }
	}
	per := max(1, (entries+shards*ways-1)/(shards*ways))
	return &Table{perMask: 1<<bits.Len(uint(per-1)) - 1, clock: clock}
}

// Entries is how many turns the table can hold.
func (t *Table) Entries() int { return int(t.perMask+1) * shards * ways }

// spread makes every bit of the key count in all others.
func spread(key uint64) uint64 {
	hi, lo := bits.Mul64(key^0xA0761D6478BD642F, 0xE7037ED1A0B428DB)
	return hi ^ lo
}

// locked returns the key's shard, locked, and the key's set, nil when the shard
// is empty and create is false.
func (t *Table) locked(key uint64, create bool) (*shard, *set) {
	h := spread(key)
	s := &t.shards[h%shards]
	s.mu.Lock()
	if s.sets == nil {
		if !create {
			return s, nil
		}
		s.sets = make([]set, t.perMask+1)
	}
	return s, &s.sets[h/shards&t.perMask]
}

// find returns the key's entry, nil when there is none.
func (s *set) find(key uint64) *entry {
	if s == nil {
		return nil
	}
	for i := range s {
		if e := &s[i]; e.filled && e.key == key {
			return e
		}
	}
	return nil
}

// Recall returns where the turn was answered, unless that is longer ago than
// idle. The turn becomes one that gives way before others: the conversation has
// moved on, and only a repetition or a branch asks for it again.
func (t *Table) Recall(key uint64, idle time.Duration) (p Place, ok bool) {
	now := t.clock()
	s, set := t.locked(key, false)
	defer s.mu.Unlock()
	e := set.find(key)
	if e == nil {
		return Place{}, false
	}
	if now-e.used > idle {
		*e = entry{}
		return Place{}, false
	}
	e.passed = true
	return Place{Model: e.model, Backend: e.backend, Tokens: int(e.tokens)}, true
}

// Keep remembers that the turn went to p, in place of whatever was known of it.
func (t *Table) Keep(key uint64, p Place) {
	now := t.clock()
	s, set := t.locked(key, true)
	defer s.mu.Unlock()
	e := set.find(key)
	if e == nil {
		e = set.victim()
	}
	*e = entry{
		key: key, model: p.Model, backend: p.Backend, used: now,
		tokens: uint32(min(max(p.Tokens, 0), 1<<32-1)), filled: true,
	}
}

// victim is the entry that a new one may overwrite: a free one, else the oldest
// of those that a later turn followed, else the oldest.
func (s *set) victim() *entry {
	best := &s[0]
	for i := range s {
		e := &s[i]
		switch {
		case !e.filled:
			return e
		case e.passed != best.passed:
			if e.passed {
				best = e
			}
		case e.used < best.used:
			best = e
		}
	}
	return best
}

// Correct tells the table where a turn that it keeps was answered in truth, by
// whoever learns of it later, such as from an access log. What is no longer kept
// is not kept again.
func (t *Table) Correct(key uint64, p Place) {
	s, set := t.locked(key, false)
	defer s.mu.Unlock()
	if e := set.find(key); e != nil {
		e.model, e.backend, e.tokens = p.Model, p.Backend, uint32(min(max(p.Tokens, 0), 1<<32-1))
	}
}

// Forget tells the table that a turn was not answered.
func (t *Table) Forget(key uint64) {
	s, set := t.locked(key, false)
	defer s.mu.Unlock()
	if e := set.find(key); e != nil {
		*e = entry{}
	}
}
