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

// A deployment takes its requests a minute and no more; what is over reaches no
// provider and reads as OpenAI words it.
func testRequestLimit(t *testing.T, s *rig.Stack) {
	for i := range 3 {
		got := s.Post(t, rig.Chat("three-a-minute", "hi"))
		left, err := strconv.Atoi(got.Header.Get("x-ratelimit-remaining-requests"))
		if got.Status != http.StatusOK || got.Header.Get("x-ratelimit-limit-requests") != "3" || err != nil || left != 2-i ||
			got.Header.Get("x-ratelimit-reset-requests") == "" || got.Header.Get("x-ratelimit-limit-tokens") != "" {
			t.Fatalf("request %d: status %d, headers %v", i+1, got.Status, got.Header)
		}
	}
	id := rig.ID()
	got := s.Post(t, rig.Chat("three-a-minute", "hi"), rig.IDHeader, id)
	e, err := got.Error()
	if err != nil || got.Status != http.StatusTooManyRequests || e.Type != "requests" || e.Code == nil || *e.Code != "rate_limit_exceeded" {
		t.Fatalf("status %d, %v: %s", got.Status, err, got.Body)
	}
	wait, err := strconv.Atoi(got.Header.Get("retry-after"))
	if err != nil || wait < 1 || wait > 20 || got.Header.Get("x-ratelimit-remaining-requests") != "0" || len(s.Seen(id)) > 0 {
		t.Errorf("headers %v, reached %q", got.Header, s.Seen(id))
	}
	if got := s.Post(t, rig.Chat("auto", "hi")); got.Status != http.StatusOK || got.Header.Get("x-ratelimit-limit-requests") != "" {
		t.Errorf("a deployment without limits: status %d, headers %v", got.Status, got.Header)
	}
}

// Tokens are charged by estimate, and given back when no model has answered.
func testTokenLimit(t *testing.T, s *rig.Stack) {
	long := strings.Repeat("The ledger lists every vessel. ", 1500) // some 10,000 tokens
	remaining := func(prompt string, headers ...string) (int, rig.Response) {
		got := s.Post(t, rig.Chat("few-tokens", prompt), headers...)
		n, err := strconv.Atoi(got.Header.Get("x-ratelimit-remaining-tokens"))
		if err != nil {
			t.Fatalf("status %d, headers %v: %s", got.Status, got.Header, got.Body)
		}
		return n, got
	}
	left, got := remaining(long, rig.FailHeader, "*=503")
	if got.Status != http.StatusServiceUnavailable || left > 13_000 {
		t.Fatalf("status %d, %d tokens left after a prompt of 10,000", got.Status, left)
	}
	rig.Eventually(t, 10*time.Second, "the charge is given back", func() (bool, string) {
		time.Sleep(500 * time.Millisecond) // each question costs something itself
		left, got := remaining("hi")
		return got.Status == http.StatusOK && left > 18_000, fmt.Sprintf("status %d, %d left", got.Status, left)
	})
	_, got = remaining(strings.Repeat(long, 3))
	if e, err := got.Error(); err != nil || got.Status != http.StatusTooManyRequests || e.Type != "tokens" || got.Header.Get("retry-after") != "" {
		t.Errorf("more than a minute's worth: status %d, %v: %s", got.Status, err, got.Body)
	}
}
