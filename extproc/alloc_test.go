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
