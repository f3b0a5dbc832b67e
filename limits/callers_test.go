package limits_test

import (
	"fmt"
	"testing"
	"time"

	"wye/limits"
)

// Callers are limited each for itself, and apart from the name as a whole.
func TestCallers(t *testing.T) {
	t.Parallel()
	l := limits.New(func() time.Duration { return 0 })
	one, two := limits.Key{Name: "a", Caller: l.Caller([]byte("one"))}, limits.Key{Name: "a", Caller: l.Caller([]byte("two"))}
	if one == two || l.Caller([]byte("one")) != one.Caller {
		t.Fatalf("keys %v, %v", one, two)
	}
	for range 5 {
		l.Take(one, 5, 1)
	}
	if got := l.Take(one, 5, 1); got.Wait == 0 {
		t.Errorf("used up: %+v", got)
	}
	for _, other := range []limits.Key{two, {Name: "b", Caller: one.Caller}, {Name: "a"}, {Name: "a", What: limits.Tokens, Caller: one.Caller}} {
		if got := l.Take(other, 5, 5); got.Wait != 0 {
			t.Errorf("%+v: %+v", other, got)
		}
	}
}

// The table is bounded: whoever used nothing for a minute makes room, whoever
// did not keeps the place, and newcomers share one limit then.
func TestCrowd(t *testing.T) {
	t.Parallel()
	var now time.Duration
	l := limits.NewSized(2, func() time.Duration { return now }) // four buckets
	key := func(i int) limits.Key {
		return limits.Key{Name: "a", Caller: l.Caller(fmt.Append(nil, i))}
	}
	for i := range 4 {
		l.Take(key(i), 10, 10)
	}
	if got := l.Take(key(4), 10, 10); got.Wait != 0 {
		t.Errorf("the first of the crowd: %+v", got)
	}
	if got := l.Take(key(5), 10, 1); got.Wait == 0 {
		t.Errorf("the second has a limit of its own: %+v", got)
	}
	for i := range 4 {
		if got := l.Take(key(i), 10, 1); got.Wait == 0 {
			t.Errorf("caller %d was forgotten: %+v", i, got)
		}
	}
	if held, crowded := l.CallerCounts(); held != 4 || crowded != 2 {
		t.Errorf("%d held, crowded %d times", held, crowded)
	}
	now += time.Minute
	if got := l.Take(key(3), 10, 10); got.Wait != 0 {
		t.Errorf("after a minute: %+v", got)
	}
	for i := 6; i < 9; i++ {
		if got := l.Take(key(i), 10, 10); got.Wait != 0 {
			t.Errorf("newcomer %d after a minute: %+v", i, got)
		}
	}
	if got := l.Take(key(3), 10, 1); got.Wait == 0 {
		t.Errorf("the one in use was forgotten: %+v", got)
	}
	if held, _ := l.CallerCounts(); held != 4 {
		t.Errorf("%d held, want 4", held)
	}
}

// A caller who is in debt is not let off by waiting in the back.
func TestDebtorStays(t *testing.T) {
	t.Parallel()
	var now time.Duration
	l := limits.NewSized(1, func() time.Duration { return now }) // two buckets
	key := func(name string) limits.Key {
		return limits.Key{Name: "a", Caller: l.Caller([]byte(name))}
	}
	l.Take(key("debtor"), 10, 10)
	l.Give(key("debtor"), 10, -20)
	l.Take(key("other"), 10, 1)
	now += 2 * time.Minute // the debtor has nothing yet
	l.Take(key("new"), 10, 10)
	if got := l.Take(key("debtor"), 10, 1); got.Wait == 0 {
		t.Errorf("the debtor: %+v", got)
	}
	now += 2 * time.Minute
	if got := l.Take(key("debtor"), 10, 1); got.Wait != 0 {
		t.Errorf("the debtor, paid off: %+v", got)
	}
}

func TestCallersDoNotAllocate(t *testing.T) {
	var now time.Duration
	l := limits.NewSized(8, func() time.Duration { now += time.Second; return now })
	names := make([][]byte, 64)
	for i := range names {
		names[i] = fmt.Appendf(nil, "caller-%d", i)
	}
	n := 0
	use := func() {
		key := limits.Key{Name: "a", Caller: l.Caller(names[n%len(names)])}
		n++
		l.Take(key, 1000, 1)
		l.Give(key, 1000, 1)
	}
	for range 256 {
		use()
	}
	if n := testing.AllocsPerRun(1000, use); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
