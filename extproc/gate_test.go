package extproc_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"wye/extproc"
	"wye/router"
)

// slowScorer takes until it is let go.
type slowScorer struct {
	fixedScorer
	entered chan struct{}
	release chan struct{}
}

func (s slowScorer) Score(req *router.Request, mode router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	s.entered <- struct{}{}
	<-s.release
	return s.fixedScorer.Score(req, mode, models, out)
}

// Whoever waits too long for a turn is refused; whoever gets one in time is not,
// and a panic gives its place back.
func TestGate(t *testing.T) {
	t.Parallel()
	scorer := slowScorer{entered: make(chan struct{}, 8), release: make(chan struct{})}
	s := testSnapshot(t, "p1")
	s.Deployment([]byte("auto")).Scorer = scorer
	r := new(router.Router)
	r.Swap(s)
	_, conn := start(t, extproc.Config{Router: r, MaxDecisions: 1, MaxWait: 300 * time.Millisecond})
	broken := strings.Replace(question, `"auto"`, `"broken"`, 1)
	for range 3 {
		got, err := exchange(t, conn, false, chat(len(broken)), body(broken, true))
		if refused := readRefusal(t, got, err); refused.Status != http.StatusInternalServerError {
			t.Fatalf("%+v", refused)
		}
	}
	var running sync.WaitGroup
	running.Go(func() {
		got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
		readRouted(t, got, err)
	})
	<-scorer.entered // the only place is taken
	begin := time.Now()
	single := strings.Replace(question, `"auto"`, `"single"`, 1)
	got, err := exchange(t, conn, false, chat(len(single)), body(single, true))
	refused := readRefusal(t, got, err)
	if refused.Status != http.StatusServiceUnavailable || !strings.Contains(refused.Body, `"code":"overloaded"`) || refused.Headers["retry-after"] != "1" {
		t.Errorf("%+v", refused)
	}
	if waited := time.Since(begin); waited < 300*time.Millisecond {
		t.Errorf("refused after %v already", waited)
	}
	close(scorer.release)
	running.Wait()
	got, err = exchange(t, conn, false, chat(len(single)), body(single, true))
	readRouted(t, got, err)
}
