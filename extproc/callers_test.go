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

// callersLimited serves testSnapshot with limits on auto's callers, and on auto.
func callersLimited(t testing.TB, callers router.CallerLimits, whole router.PerMinute, now *time.Duration) *grpc.ClientConn {
	t.Helper()
	s := testSnapshot(t, "p1")
	d := s.Deployment([]byte("auto"))
	d.Callers, d.PerMinute = callers, whole
	r := new(router.Router)
	r.Swap(s)
	_, conn := start(t, extproc.Config{Router: r, Limits: limits.New(func() time.Duration { return *now })})
	return conn
}

// asCaller is what a request of a caller comes to.
func asCaller(t *testing.T, conn *grpc.ClientConn, text string, header ...string) (map[string]string, *refusal) {
	t.Helper()
	got, err := exchange(t, conn, false, chat(len(text), header...), body(text, true))
	if len(got) == 1 {
		r := readRefusal(t, got, err)
		return headersOf(r), &r
	}
	decision, _ := readRouted(t, got, err).Metadata["wye"].(map[string]any)
	return told(decision), nil
}

func TestCallerLimits(t *testing.T) {
	t.Parallel()
	var now time.Duration
	conn := callersLimited(t, router.CallerLimits{Header: "x-team", PerMinute: router.PerMinute{Requests: 2}}, router.PerMinute{}, &now)
	for range 2 {
		if _, refused := asCaller(t, conn, question, "x-team", "red"); refused != nil {
			t.Fatalf("%+v", refused)
		}
	}
	told, refused := asCaller(t, conn, question, "x-team", "red")
	if refused == nil || refused.Status != http.StatusTooManyRequests || refused.Headers["retry-after"] != "30" ||
		!strings.Contains(refused.Body, "2 requests of a caller a minute") {
		t.Fatalf("%+v", refused)
	}
	if diff := cmp.Diff(map[string]string{"limit-requests": "2", "remaining-requests": "0", "reset-requests": "1m0s"}, told); diff != "" {
		t.Error(diff)
	}
	for name, header := range map[string][]string{"another caller": {"x-team", "blue"}, "nobody": nil} {
		told, refused := asCaller(t, conn, question, header...)
		if refused != nil || told["remaining-requests"] != "1" {
			t.Errorf("%s: %v, %+v", name, told, refused)
		}
	}
	// Those who give no name, or an empty one, are one caller.
	asCaller(t, conn, question, "x-team", "")
	if _, refused := asCaller(t, conn, question); refused == nil {
		t.Error("nobody was not refused")
	}
	// Another deployment heeds no caller.
	other := strings.Replace(question, `"auto"`, `"single"`, 1)
	if told, refused := asCaller(t, conn, other, "x-team", "red"); refused != nil || len(told) > 0 {
		t.Errorf("%v, %+v", told, refused)
	}
}

// Clients are told of the tighter limit; what one limit refuses the others are not
// charged with.
func TestCallerAndDeployment(t *testing.T) {
	t.Parallel()
	var now time.Duration
	conn := callersLimited(t, router.CallerLimits{Header: "x-team", PerMinute: router.PerMinute{Requests: 3, Tokens: 250}},
		router.PerMinute{Requests: 4, Tokens: 1000}, &now)
	var left []string
	for _, team := range []string{"red", "red", "red", "blue", "blue", "green"} {
		told, refused := asCaller(t, conn, question, "x-team", team)
		entry := team + " " + told["limit-requests"] + ":" + told["remaining-requests"] + " " + told["limit-tokens"]
		if refused != nil {
			entry += " refused"
		}
		left = append(left, entry)
	}
	want := []string{
		"red 3:2 250", "red 3:1 250",
		"red 3:1 250 refused", // for its tokens: neither count of requests has it
		"blue 4:1 250", "blue 4:0 250",
		"green 4:0  refused", // by the deployment, before the caller's limits were looked at
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
}

func TestCallerRequired(t *testing.T) {
	t.Parallel()
	var now time.Duration
	conn := callersLimited(t, router.CallerLimits{Header: "x-team", MustName: true}, router.PerMinute{}, &now)
	_, refused := asCaller(t, conn, question)
	if refused == nil || refused.Status != http.StatusBadRequest || !strings.Contains(refused.Body, `"code":"caller_required"`) ||
		!strings.Contains(refused.Body, "x-team") {
		t.Errorf("%+v", refused)
	}
	if told, refused := asCaller(t, conn, question, "x-team", "red"); refused != nil || len(told) > 0 {
		t.Errorf("%v, %+v", told, refused)
	}
	_, refused = asCaller(t, conn, question, "x-team", "red", "x-team", "blue")
	if refused == nil || refused.Status != http.StatusBadRequest || !strings.Contains(refused.Body, `"code":"invalid_caller"`) {
		t.Errorf("two names: %+v", refused)
	}
}
