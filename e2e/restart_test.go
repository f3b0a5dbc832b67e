package e2e_test

import (
	"net/http"
	"syscall"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// Wye ends, its policy is edited, and it starts again, all under load and after
// more or less time: while it is away requests are refused because there is no
// router, and for no other reason before, meanwhile or after. None is decided
// before Envoy has the clusters that the edited policy names.
func TestRestartedAndEdited(t *testing.T) {
	for _, sotw := range []bool{false, true} {
		t.Run(map[bool]string{false: "delta", true: "state of the world"}[sotw], func(t *testing.T) {
			s := rig.Start(t, rig.Options{StateOfTheWorld: sotw, Args: []string{"--drain-delay", "0s"}})
			m := startMoves(t, s)
			load := startLoad(t, s)
			served(t, load, time.Now(), rig.Patience)
			for i, away := range []time.Duration{0, 300 * time.Millisecond, 1500 * time.Millisecond} {
				signal := []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}[i%2]
				s.Wye.Signal(t, signal)
				s.Wye.Wait(t, rig.Patience)
				rig.WriteFile(t, s.PolicyPath, m.edit(s.Policy, i).YAML(t))
				time.Sleep(away)
				restarted := time.Now()
				s.RestartWye(t)
				t.Logf("away for %v and %v: served again %v after the restart", signal, away, served(t, load, restarted, rig.Patience))
			}
			outcomes := load.Stop()
			refused := 0
			for _, bad := range rig.Bad(outcomes, http.StatusOK, http.StatusServiceUnavailable) {
				t.Error(bad)
			}
			for _, o := range outcomes {
				if o.Err != nil || o.Response.Status == http.StatusOK {
					continue
				}
				refused++
				if e, err := o.Response.Error(); err != nil || e.Code == nil || *e.Code != "router_unavailable" {
					t.Errorf("at %s after %v: %d %s, %v", o.Begin.Format("15:04:05.000"), o.Took, o.Response.Status, o.Response.Body, err)
				}
			}
			if refused == 0 || refused == len(outcomes) {
				t.Errorf("%d of %d requests were refused", refused, len(outcomes))
			}
			t.Logf("%d requests, %d of them refused", len(outcomes), refused)
			s.CheckStrict(t)
		})
	}
}
