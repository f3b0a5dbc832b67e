package e2e_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// Each caller has a limit of its own.
func testCallerLimit(t *testing.T, s *rig.Stack) {
	for range 2 {
		if got := s.Post(t, rig.Chat("two-a-caller", "hi"), "x-team", "red"); got.Status != http.StatusOK || got.Header.Get("x-ratelimit-limit-requests") != "2" {
			t.Fatalf("status %d, headers %v: %s", got.Status, got.Header, got.Body)
		}
	}
	id := rig.ID()
	got := s.Post(t, rig.Chat("two-a-caller", "hi"), "x-team", "red", rig.IDHeader, id)
	e, err := got.Error()
	if err != nil || got.Status != http.StatusTooManyRequests || e.Type != "requests" || len(s.Seen(id)) > 0 {
		t.Errorf("status %d, %v: %s", got.Status, err, got.Body)
	}
	if wait, err := strconv.Atoi(got.Header.Get("retry-after")); err != nil || wait < 1 || wait > 30 {
		t.Errorf("headers %v", got.Header)
	}
	for _, header := range [][]string{{"x-team", "blue"}, nil} {
		if got := s.Post(t, rig.Chat("two-a-caller", "hi"), header...); got.Status != http.StatusOK {
			t.Errorf("%v: status %d: %s", header, got.Status, got.Body)
		}
	}
}

// A caller's tokens come back like a deployment's, and Anthropic's clients are
// refused in their own shape.
func testCallerTokens(t *testing.T, s *rig.Stack) {
	long := strings.Repeat("The ledger lists every vessel. ", 1500) // some 10,000 tokens
	say := func(prompt string, headers ...string) rig.Response {
		body := fmt.Sprintf(`{"model":"named-callers","max_tokens":100,"messages":[{"role":"user","content":%q}]}`, prompt)
		return ask(t, s, "/v1/messages", body, headers...)
	}
	if got := say("hi"); got.Status != http.StatusBadRequest || !strings.Contains(string(got.Body), `"type":"error"`) || !strings.Contains(string(got.Body), "x-team") {
		t.Errorf("without a name: status %d: %s", got.Status, got.Body)
	}
	if got := say(long, "x-team", "green", rig.FailHeader, "*=503"); got.Status != http.StatusServiceUnavailable {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	rig.Eventually(t, 10*time.Second, "the charge is given back", func() (bool, string) {
		time.Sleep(500 * time.Millisecond) // each question costs something itself
		got := say("hi", "x-team", "green")
		left, err := strconv.Atoi(got.Header.Get("x-ratelimit-remaining-tokens"))
		return got.Status == http.StatusOK && err == nil && left > 17_000, fmt.Sprintf("status %d, %d left", got.Status, left)
	})
	got := say(strings.Repeat(long, 3), "x-team", "green")
	if got.Status != http.StatusTooManyRequests || !strings.Contains(string(got.Body), `"type":"rate_limit_error"`) {
		t.Errorf("more than a minute's worth: status %d: %s", got.Status, got.Body)
	}
}
