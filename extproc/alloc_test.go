//go:build !race

package extproc

import (
	"testing"

	"wye/limits"
	"wye/router"
)

// Under the race detector sync.Pool forgets at random, hence the build tag.
func TestRouteDoesNotAllocate(t *testing.T) {
	for _, size := range []int{2 << 10, 32 << 10} {
		route := routing(t, prompt(size))
		route()
		if n := testing.AllocsPerRun(100, route); n > 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

// Limits cost no memory either.
func TestLimitsDoNotAllocate(t *testing.T) {
	st := &stream{}
	st.standing[limits.Requests].Limit, st.standing[ofCaller+limits.Tokens].Limit = 10, 1000
	st.standing[ofCaller+limits.Tokens].Reset = 61e9
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { dst = st.eachLimit(dst[:0], appendStringField[[]byte]) }); n > 0 || len(dst) == 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCallersDoNotAllocate(t *testing.T) {
	l := limits.New(nil)
	sent := []header{{[]byte(":path"), []byte("/")}, {[]byte("x-team"), []byte("red")}, {[]byte("x-user"), []byte("one")}}
	names := []string{"x-team", "x-user"}
	var f requestFacts
	take := func() {
		f.reset()
		if p := f.takeCallers(sent, names, l); p != nil {
			t.Fatal(p)
		}
	}
	take()
	if n := testing.AllocsPerRun(100, take); n > 0 || f.callerOf("x-user") != l.Caller([]byte("one")) {
		t.Errorf("%v allocations, %v", n, f.callers)
	}
}

func TestBudgetDoesNotAllocate(t *testing.T) {
	s := New(Config{Router: new(router.Router)})
	defer s.Close()
	d := &router.Deployment{Name: "d", Budget: router.Budget{USDPerDay: 1, Balanced: 0.5, Cost: 0.9}}
	st := &stream{server: s}
	st.decision = router.Decision{Deployment: d, Stepped: true, Mode: router.ModeBalanced, Candidates: []router.Candidate{{Cost: 0.01}}}
	use := func() {
		st.heedBudget(d)
		st.reserveCost()
		_ = st.appendBudget(st.limitText[:0])
	}
	use()
	if n := testing.AllocsPerRun(100, use); n > 0 || st.request.BudgetUsed == 0 {
		t.Errorf("%v allocations", n)
	}
}
