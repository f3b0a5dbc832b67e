package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

const loadClients = 12

// startLoad sends small prompts from a dozen clients.
func startLoad(t *testing.T, s *rig.Stack) *rig.Load {
	t.Helper()
	client := rig.NewClient(t)
	return rig.StartLoad(t, loadClients, 5*time.Millisecond, func(c, n int) (rig.Response, error) {
		return rig.Post(t.Context(), client, s.URL, rig.Chat("auto", fmt.Sprintf("Say %d to %d.", n, c)))
	})
}

// served waits until the load has been served for a moment.
func served(t *testing.T, l *rig.Load, since time.Time, within time.Duration) time.Duration {
	t.Helper()
	return rig.Eventually(t, within, "requests are served", func() (bool, string) {
		recent := rig.Since(l.Outcomes(), since)
		last := recent[max(0, len(recent)-3*loadClients):]
		bad := rig.Bad(last, http.StatusOK)
		return len(last) == 3*loadClients && len(bad) == 0, strings.Join(bad, "\n")
	})
}

// checkFailures fails unless every outcome is an answer or a clean 503, in time.
func checkFailures(t *testing.T, outcomes []rig.Outcome, within time.Duration) (refused int) {
	t.Helper()
	for _, bad := range rig.Bad(outcomes, http.StatusOK, http.StatusServiceUnavailable) {
		t.Error(bad)
	}
	var slowest time.Duration
	for _, o := range outcomes {
		slowest = max(slowest, o.Took)
		if o.Err != nil || o.Response.Status != http.StatusServiceUnavailable {
			continue
		}
		refused++
		if _, err := o.Response.Error(); err != nil {
			t.Errorf("a 503 is not clean: %v", err)
			break
		}
	}
	if slowest > within {
		t.Errorf("a request took %v, want at most %v", slowest, within)
	}
	t.Logf("%d requests, %d of them 503, the slowest %v", len(outcomes), refused, slowest)
	return refused
}

// kill -9: every request is answered within a second, with a 503 while Wye is
// away, and service comes back by itself.
func TestProcessorKilled(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	load := startLoad(t, s)
	served(t, load, time.Now(), 30*time.Second)

	killed := time.Now()
	s.Wye.Signal(t, syscall.SIGKILL)
	s.Wye.Wait(t, 10*time.Second)
	rig.Eventually(t, 20*time.Second, "requests are refused", func() (bool, string) {
		recent := rig.Since(load.Outcomes(), killed.Add(time.Second))
		return len(recent) >= 4*loadClients, itoa(len(recent)) + " requests since"
	})
	away := rig.Since(load.Outcomes(), killed.Add(100*time.Millisecond))
	for _, bad := range rig.Bad(away, http.StatusServiceUnavailable) {
		t.Errorf("while Wye was away: %s", bad)
	}

	restarted := time.Now()
	s.RestartWye(t)
	took := served(t, load, restarted, 30*time.Second)
	t.Logf("served again %v after the restart", took)
	if refused := checkFailures(t, load.Stop(), slack(time.Second)); refused == 0 {
		t.Error("no request was refused, the test killed nothing")
	}
}

// slack widens a bound on a request's time by what a loaded test machine may
// add; the bound itself is in the log.
func slack(d time.Duration) time.Duration { return d + 1500*time.Millisecond }

// A frozen Wye is noticed within five seconds: from then on requests are
// refused at once, and none of those already waiting hangs.
func TestProcessorFrozen(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	load := startLoad(t, s)
	served(t, load, time.Now(), 30*time.Second)

	frozen := time.Now()
	s.Wye.Signal(t, syscall.SIGSTOP)
	noticed := rig.Eventually(t, slack(5*time.Second), "a frozen Wye is noticed", func() (bool, string) {
		outcomes := load.Outcomes()
		last := outcomes[len(outcomes)-1]
		return last.Response.Status == http.StatusServiceUnavailable, fmt.Sprintf("status %d, %v", last.Response.Status, last.Err)
	})
	t.Logf("noticed after %v", noticed)
	time.Sleep(time.Second) // let the refusals show whether they are quick
	for _, o := range rig.Since(load.Outcomes(), frozen.Add(noticed+500*time.Millisecond)) {
		if o.Took > slack(0) {
			t.Errorf("a request after the notice took %v", o.Took)
			break
		}
	}
	thawed := time.Now()
	s.Wye.Signal(t, syscall.SIGCONT)
	t.Logf("served again %v after the thaw", served(t, load, thawed, 30*time.Second))
	if refused := checkFailures(t, load.Stop(), slack(5*time.Second)); refused == 0 {
		t.Error("no request was refused, the test froze nothing")
	}
}

// SIGTERM: Wye finishes every request that it has begun, then exits with 0.
func TestDrain(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	load := startLoad(t, s)
	served(t, load, time.Now(), 30*time.Second)

	// A request whose body is still coming when the signal does.
	slow := make(chan rig.Outcome, 1)
	body := rig.Chat("auto", strings.Repeat("slowly ", 100))
	client := rig.NewClient(t)
	go func() {
		resp, err := rig.Do(t.Context(), client, http.MethodPost, s.URL+rig.ChatPath,
			&trickle{rest: body, size: len(body)/8 + 1, pause: 250 * time.Millisecond})
		slow <- rig.Outcome{Response: resp, Err: err}
	}()
	time.Sleep(700 * time.Millisecond)

	began := time.Now()
	s.Wye.Signal(t, syscall.SIGTERM)
	if o := <-slow; o.Err != nil || o.Response.Status != http.StatusOK {
		t.Errorf("the request in flight: status %d, %v, %s", o.Response.Status, o.Err, o.Response.Body)
	}
	if code := s.Wye.Wait(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	t.Logf("drained in %v", time.Since(began))
	// Nobody took over, so what came later is refused, cleanly; nothing is
	// reset and nothing hangs.
	checkFailures(t, load.Stop(), slack(time.Second))
}
