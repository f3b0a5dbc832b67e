package fakeprovider_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"wye/internal/fakeprovider"
)

func TestParseFault(t *testing.T) {
	t.Parallel()
	got, err := fakeprovider.ParseFault("model=m; status=503;retry-after=2 ;delay=1.5s; cut=3; reset; never; probability=0.25")
	want := fakeprovider.Fault{
		Model: "m", Status: 503, RetryAfter: 2 * time.Second, FirstTokenDelay: 1500 * time.Millisecond, CutAfterChunks: 3,
		Reset: true, NeverAnswer: true, Probability: 0.25,
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for _, s := range []string{"", "status", "status=200", "status=x", "retry-after=soon", "delay=1", "cut=x", "probability=x", "explode"} {
		if f, err := fakeprovider.ParseFault(s); err == nil {
			t.Errorf("%q is %+v", s, f)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	const whole, stream = `{"model":"m",` + hi + `}`, `{"model":"m","stream":true,` + hi + `}`
	s := start(t, fakeprovider.Config{})
	t.Run("status", func(t *testing.T) {
		for fault, want := range map[string]struct {
			status     int
			retryAfter string
			kind       string
		}{
			"status=503":                {503, "", "server_error"},
			"status=429; retry-after=7": {429, "7", "requests"},
			"model=m; status=500":       {500, "", "server_error"},
			"model=other; status=500":   {200, "", ""},
		} {
			status, header, answer := post(t, s, whole, fakeprovider.HeaderFault, fault)
			if status != want.status || header.Get("Retry-After") != want.retryAfter || gjson.Get(answer, "error.type").String() != want.kind {
				t.Errorf("%s: status %d, header %v, %s", fault, status, header, answer)
			}
		}
	})
	t.Run("malformed header", func(t *testing.T) {
		status, _, answer := post(t, s, whole, fakeprovider.HeaderFault, "explode")
		if status != 400 || gjson.Get(answer, "error.param").String() != fakeprovider.HeaderFault {
			t.Errorf("status %d: %s", status, answer)
		}
	})
	t.Run("reset", func(t *testing.T) {
		if status, _, answer := post(t, s, whole, fakeprovider.HeaderFault, "reset"); status != 0 {
			t.Errorf("status %d: %s", status, answer)
		}
	})
	t.Run("cut stream", func(t *testing.T) {
		status, _, answer := post(t, s, stream, fakeprovider.HeaderFault, "cut=3")
		if status != 200 || strings.Count(answer, "data: ") != 3 || !strings.Contains(answer, "\nERROR ") {
			t.Errorf("status %d: %s", status, answer)
		}
		if n := len(s.Last().Chunks); n != 3 {
			t.Errorf("%d events recorded", n)
		}
	})
	t.Run("cut answer", func(t *testing.T) {
		status, _, answer := post(t, s, whole, fakeprovider.HeaderFault, "cut=1")
		if status != 200 || !strings.Contains(answer, "\nERROR unexpected EOF") {
			t.Errorf("status %d: %s", status, answer)
		}
	})
	t.Run("delay", func(t *testing.T) {
		began := time.Now()
		status, _, _ := post(t, s, whole, fakeprovider.HeaderFault, "delay=80ms")
		if took := time.Since(began); status != 200 || took < 80*time.Millisecond {
			t.Errorf("status %d after %v", status, took)
		}
	})
	t.Run("never", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Addr()+"/v1/chat/completions", strings.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(fakeprovider.HeaderFault, "never")
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if resp, err := client.Do(req); err == nil {
			b, _ := io.ReadAll(resp.Body)
			t.Errorf("answered %d %s", resp.StatusCode, b)
			resp.Body.Close()
		}
	})
	if got := s.Stats(); got.Faults != 8 {
		t.Errorf("stats %+v", got)
	}
}

func TestSetFault(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{Seed: 5})
	failures := func(n int) (failed int) {
		for range n {
			if status, _, _ := post(t, s, `{"model":"m",`+hi+`}`); status == 503 {
				failed++
			}
		}
		return failed
	}
	s.SetFault(fakeprovider.Fault{Status: 503, Times: 2})
	if n := failures(5); n != 2 {
		t.Errorf("%d of 5 failed, want 2", n)
	}
	s.SetFault(fakeprovider.Fault{Status: 503})
	if n := failures(3); n != 3 {
		t.Errorf("%d of 3 failed", n)
	}
	s.SetFault(fakeprovider.Fault{})
	if n := failures(3); n != 0 {
		t.Errorf("%d of 3 failed after the fault ended", n)
	}
	s.SetFault(fakeprovider.Fault{Status: 503, Probability: 0.5})
	first := failures(40)
	if first < 8 || first > 32 {
		t.Errorf("%d of 40 failed at a probability of one half", first)
	}
	twin := start(t, fakeprovider.Config{Seed: 5})
	twin.SetFault(fakeprovider.Fault{Status: 503, Probability: 0.5})
	s = twin
	if second := failures(40); second != first {
		t.Errorf("the same seed: %d and %d failures", first, second)
	}
}
