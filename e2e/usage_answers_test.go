package e2e_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

const (
	usageEvent = `data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[],"usage":` + usageObject + `}` + "\n\n"
	// As it comes from providers, with members that nobody reads.
	usageObject = `{"prompt_tokens":11,"completion_tokens":22,"total_tokens":33,"prompt_tokens_details":{"cached_tokens":5,"audio_tokens":0},` +
		`"completion_tokens_details":{"reasoning_tokens":7}}`
	tokenEvent = `data: {"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"a \"usage\":{\"prompt_tokens\":99} b"}}],"usage":null}` + "\n\n"
)

// Of Anthropic's Messages, in two parts, and of OpenAI's Responses.
const (
	messagesEvents = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":" +
		`{"input_tokens":4,"cache_creation_input_tokens":2,"cache_read_input_tokens":5,"output_tokens":1}` + "}}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":" +
		`{"output_tokens":22,"output_tokens_details":{"reasoning_tokens":7}}` + "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
	responsesEvents = "event: response.created\ndata: {\"response\":{\"usage\":null}}\n\n" +
		"event: response.completed\ndata: {\"response\":{\"usage\":" +
		`{"input_tokens":11,"input_tokens_details":{"cached_tokens":5},"output_tokens":22,"output_tokens_details":{"reasoning_tokens":7},"total_tokens":33}}}` + "\n\n"
)

// write answers with text, in pieces of so many bytes; 0: at once.
func write(kind, text string, piece int) rig.Answer {
	return func(w http.ResponseWriter, _ *rig.Received) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(http.StatusOK)
		if piece == 0 {
			_, _ = io.WriteString(w, text)
			return
		}
		flush := http.NewResponseController(w).Flush
		for ; len(text) > piece; text = text[piece:] {
			_, _ = io.WriteString(w, text[:piece])
			_ = flush()
		}
		_, _ = io.WriteString(w, text)
	}
}

