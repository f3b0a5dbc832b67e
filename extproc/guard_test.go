package extproc

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"wye/router"
)

func TestGuard(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		act                func(*guard)
		expired, cancelled bool
	}{
		"left alone": {func(*guard) {}, true, true},
		"extended in time, then left alone": {func(g *guard) {
			for range 5 {
				time.Sleep(900 * time.Millisecond)
				if !g.extend(time.Second) {
					t.Error("extend says that the guard has fired")
				}
			}
		}, true, true},
		"extended too late": {func(g *guard) {
			time.Sleep(2 * time.Second)
			if g.extend(time.Second) || g.answer() || g.release() {
				t.Error("a guard that has fired says otherwise")
			}
		}, true, true},
		"answering": {func(g *guard) {
			if !g.answer() {
				t.Error("answer says that the guard has fired")
			}
		}, false, true},
		"released": {func(g *guard) {
			if !g.release() {
				t.Error("release says that the guard has fired")
			}
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, err := guardable(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				expired := 0
				g := newGuard(ctx, time.Second, func() { expired++ })
				tc.act(g)
				time.Sleep(time.Minute)
				g.release()
				if (expired == 1) != tc.expired || expired > 1 {
					t.Errorf("expired %d times, want %v", expired, tc.expired)
				}
				want := error(nil)
				if tc.cancelled {
					want = context.DeadlineExceeded
				}
				if !errors.Is(ctx.Err(), want) {
					t.Errorf("context: %v, want %v", ctx.Err(), want)
				}
			})
		})
	}
}

// What ends a stream from outside stays what it was.
func TestGuardContextCancelled(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithCancel(t.Context())
	ctx, err := guardable(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := ctx.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// An error of the router that this package does not know is not the client's.
func TestUnknownRouterError(t *testing.T) {
	t.Parallel()
	if p := routeProblem(&router.Error{Message: "secret"}); p != errInternal {
		t.Errorf("got %+v", p)
	}
}

func TestCodecName(t *testing.T) {
	t.Parallel()
	if name := newCodec(new(bufferPool)).Name(); name != "proto" {
		t.Errorf("got %q", name)
	}
}
