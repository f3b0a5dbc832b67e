package rig

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Outcome is one request of a Load.
type Outcome struct {
	Client   int
	Begin    time.Time
	Took     time.Duration
	Response Response
	Err      error // no response, or not the whole of it
}

// Load is a number of clients that each send one request after the other.
type Load struct {
	stop     context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	outcomes []Outcome
}

// StartLoad starts the clients; send makes the n-th request of a client. They
// finish the request they are at when stopped, at the latest by the test's
// cleanup.
func StartLoad(t testing.TB, clients int, pause time.Duration, send func(client, n int) (Response, error)) *Load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &Load{stop: stop}
	for client := range clients {
		l.wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				begin := time.Now()
				resp, err := send(client, n)
				out := Outcome{Client: client, Begin: begin, Took: time.Since(begin), Response: resp, Err: err}
				l.mu.Lock()
				l.outcomes = append(l.outcomes, out)
				l.mu.Unlock()
				time.Sleep(pause)
			}
		})
	}
	t.Cleanup(func() { l.Stop() })
	return l
}

// Stop ends the load and returns what its requests came to.
func (l *Load) Stop() []Outcome {
	l.stop()
	l.wg.Wait()
	return l.Outcomes()
}

// Outcomes returns the requests that are complete so far.
func (l *Load) Outcomes() []Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Outcome(nil), l.outcomes...)
}

// Since returns the outcomes of requests that began at or after begin.
func Since(outcomes []Outcome, begin time.Time) []Outcome {
	var late []Outcome
	for _, o := range outcomes {
		if !o.Begin.Before(begin) {
			late = append(late, o)
		}
	}
	return late
}

// Bad describes the outcomes that are not answers with one of the statuses, at
// most a few of them.
func Bad(outcomes []Outcome, statuses ...int) []string {
	var bad []string
next:
	for _, o := range outcomes {
		if o.Err == nil {
			for _, status := range statuses {
				if o.Response.Status == status {
					continue next
				}
			}
		}
		if len(bad) == 10 {
			return append(bad, "…")
		}
		bad = append(bad, fmt.Sprintf("client %d at %s after %v: status %d, error %v, %.200q",
			o.Client, o.Begin.Format("15:04:05.000"), o.Took.Round(time.Millisecond), o.Response.Status, o.Err, o.Response.Body))
	}
	return bad
}
