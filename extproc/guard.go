package extproc

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/tap"
)

// guardKey finds a stream's cancel function in its context.
type guardKey struct{}

type guardContext struct {
	context.Context
	cancel  context.CancelFunc
	expired atomic.Bool
}

// expire cancels the stream with DeadlineExceeded. gRPC ends a stream whose
// receive failed with the status of its context's error, whatever its handler
// returns.
func (c *guardContext) expire() {
	c.expired.Store(true)
	c.cancel()
}

// Err implements context.Context.
func (c *guardContext) Err() error {
	err := c.Context.Err()
	if err != nil && c.expired.Load() {
		return context.DeadlineExceeded
	}
	return err
}

// Value implements context.Context.
func (c *guardContext) Value(key any) any {
	if key == (guardKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// guardable is a tap.ServerInHandle that makes a stream cancellable by its own
// handler, which gRPC offers no other way to wake from a blocked receive.
func guardable(ctx context.Context, _ *tap.Info) (context.Context, error) {
	ctx, cancel := context.WithCancel(ctx)
	return &guardContext{Context: ctx, cancel: cancel}, nil
}

// guard bounds how long a stream makes no progress. When it fires it runs
// expired, unless the stream is sending already, and cancels the stream.
type guard struct {
	mu      sync.Mutex
	timer   *time.Timer
	cancel  context.CancelFunc
	expired func()
	// The stream itself is sending, so that expired must not.
	answering bool
	released  bool
	fired     bool
}

// newGuard starts a guard. ctx must descend from one that guardable made;
// otherwise the stream can be answered but not cancelled.
func newGuard(ctx context.Context, timeout time.Duration, expired func()) *guard {
	g := &guard{cancel: func() {}, expired: expired}
	if c, ok := ctx.Value(guardKey{}).(*guardContext); ok {
		g.cancel = c.expire
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer = time.AfterFunc(timeout, g.fire)
	return g
}

func (g *guard) fire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.released || g.fired {
		return
	}
	g.fired = true
	if !g.answering {
		g.expired()
	}
	g.cancel()
}

// extend starts the wait over; false: the guard has fired. It may be about to
// fire when the answer is true; release then tells.
func (g *guard) extend(timeout time.Duration) bool {
	if g.timer.Reset(timeout) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.fired
}

// answer tells that the stream starts to send; false: the guard has fired. When
// it fires from now on, it only cancels.
func (g *guard) answer() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answering = true
	return !g.fired
}

// release ends the guard; false: it has fired.
func (g *guard) release() bool {
	g.timer.Stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.released = true
	return !g.fired
}
