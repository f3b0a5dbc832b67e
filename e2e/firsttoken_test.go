package e2e_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

// faultKinds are all the ways in which a backend whose answers are watched can
// fail an attempt, and what the client of an exhausted chain is told of each.
var faultKinds = map[string]string{
	"500": "status 500", "503": "status 503", "429": "status 429", "reset": "no answer", "hang": "no answer",
	"json-error": "status 503", "sse-error": "status 503", "sse-end": "status 502", "early-cut": "no answer", "silent": "status 504",
}

// Every kind of failure, of answers in JSON and of streams, at every place of the
// chain: the next model answers, with a body written for it, and the client sees
// nothing of what went before.
func TestFailureMatrix(t *testing.T) {
	s := rig.Start(t, rig.Options{FirstToken: "1500ms"})
	plain := []byte(`{"model":"any-order","messages":[{"role":"user","content":"Say hello."}],"max_tokens":50}`)
	e := s.Explain(t, plain, "")
	t.Run("group", func(t *testing.T) {
		for how, told := range faultKinds {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				testFailureKind(t, s, e, plain, how, told)
			})
		}
		t.Run("late error", func(t *testing.T) { t.Parallel(); testLateError(t, s, e) })
		t.Run("translated", func(t *testing.T) { t.Parallel(); testTranslatedFirstToken(t, s) })
		t.Run("unbuffered", func(t *testing.T) { t.Parallel(); testStreamUnbuffered(t, s) })
		t.Run("cut", func(t *testing.T) { t.Parallel(); testStreamCut(t, s) })
		t.Run("large body", func(t *testing.T) { t.Parallel(); testFailoverLargeBody(t, s) })
		t.Run("errors of clients", func(t *testing.T) { t.Parallel(); testClientErrorsNotRetried(t, s) })
	})
	metrics := s.Metrics(t)
	for _, reason := range []string{"error", "end", "silence"} {
		if !strings.Contains(metrics, `wye_first_token_failures_total{reason="`+reason+`"}`) {
			t.Errorf("no failure before the first token is counted with reason %s", reason)
		}
	}
	testWatchWithoutWye(t, s)
	s.CheckStrict(t)
}

// testFailureKind runs one row of the matrix at once, since some of its requests
// wait for timeouts.
func testFailureKind(t *testing.T, s *rig.Stack, e rig.Explanation, plain []byte, how, told string) {
	var wg sync.WaitGroup
	for _, streamed := range []bool{false, true} {
		body := plain
		if streamed {
			body = slices.Concat(plain[:len(plain)-1], []byte(`,"stream":true}`))
		}
		for n := 1; n <= 3; n++ {
			wg.Go(func() { checkFailedOver(t, s, body, e, n, how, streamed) })
		}
		wg.Go(func() { checkExhausted(t, s, body, e, how, told) })
	}
	wg.Wait()
}

// checkFailedOver fails unless the request was served by step n of the chain,
// after those before it had failed.
func checkFailedOver(t *testing.T, s *rig.Stack, body []byte, e rig.Explanation, n int, how string, streamed bool) {
	t.Helper()
	id := rig.ID()
	got, err := rig.Post(t.Context(), s.Client, s.URL, body, rig.IDHeader, id, rig.FailHeader, failed(e, n, how))
	last := e.Chain[n]
	if err != nil || got.Status != http.StatusOK || got.Header.Get("x-wye-attempts") != itoa(n+1) || got.Header.Get("x-wye-model") != rig.ServedAs[last.Model] {
		t.Errorf("stream %v, %d failures: %v: status %d of %s after %s attempts: %s",
			streamed, n, err, got.Status, got.Header.Get("x-wye-model"), got.Header.Get("x-wye-attempts"), got.Body)
		return
	}
	if seen, want := s.Seen(id), backends(e, n+1); !slices.Equal(seen, want) {
		t.Errorf("backends %q were called, the chain is %q", seen, want)
	}
	for _, r := range s.Find(id) {
		checkAttempt(t, s, r)
	}
	if whole := gjson.ValidBytes(got.Body) || strings.HasSuffix(string(got.Body), "data: [DONE]\n\n"); !whole ||
		strings.HasPrefix(string(got.Body), "data: ") != streamed || strings.Contains(string(got.Body), "told to fail") {
		t.Errorf("the client got %s", got.Body)
	}
}

