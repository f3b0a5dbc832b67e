package limits_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wye/limits"
)

var a = limits.Key{Name: "a"}

func TestTake(t *testing.T) {
	t.Parallel()
	var now time.Duration
	l := limits.New(func() time.Duration { return now })
	for i, tt := range []struct {
		after time.Duration
		n     int
		want  limits.Standing
	}{
		{0, 40, limits.Standing{Limit: 60, Remaining: 20, Reset: 40 * time.Second}},
		{0, 21, limits.Standing{Limit: 60, Remaining: 20, Reset: 40 * time.Second, Wait: time.Second}},
		{time.Second, 21, limits.Standing{Limit: 60, Remaining: 0, Reset: time.Minute}},
		{0, 0, limits.Standing{Limit: 60, Remaining: 0, Reset: time.Minute}},
		{0, -5, limits.Standing{Limit: 60, Remaining: 0, Reset: time.Minute}},
		{0, 61, limits.Standing{Limit: 60, Remaining: 0, Reset: time.Minute, Wait: limits.Never}},
		{time.Hour, 60, limits.Standing{Limit: 60, Remaining: 0, Reset: time.Minute}}, // no more than a minute's worth is saved
	} {
		now += tt.after
		if got := l.Take(a, 60, tt.n); got != tt.want {
			t.Errorf("step %d: %+v, want %+v", i, got, tt.want)
		}
	}
	if got := l.Take(limits.Key{Name: "a", What: limits.Tokens}, 60, 60); got.Wait != 0 {
		t.Errorf("another kind: %+v", got)
	}
}

func TestGive(t *testing.T) {
	t.Parallel()
	var now time.Duration
	l := limits.New(func() time.Duration { return now })
	l.Take(a, 100, 80)
	l.Give(a, 100, 30) // 50 were enough
	if got := l.Take(a, 100, 50); got.Wait != 0 || got.Remaining != 0 {
		t.Errorf("after what was not used came back: %+v", got)
	}
	l.Give(a, 100, -100) // 100 more than granted
	if got := l.Take(a, 100, 0); got.Remaining != 0 || got.Reset != 2*time.Minute {
		t.Errorf("in debt: %+v", got)
	}
	now += time.Minute
	if got := l.Take(a, 100, 1); got.Wait != 600*time.Millisecond {
		t.Errorf("a minute into a debt of a minute: %+v", got)
	}
	l.Give(a, 100, 1_000_000)
	if got := l.Take(a, 100, 0); got.Remaining != 100 {
		t.Errorf("too much came back: %+v", got)
	}
}

// An edit of the policy takes effect at once, and lets nobody start over.
func TestLimitChanges(t *testing.T) {
	t.Parallel()
	var now time.Duration
	l := limits.New(func() time.Duration { return now })
	l.Take(a, 100, 100)
	if got := l.Take(a, 1000, 1); got.Wait == 0 {
		t.Errorf("raised: %+v", got)
	}
	now += time.Minute
	if got := l.Take(a, 10, 1); got.Remaining != 9 {
		t.Errorf("lowered: %+v", got)
	}
}

// Over any time no more is granted than a minute's worth and what has come since.
func TestNeverMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 1))
	var now time.Duration
	l := limits.New(func() time.Duration { return now })
	const limit = 1000
	granted := 0
	for range 50_000 {
		now += time.Duration(rnd.IntN(int(50 * time.Millisecond)))
		n := rnd.IntN(40)
		s := l.Take(a, limit, n)
		if s.Wait == 0 {
			granted += n
		} else {
			now += s.Wait // exactly then it is there
			if s = l.Take(a, limit, n); s.Wait > 1 {
				t.Fatalf("after the wait: %+v", s)
			}
			if s.Wait == 0 {
				granted += n
			}
		}
		if most := limit + int(now.Minutes()*limit) + 1; granted > most {
			t.Fatalf("%d granted in %v, at most %d are allowed", granted, now, most)
		}
	}
	if least := int(now.Minutes() * limit * 0.9); granted < least {
		t.Errorf("%d granted in %v of unending demand, want %d", granted, now, least)
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	l := limits.New(func() time.Duration { return 0 })
	var granted atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 1000 {
				if l.Take(a, 3000, 1).Wait == 0 {
					granted.Add(1)
				}
			}
		})
	}
	running.Wait()
	if granted.Load() != 3000 {
		t.Errorf("%d granted of 3000", granted.Load())
	}
}

func TestDoesNotAllocate(t *testing.T) {
	l := limits.New(nil)
	l.Take(a, 1000, 1)
	if n := testing.AllocsPerRun(100, func() { l.Take(a, 1000, 1); l.Give(a, 1000, 1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
