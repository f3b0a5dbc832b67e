package affinity_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"wye/affinity"
)

// hand is a clock that stands still until it is moved.
type hand struct{ at time.Duration }

func (h *hand) now() time.Duration { return h.at }

const idle = 30 * time.Minute

func place(model uint64) affinity.Place {
	return affinity.Place{Model: model, Backend: model + 1, Tokens: int(model) * 10}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	var clock hand
	table := affinity.New(100, clock.now)
	if p, ok := table.Recall(7, idle); ok {
		t.Errorf("an empty table recalls %+v", p)
	}
	table.Keep(7, place(1))
	clock.at = idle
	if p, ok := table.Recall(7, idle); !ok || p != place(1) {
		t.Errorf("at the end of the idle time: %+v, %v", p, ok)
	}
	// Another deployment may be less patient.
	if p, ok := table.Recall(7, idle-1); ok {
		t.Errorf("past a shorter idle time: %+v", p)
	}
	if p, ok := table.Recall(7, idle); ok {
		t.Errorf("what had expired came back: %+v", p)
	}
	table.Keep(7, place(2))
	clock.at += idle + 1
	if p, ok := table.Recall(7, idle); ok {
		t.Errorf("past the idle time: %+v", p)
	}
	// Keeping a turn again counts as use.
	table.Keep(8, place(3))
	clock.at += idle
	table.Keep(8, place(4))
	clock.at += idle
	if p, ok := table.Recall(8, idle); !ok || p != place(4) {
		t.Errorf("kept twice: %+v, %v", p, ok)
	}
}

func TestCorrectAndForget(t *testing.T) {
	t.Parallel()
	table := affinity.New(100, nil)
	table.Correct(1, place(5))
	table.Forget(2)
	if p, ok := table.Recall(1, idle); ok {
		t.Errorf("a correction made up %+v", p)
	}
	table.Keep(1, place(1))
	table.Correct(1, place(5))
	if p, ok := table.Recall(1, idle); !ok || p != place(5) {
		t.Errorf("corrected: %+v, %v", p, ok)
	}
	table.Correct(1, affinity.Place{Model: 1, Tokens: -1})
	if p, _ := table.Recall(1, idle); p.Tokens != 0 {
		t.Errorf("%d tokens", p.Tokens)
	}
	table.Forget(1)
	if p, ok := table.Recall(1, idle); ok {
		t.Errorf("forgotten: %+v", p)
	}
}

// However much is kept, the memory is what it was, and the latest is found.
func TestBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var clock hand
	table := affinity.New(100_000, clock.now)
	n := table.Entries()
	if n < 100_000 || n > 200_000 {
		t.Fatalf("%d entries", n)
	}
	for key := range uint64(10 * n) {
		clock.at++
		table.Keep(key, place(key))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("%d entries take %d bytes", n, grown)
	}
	found := 0
	for key := uint64(9 * n); key < uint64(10*n); key++ {
		if _, ok := table.Recall(key, idle); ok {
			found++
		}
	}
	if found < n*8/10 {
		t.Errorf("of the last %d, %d are there", n, found)
	}
	old := 0
	for key := range uint64(5 * n) {
		if _, ok := table.Recall(key, idle); ok {
			old++
		}
	}
	if old > n/100 {
		t.Errorf("%d old ones are still there", old)
	}
	t.Logf("%d entries, %.1f MiB; of the last as many, %.1f%% found",
		n, float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), 100*float64(found)/float64(n))
	runtime.KeepAlive(table)
}

// A turn that a later one followed gives way before one that waits for an
// answer, however old that one is.
func TestPassedTurnsGiveWayFirst(t *testing.T) {
	t.Parallel()
	var clock hand
	table := affinity.New(1, clock.now)
	n := uint64(table.Entries())
	table.Keep(0, place(1))
	for key := uint64(1); key < 8*n; key++ {
		clock.at++
		table.Keep(key, place(1))
		table.Recall(key, idle)
	}
	if _, ok := table.Recall(0, idle); !ok {
		t.Error("the turn that waits was forgotten")
	}
}

// A table of one shard's worth does what a map with expiry does, as long as
// nothing has to give way.
func TestLikeAMap(t *testing.T) {
	t.Parallel()
	type kept struct {
		place affinity.Place
		at    time.Duration
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	var clock hand
	table, want := affinity.New(1<<16, clock.now), map[uint64]kept{}
	for range 200_000 {
		key := uint64(rnd.IntN(2000))
		clock.at += time.Duration(rnd.IntN(int(time.Second)))
		switch rnd.IntN(5) {
		case 0, 1:
			p := place(1 + uint64(rnd.IntN(1000)))
			table.Keep(key, p)
			want[key] = kept{p, clock.at}
		case 2:
			p := place(1 + uint64(rnd.IntN(1000)))
			table.Correct(key, p)
			if k, ok := want[key]; ok {
				want[key] = kept{p, k.at}
			}
		case 3:
			if rnd.IntN(10) == 0 {
				table.Forget(key)
				delete(want, key)
			}
		}
		k, ok := want[key]
		if ok && clock.at-k.at > idle {
			delete(want, key)
			ok = false
		}
		if got, found := table.Recall(key, idle); found != ok || found && got != k.place {
			t.Fatalf("key %d: %+v, %v; want %+v, %v", key, got, found, k.place, ok)
		}
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	table := affinity.New(1000, nil)
	var running sync.WaitGroup
	for g := range 8 {
		running.Go(func() {
			rnd := rand.New(rand.NewPCG(5, uint64(g)))
			for range 20_000 {
				key := uint64(rnd.IntN(3000))
				switch rnd.IntN(8) {
				case 0:
					table.Forget(key)
				case 1:
					table.Correct(key, place(key+1))
				case 2, 3, 4:
					table.Keep(key, place(key+1))
				default:
					// Only what was kept of this key may come back, and whole.
					if p, ok := table.Recall(key, idle); ok && p != place(key+1) {
						t.Errorf("key %d has %+v", key, p)
					}
				}
			}
		})
	}
	running.Wait()
}

func TestDoesNotAllocate(t *testing.T) {
	table := affinity.New(1, nil)
	for key := range uint64(10_000) {
		table.Keep(key, place(1)) // every shard is made
	}
	key := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		key++
		table.Keep(key, place(1))
		table.Recall(key, idle)
		table.Correct(key, place(2))
		table.Forget(key - 1)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTurn is what a request of a deployment with affinity pays.
func BenchmarkTurn(b *testing.B) {
	table := affinity.New(affinity.DefaultEntries, nil)
	b.ReportAllocs()
	var key uint64
	for b.Loop() {
		key++
		table.Recall(key-1, idle)
		table.Keep(key, place(1))
	}
}
