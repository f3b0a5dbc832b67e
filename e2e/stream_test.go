package e2e_test

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// Chunks pass one by one: while the provider waits before its next chunk the
// client has already got the last one, and soon after it was sent.
func testStreamUnbuffered(t *testing.T, s *rig.Stack) {
	const chunks = 12
	id := rig.ID()
	sent := s.Steps(t, id, chunks)
	reader := openStream(t, s, "thinking", id, "thinker-us=steps")
	var delays []time.Duration
	for i := range chunks {
		// The provider sends chunk i+1 only after the client has acknowledged
		// chunk i, so that a buffered stream would stop here.
		line := readEvent(t, reader)
		if want := "data: chunk " + itoa(i); line != want {
			t.Fatalf("event %q, want %q", line, want)
		}
		delays = append(delays, time.Since(sent.At(i)))
		sent.Acknowledge()
	}
	if line := readEvent(t, reader); line != "data: [DONE]" {
		t.Errorf("event %q, want the end", line)
	}
	var worst time.Duration
	for _, d := range delays {
		worst = max(worst, d)
	}
	t.Logf("provider to client: %v, worst %v", delays, worst)
	if worst > 2*time.Second {
		t.Errorf("a chunk took %v from provider to client", worst)
	}
}

// openStream begins a streamed request that providers answer as fail says.
func openStream(t *testing.T, s *rig.Stack, deployment, id, fail string) *bufio.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+rig.ChatPath,
		strings.NewReader(`{"model":"`+deployment+`","stream":true,"messages":[{"role":"user","content":"Count."}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(rig.IDHeader, id)
	req.Header.Set(rig.FailHeader, fail)
	resp, err := s.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("status %d, content type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if resp.Header.Get("x-wye-model") == "" || resp.Header.Get("x-wye-attempts") != "1" {
		t.Errorf("headers of the stream: %v", resp.Header)
	}
	return bufio.NewReader(resp.Body)
}

// readEvent reads one server-sent event of one line, in at most 20 s.
func readEvent(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	type result struct {
		line string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		for {
			line, err := r.ReadString('\n')
			line = strings.TrimRight(line, "\r\n")
			if line != "" || err != nil {
				read <- result{line, err}
				return
			}
		}
	}()
	select {
	case got := <-read:
		if got.err != nil {
			t.Fatalf("read event: %v", got.err)
		}
		return got.line
	case <-time.After(20 * time.Second):
		t.Fatal("no event within 20s: the stream is buffered")
	}
	return ""
}

// A stream that its provider cuts ends for the client as a cut, not as an end:
// it is neither retried nor completed.
func testStreamCut(t *testing.T, s *rig.Stack) {
	id := rig.ID()
	stream := openStream(t, s, "auto", id, "*=cut")
	var text bytes.Buffer
	_, err := text.ReadFrom(stream)
	if err == nil {
		t.Errorf("the cut stream ended without an error: %q", text.String())
	}
	if !strings.Contains(text.String(), "before the cut") || strings.Contains(text.String(), "[DONE]") {
		t.Errorf("the client got %q", text.String())
	}
	if seen := s.Seen(id); len(seen) != 1 {
		t.Errorf("backends %q were called, want one", seen)
	}
}
