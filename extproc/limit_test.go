package extproc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"wye/extproc"
	"wye/limits"
	"wye/router"
)

// limited serves testSnapshot with limits on auto, under a clock that stands
// still until *now is moved.
func limited(t testing.TB, of router.PerMinute, now *time.Duration) (*grpc.ClientConn, *limits.Limiter) {
	t.Helper()
	s := testSnapshot(t, "p1")
	s.Deployment([]byte("auto")).PerMinute = of
	r := new(router.Router)
	r.Swap(s)
	l := limits.New(func() time.Duration { return *now })
	_, conn := start(t, extproc.Config{Router: r, Limits: l})
	return conn, l
}

// told are the x-ratelimit headers among m.
func told(m map[string]any) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if name, ok := strings.CutPrefix(k, "x-ratelimit-"); ok {
			out[name], _ = v.(string)
		}
	}
	return out
}

func headersOf(r refusal) map[string]string {
	m := map[string]any{}
	for k, v := range r.Headers {
		m[k] = v
	}
	return told(m)
}

func TestRequestsPerMinute(t *testing.T) {
	t.Parallel()
	var now time.Duration
	conn, _ := limited(t, router.PerMinute{Requests: 2}, &now)
	for i, want := range []map[string]string{
		{"limit-requests": "2", "remaining-requests": "1", "reset-requests": "30s"},
		{"limit-requests": "2", "remaining-requests": "0", "reset-requests": "1m0s"},
	} {
		got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
		decision, _ := readRouted(t, got, err).Metadata["wye"].(map[string]any)
		if diff := cmp.Diff(want, told(decision)); diff != "" {
			t.Errorf("request %d: %s", i+1, diff)
		}
	}
	now += 4500 * time.Millisecond
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	r := readRefusal(t, got, err)
	if r.Status != http.StatusTooManyRequests || r.Headers["retry-after"] != "26" || r.Headers["x-wye-deployment"] != "auto" ||
		!strings.Contains(r.Body, `"type":"requests"`) || !strings.Contains(r.Body, `"code":"rate_limit_exceeded"`) {
		t.Errorf("%+v", r)
	}
	if diff := cmp.Diff(map[string]string{"limit-requests": "2", "remaining-requests": "0", "reset-requests": "56s"}, headersOf(r)); diff != "" {
		t.Error(diff)
	}
	now += 26 * time.Second
	got, err = exchange(t, conn, false, chat(len(question)), body(question, true))
	readRouted(t, got, err)
	// Another deployment has no limit, and says nothing of any.
	other := strings.Replace(question, `"auto"`, `"single"`, 1)
	got, err = exchange(t, conn, false, chat(len(other)), body(other, true))
	if decision, _ := readRouted(t, got, err).Metadata["wye"].(map[string]any); len(told(decision)) > 0 {
		t.Errorf("%v", decision)
	}
}

// An answer is expected to have 100 tokens; see fixedScorer.
func TestTokensPerMinute(t *testing.T) {
	t.Parallel()
	var now time.Duration
	conn, l := limited(t, router.PerMinute{Requests: 10, Tokens: 250}, &now)
	capped := strings.Replace(question, `"n":1.00`, `"max_tokens":7`, 1)
	var left []string
	for _, text := range []string{question, capped, question, question} {
		got, err := exchange(t, conn, false, chat(len(text)), body(text, true))
		if len(got) == 1 {
			r := readRefusal(t, got, err)
			if r.Status != http.StatusTooManyRequests || r.Headers["retry-after"] == "" || !strings.Contains(r.Body, `"type":"tokens"`) {
				t.Errorf("%+v", r)
			}
			left = append(left, "refused, "+r.Headers["x-ratelimit-remaining-requests"])
			continue
		}
		decision, _ := readRouted(t, got, err).Metadata["wye"].(map[string]any)
		left = append(left, told(decision)["remaining-requests"])
	}
	// What was refused for its tokens does not count as a request.
	if diff := cmp.Diff([]string{"9", "8", "7", "refused, 7"}, left); diff != "" {
		t.Error(diff)
	}
	l.Give(limits.Key{Name: "auto", What: limits.Tokens}, 250, 150)
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	readRouted(t, got, err)
	// What is more than a minute's worth is never granted.
	huge := strings.Replace(question, "hi", strings.Repeat("hello ", 400), 1)
	got, err = exchange(t, conn, false, chat(len(huge)), body(huge, true))
	r := readRefusal(t, got, err)
	if _, there := r.Headers["retry-after"]; there || r.Status != http.StatusTooManyRequests || !strings.Contains(r.Body, "too large at any time") {
		t.Errorf("%+v", r)
	}
}