// What answers say of their usage is found wherever it is, and only that; the
// answer itself reaches the client as it was sent.
func TestUsageOfAnswers(t *testing.T) {
	const sse, js = "text/event-stream; charset=utf-8", "application/json; charset=utf-8"
	whole := func(content string) string {
		return `{"id":"x","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"` + content + `"}}],"usage":` + usageObject + `,"service_tier":"default"}`
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, whole("x"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const known = "known"
	tests := []struct {
		name, want string // known, or why not
		body       string
		answer     rig.Answer
	}{
		{name: "whole", want: known, body: whole("x"), answer: write(js, whole("x"), 0)},
		{name: "whole, chunked small", want: known, body: whole(strings.Repeat("y", 400)), answer: write(js, whole(strings.Repeat("y", 400)), 7)},
		{name: "whole, 6 MB", want: known, body: whole(strings.Repeat("word ", 1_200_000)), answer: write(js, whole(strings.Repeat("word ", 1_200_000)), 0)},
		{name: "about this API", want: "unreported", body: `{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}"}}]}`, answer: write(js, `{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}"}}]}`, 0)},
		{name: "events", want: known, body: tokenEvent + usageEvent + "data: [DONE]\n\n", answer: write(sse, tokenEvent+usageEvent+"data: [DONE]\n\n", 0)},
		{name: "events byte by byte", want: known, body: tokenEvent + usageEvent + "data: [DONE]\n\n", answer: write(sse, tokenEvent+usageEvent+"data: [DONE]\n\n", 1)},
		{name: "Messages' events byte by byte", want: known, body: messagesEvents, answer: write(sse, messagesEvents, 1)},
		{name: "Responses' events in pieces", want: known, body: responsesEvents, answer: write(sse, responsesEvents, 33)},
		{name: "no DONE, no blank line", want: known, body: tokenEvent + strings.TrimSpace(usageEvent), answer: write(sse, tokenEvent+strings.TrimSpace(usageEvent), 64)},
		{name: "the last counts", want: known, body: strings.ReplaceAll(usageEvent, "22", "1") + usageEvent, answer: write(sse, strings.ReplaceAll(usageEvent, "22", "1")+usageEvent, 100)},
		{name: "events without usage", want: "unreported", body: tokenEvent + "data: [DONE]\n\n", answer: write(sse, tokenEvent+"data: [DONE]\n\n", 0)},
		{name: "nonsense", want: "implausible", body: `{"usage":{"prompt_tokens":-1,"completion_tokens":2}}`, answer: write(js, `{"usage":{"prompt_tokens":-1,"completion_tokens":2}}`, 0)},
		{name: "nothing", want: "unreported", body: "", answer: write(js, "", 0)},
		{name: "plain text", want: "unreported", body: "hello", answer: write("text/plain", "hello", 0)},
		{name: "compressed", want: "compressed", body: zipped.String(), answer: func(w http.ResponseWriter, _ *rig.Received) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", js)
			_, _ = w.Write(zipped.Bytes())
		}},
		{name: "an error that counts", want: "no_answer", body: `{"error":{}}`, answer: func(w http.ResponseWriter, _ *rig.Received) {
			w.Header().Set("Content-Type", js)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":{}}`)
		}},
	}
	logPath := filepath.Join(t.TempDir(), "decisions.log")
	s := rig.Start(t, rig.Options{Args: []string{"--decision-log", logPath}})
	decisions := map[string]int{}
	for i, tt := range tests {
		id := rig.ID()
		s.OwnAnswer(id, tt.answer)
		got := s.Post(t, rig.Chat("short-context", "hi"), rig.IDHeader, id, rig.FailHeader, "small-us=own", "accept-encoding", "identity",
			"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		if string(got.Body) != tt.body {
			t.Errorf("%s: the client got %d bytes, %.200q, want %d", tt.name, len(got.Body), got.Body, len(tt.body))
		}
		decisions[got.Header.Get("x-wye-decision")] = i
		if seen := s.Find(id); len(seen) != 1 || seen[0].Header.Get("accept-encoding") != "" {
			t.Errorf("%s: the provider was asked for a compressed answer: %v", tt.name, seen)
		}
	}
	found := 0
	rig.Eventually(t, rig.Patience, "every record is written", func() (bool, string) {
		found = 0
		for _, r := range rig.ReadDecisions(t, logPath) {
			if _, ours := decisions[r.Decision]; ours {
				found++
			}
		}
		return found == len(tests), strconv.Itoa(found)
	})
	for _, r := range rig.ReadDecisions(t, logPath) {
		i, ours := decisions[r.Decision]
		if !ours {
			continue
		}
		got := r.Unknown
		if r.Usage != nil {
			got = known
			if u := *r.Usage; u.Prompt != 11 || u.Completion != 22 || u.Cached != 5 || u.Reasoning != 7 {
				t.Errorf("%s: usage %+v", tests[i].name, u)
			}
		}
		if got != tests[i].want {
			t.Errorf("%s: usage is %s, want %s: %s", tests[i].name, got, tests[i].want, r.Line)
		}
		if !strings.HasPrefix(r.Trace, "00-4bf92f3577b34da6a3ce929d0e0e4736-") {
			t.Errorf("%s: traceparent %q", tests[i].name, r.Trace)
		}
	}
}

// A client that hangs up as soon as it has the usage it asked for, as SDKs may at
// [DONE], does not keep it from being counted; one that hangs up before leaves an
// interrupted answer.
func TestUsageOfHangUps(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	var start rig.Usage
	rig.Eventually(t, rig.Patience, "the first requests are accounted for", func() (bool, string) {
		start = s.Usage(t)
		told, _ := s.Told()
		return start.Total.Told() == told, fmt.Sprintf("%+v", start.Total)
	})
	for _, event := range []string{usageEvent, tokenEvent} {
		id := rig.ID()
		s.OwnAnswer(id, func(w http.ResponseWriter, r *rig.Received) {
			write("text/event-stream", event, 50)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Gone()
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+rig.ChatPath,
			strings.NewReader(`{"model":"short-context","stream":true,"messages":[{"role":"user","content":"Count."}]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(rig.IDHeader, id)
		req.Header.Set(rig.FailHeader, "small-us=own")
		resp, err := s.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, len(event))); err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil { // hangs up
			t.Fatal(err)
		}
	}
	rig.Eventually(t, 5*time.Second, "one is known and one was interrupted", func() (bool, string) {
		u := s.Usage(t).Total
		return u.Answered == start.Total.Answered+1 && u.Prompt == start.Total.Prompt+11 && u.Unknown["interrupted"] == 1 &&
			u.Requests == start.Total.Requests+2, fmt.Sprintf("%+v", u)
	})
}
