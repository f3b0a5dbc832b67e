package extproc

import (
	"context"
	"sync/atomic"
)

// hold keeps complete requests from being decided until it is released, once:
// whoever waits is then decided, and whoever comes later does not wait. The zero
// hold is released.
type hold struct {
	held     atomic.Bool
	released chan struct{}
}

// start begins to hold. It must be called before anybody waits.
func (h *hold) start() {
	h.released = make(chan struct{})
	h.held.Store(true)
}

func (h *hold) release() {
	if h.held.CompareAndSwap(true, false) {
		close(h.released)
	}
}

// wait returns nil once it is released, and ctx's error if that ends before.
func (h *hold) wait(ctx context.Context) error {
	if !h.held.Load() {
		return nil
	}
	select {
	case <-h.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release ends the hold that Config.Hold began.
func (s *Server) Release() { s.hold.release() }
