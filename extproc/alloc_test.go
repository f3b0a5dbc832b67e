//go:build !race

package extproc

import "testing"

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
	st.standing.requests.Limit, st.standing.tokens.Limit = 10, 1000
	st.standing.tokens.Reset = 61e9
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { dst = st.eachLimit(dst[:0], appendStringField[[]byte]) }); n > 0 || len(dst) == 0 {
		t.Errorf("%v allocations", n)
	}
}
