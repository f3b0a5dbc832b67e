package extproc

import (
	"context"
	"runtime"
	"time"
)

// gate bounds how many requests are decided at once, since deciding is work for
// processors and more of it at once only makes each slower, and how long a request
// waits for its turn: one that waited longer is refused, while its client still
// cares.
type gate struct {
	places   chan struct{}
	patience time.Duration
}

// decisionsPerCPU leaves the scheduler something to go on with.
const decisionsPerCPU = 2

// newGate lets n in at once; 0: decisionsPerCPU for each processor.
func newGate(n int, patience time.Duration) gate {
	if n <= 0 {
		n = decisionsPerCPU * runtime.GOMAXPROCS(0)
	}
	return gate{places: make(chan struct{}, n), patience: patience}
}

// enter waits for a place; false: there was none in time, or ctx has ended.
func (g *gate) enter(ctx context.Context) bool {
	select {
	case g.places <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	select {
	case g.places <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (g *gate) leave() { <-g.places }