// checkExhausted fails unless the client was told of each attempt, with a status
// of an error and no part of an answer.
func checkExhausted(t *testing.T, s *rig.Stack, body []byte, e rig.Explanation, how, told string) {
	t.Helper()
	got, err := rig.Post(t.Context(), s.Client, s.URL, body, rig.FailHeader, failed(e, len(e.Chain), how))
	if err != nil {
		t.Error(err)
		return
	}
	apiErr, err := got.Error()
	if err != nil {
		t.Errorf("status %d: %v: %s", got.Status, err, got.Body)
		return
	}
	var tried []string
	for _, step := range e.Chain {
		tried = append(tried, rig.ServedAs[step.Model]+": "+told)
	}
	if got.Status != http.StatusServiceUnavailable || apiErr.Code == nil || *apiErr.Code != "all_models_failed" ||
		!strings.HasSuffix(apiErr.Message, ": "+strings.Join(tried, "; ")+".") {
		t.Errorf("status %d: %s, want one that ends in %q", got.Status, got.Body, tried)
	}
}

// After the first token nothing is taken back: an error event reaches the client
// as the provider sent it, and nobody else is asked.
func testLateError(t *testing.T, s *rig.Stack, e rig.Explanation) {
	id := rig.ID()
	body := []byte(`{"model":"any-order","messages":[{"role":"user","content":"Say hello."}],"max_tokens":50,"stream":true}`)
	got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failed(e, 1, "late-error"))
	text := string(got.Body)
	if got.Status != http.StatusOK || !strings.Contains(text, "before the error") || !strings.Contains(text, `"code":"e2e_fault"`) ||
		!strings.HasPrefix(text, ": one moment\n\n") || !strings.HasSuffix(text, "data: [DONE]\n\n") {
		t.Errorf("status %d: %s", got.Status, text)
	}
	if seen := s.Seen(id); len(seen) != 1 {
		t.Errorf("backends %q were called, want one", seen)
	}
}

// A backend that is asked in another API than the client's is watched in its own.
func testTranslatedFirstToken(t *testing.T, s *rig.Stack) {
	for name, events := range map[string]string{
		"an error": "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"told to fail\"}}\n\n",
		"an end":   "",
	} {
		t.Run(name, func(t *testing.T) {
			id := rig.ID()
			s.OwnAnswer(id, func(w http.ResponseWriter, _ *rig.Received) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"x\",\"usage\":{}}}\n\n"+events)
			})
			got := s.Post(t, chatOf("messages", `,"stream":true`), rig.IDHeader, id, rig.FailHeader, "claudette-us=own")
			if seen := s.Seen(id); got.Status != http.StatusOK || !slices.Equal(seen, []string{"claudette-us", "claude-us"}) ||
				got.Header.Get("x-wye-attempts") != "2" || !strings.HasSuffix(string(got.Body), "data: [DONE]\n\n") || strings.Contains(string(got.Body), "msg_1") {
				t.Errorf("status %d after %s attempts, %q were called: %s", got.Status, got.Header.Get("x-wye-attempts"), seen, got.Body)
			}
		})
	}
}

// After the first token a stream passes without Wye: no message tells it of a
// chunk, and when it dies the stream goes on.
func testWatchWithoutWye(t *testing.T, s *rig.Stack) {
	const chunks = 6
	id := rig.ID()
	sent := s.Steps(t, id, chunks)
	const messages = "ext_proc.wye_first_token.stream_msgs_sent"
	before := s.Stat(t, messages)
	reader := openStream(t, s, "thinking", id, "thinker-us=steps")
	for i := range chunks {
		if i == chunks-2 {
			// The response's headers and the first chunk.
			if n := s.Stat(t, messages) - before; n != 2 {
				t.Errorf("Envoy sent %d messages about the response, want 2", n)
			}
			s.Wye.Signal(t, syscall.SIGKILL)
			s.Wye.Wait(t, rig.Patience)
		}
		if line, want := readEvent(t, reader), "data: chunk "+itoa(i); line != want {
			t.Fatalf("event %q, want %q", line, want)
		}
		sent.Acknowledge()
	}
	if line := readEvent(t, reader); line != "data: [DONE]" {
		t.Errorf("event %q, want the end", line)
	}
}
