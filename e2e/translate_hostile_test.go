package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

const (
	js, sse      = "application/json", "text/event-stream"
	messageStart = `event: message_start` + "\n" + `data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"claude-2026-04-01","content":[],"usage":{"input_tokens":6,"cache_read_input_tokens":5,"output_tokens":1}}}` + "\n\n"
	messageEnd   = `data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":22,"output_tokens_details":{"thinking_tokens":7}}}` + "\n\n" + `data: {"type":"message_stop"}` + "\n\n"
)

func messageDelta(text string) string {
	return `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"` + text + `"}}` + "\n\n"
}

// openReply is a response whose body is still to be read.
type openReply struct {
	*bufio.Reader
	status int
	header http.Header
	close  func() error
}

// What providers and clients do amid a translation, with a real Envoy: nothing
// waits, nothing is lost, and nobody is told that something ended well that did not.
func TestTranslatedHostile(t *testing.T) {
	logPath := filepath.Join(t.TempDir(), "decisions.log")
	s := rig.Start(t, rig.Options{Args: []string{"--decision-log", logPath}})
	const chat, messages = "/v1/chat/completions", "/v1/messages"
	open := func(t *testing.T, path, model, more string, a rig.Answer) *openReply {
		t.Helper()
		id := rig.ID()
		s.OwnAnswer(id, a)
		body := `{"model":"` + model + `","max_tokens":100,"messages":[{"role":"user","content":"hi"}]` + more + `}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(rig.IDHeader, id)
		req.Header.Set(rig.FailHeader, "claude-us=own,large-us=own,large-eu=own")
		resp, err := s.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return &openReply{bufio.NewReader(resp.Body), resp.StatusCode, resp.Header, resp.Body.Close}
	}
	ask := func(t *testing.T, path, model, more string, a rig.Answer) (int, []byte, error) {
		t.Helper()
		reply := open(t, path, model, more, a)
		body, err := io.ReadAll(reply)
		return reply.status, body, err
	}
	const stream = `,"stream":true`

	t.Run("each event at once", func(t *testing.T) {
		next := make(chan struct{})
		reply := open(t, chat, "messages/claude", stream, func(w http.ResponseWriter, _ *rig.Received) {
			flush := http.NewResponseController(w).Flush
			w.Header().Set("Content-Type", sse)
			_, _ = io.WriteString(w, messageStart)
			_ = flush()
			for i := range 10 {
				<-next
				event := messageDelta(fmt.Sprintf("piece %d", i))
				_, _ = io.WriteString(w, event[:20]) // and the rest of it apart
				_ = flush()
				_, _ = io.WriteString(w, event[20:])
				_ = flush()
			}
			<-next
			_, _ = io.WriteString(w, messageEnd)
		})
		if line := readEvent(t, reply.Reader); !strings.Contains(line, `"role":"assistant"`) {
			t.Fatalf("event %s", line)
		}
		for i := range 10 {
			next <- struct{}{} // the provider waits until the client has the last event
			if line := readEvent(t, reply.Reader); !strings.Contains(line, fmt.Sprintf(`"content":"piece %d"`, i)) {
				t.Fatalf("event %s", line)
			}
		}
		next <- struct{}{}
		rest, err := io.ReadAll(reply)
		if err != nil || !bytes.HasSuffix(rest, []byte("data: [DONE]\n\n")) {
			t.Errorf("%v: %s", err, rest)
		}
	})
	for _, tt := range []struct {
		name, path, model string
		answer            rig.Answer
	}{
		{"no JSON", chat, "translated-last", write(js, "<html>", 0)},
		{"another API's answer", chat, "translated-last", write(js, `{"choices":[]}`, 0)},
		{"nothing", chat, "translated-last", write(js, "", 0)},
		{"compressed", chat, "translated-last", func(w http.ResponseWriter, r *rig.Received) {
			w.Header().Set("Content-Encoding", "gzip")
			write(js, "not even gzip", 0)(w, r)
		}},
		{"no JSON", messages, "fixed", write(js, "<html>", 0)},
		{"another API's answer", messages, "fixed", write(js, `{"type":"message"}`, 0)},
	} {
		t.Run(tt.path+" "+tt.name, func(t *testing.T) {
			// The model that answers like that is asked first or not at all.
			id := rig.ID()
			s.OwnAnswer(id, tt.answer)
			fail := "claude-us=own,medium-us=503,medium-eu=503"
			if tt.path == messages {
				fail = "medium-us=own,medium-eu=own"
			}
			body := `{"model":"` + tt.model + `","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`
			got := s.Do(t, http.MethodPost, tt.path, strings.NewReader(body), rig.IDHeader, id, rig.FailHeader, fail)
			if tt.path == chat {
				if e, err := got.Error(); err != nil || got.Status != 503 || deref(e.Code) != "all_models_failed" || !strings.Contains(e.Message, "claude-2026-04-01: status 502") {
					t.Errorf("status %d, %v: %s", got.Status, err, got.Body)
				}
				return
			}
			if by := s.Seen(id); got.Status != http.StatusOK || gjson.GetBytes(got.Body, "model").String() != rig.ServedAs["large"] || len(by) != 2 {
				t.Errorf("status %d, asked %q: %s", got.Status, by, got.Body)
			}
		})
	}
	t.Run("cut", func(t *testing.T) {
		_, body, err := ask(t, chat, "messages/claude", stream, func(w http.ResponseWriter, r *rig.Received) {
			write(sse, messageStart+messageDelta("a"), 50)(w, r)
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond) // so that the events are not lost with the connection
			panic(http.ErrAbortHandler)
		})
		if err == nil || bytes.Contains(body, []byte("[DONE]")) || !bytes.Contains(body, []byte(`"content":"a"`)) {
			t.Errorf("%v: %s", err, body)
		}
	})
	t.Run("an error in the stream", func(t *testing.T) {
		_, body, err := ask(t, chat, "messages/claude", stream,
			write(sse, messageStart+`data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`+"\n\n", 0))
		if err != nil || !bytes.HasSuffix(body, []byte(`data: {"error":{"message":"Overloaded","type":"server_error","param":null,"code":"overloaded"}}`+"\n\n")) {
			t.Errorf("%v: %s", err, body)
		}
		_, body, err = ask(t, messages, "fixed", stream, write(sse, `data: {"error":{"message":"Overloaded"}}`+"\n\n", 0))
		if err != nil || !bytes.HasSuffix(body, []byte(`event: error`+"\n"+`data: {"type":"error","error":{"type":"api_error","message":"Overloaded"}}`+"\n\n")) && !bytes.HasPrefix(body, []byte("event: message_start")) {
			t.Errorf("%v: %s", err, body)
		}
	})
	t.Run("a client that goes", func(t *testing.T) {
		gone := make(chan struct{})
		reply := open(t, chat, "messages/claude", stream, func(w http.ResponseWriter, r *rig.Received) {
			write(sse, messageStart, 10)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Gone()
			close(gone)
		})
		readEvent(t, reply.Reader)
		_ = reply.close()
		select {
		case <-gone:
		case <-time.After(rig.Patience):
			t.Error("the provider goes on")
		}
	})
	t.Run("large", func(t *testing.T) {
		text := strings.Repeat("word ", 1_200_000) // 6 MB
		status, body, err := ask(t, chat, "messages/claude", "", write(js, `{"type":"message","model":"claude-2026-04-01","content":[{"type":"text","text":"`+text+`"}],"stop_reason":"end_turn"}`, 0))
		if err != nil || status != http.StatusOK || len(gjson.GetBytes(body, "choices.0.message.content").String()) != len(text) {
			t.Errorf("status %d, %v, %d bytes", status, err, len(body))
		}
		_, body, err = ask(t, chat, "messages/claude", stream, write(sse, messageStart+strings.Repeat(messageDelta(strings.Repeat("word ", 20_000)), 60)+messageEnd, 0))
		if err != nil || bytes.Count(body, []byte("word ")) != 1_200_000 || !bytes.HasSuffix(body, []byte("data: [DONE]\n\n")) {
			t.Errorf("%v, %d bytes", err, len(body))
		}
		prompt := strings.Repeat("The ledger lists every vessel. ", 15_000) // 465 KB
		id := rig.ID()
		got := s.Do(t, http.MethodPost, chat, strings.NewReader(`{"model":"messages/claude","messages":[{"role":"user","content":"`+prompt+`"}]}`), rig.IDHeader, id)
		if seen := s.Find(id); got.Status != http.StatusOK || len(seen) != 1 || gjson.GetBytes(seen[0].Body, "messages.0.content.0.text").String() != prompt {
			t.Errorf("status %d: %.300s", got.Status, got.Body)
		}
	})
	t.Run("a client that does not read", func(t *testing.T) {
		// Much more than Envoy holds for clients by default, all of which the
		// provider has sent long before.
		long := messageStart + strings.Repeat(messageDelta(strings.Repeat("word ", 20_000)), 300) + messageEnd // 30 MB
		answer := `{"type":"message","model":"claude-2026-04-01","content":[{"type":"text","text":"` + strings.Repeat("word ", 2_800_000) + `"}],"stop_reason":"end_turn"}`
		for name, client := range map[string]*http.Client{"HTTP/1.1": rig.NewClient(t), "HTTP/2": rig.NewH2Client(t)} {
			for _, tt := range []struct {
				more, kind, answer string
				words              int
			}{
				{stream, sse, long, 6_000_000},
				{"", js, answer, 2_800_000},
			} {
				id := rig.ID()
				s.OwnAnswer(id, write(tt.kind, tt.answer, 0))
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+chat,
					strings.NewReader(`{"model":"messages/claude","messages":[{"role":"user","content":"hi"}]`+tt.more+`}`))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set(rig.IDHeader, id)
				req.Header.Set(rig.FailHeader, "claude-us=own")
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || bytes.Count(body, []byte("word ")) != tt.words {
					t.Errorf("%s %s: %v, %d bytes", name, tt.kind, err, len(body))
				}
			}
		}
	})
	t.Run("usage", func(t *testing.T) {
		decisions := map[string]string{}
		for _, tt := range []struct{ path, model, more, kind, answer string }{
			{chat, "messages/claude", stream, sse, messageStart + messageDelta("a") + messageEnd},
			{chat, "messages/claude", stream + `,"stream_options":{"include_usage":true}`, sse, messageStart + messageDelta("a") + messageEnd},
			{chat, "messages/claude", "", js, `{"type":"message","model":"claude-2026-04-01","content":[],"usage":{"input_tokens":6,"cache_read_input_tokens":5,"output_tokens":22,"output_tokens_details":{"thinking_tokens":7}}}`},
			{messages, "open/large", stream, sse, tokenEvent + usageEvent + "data: [DONE]\n\n"},
			{messages, "open/large", "", js, `{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":` + usageObject + `}`},
		} {
			reply := open(t, tt.path, tt.model, tt.more, write(tt.kind, tt.answer, 0))
			if _, err := io.ReadAll(reply); err != nil || reply.status != http.StatusOK {
				t.Fatalf("status %d, %v", reply.status, err)
			}
			decisions[reply.header.Get("x-wye-decision")] = tt.path + tt.more
		}
		var records []rig.DecisionRecord
		rig.Eventually(t, rig.Patience, "every record is written", func() (bool, string) {
			records = nil
			for _, r := range rig.ReadDecisions(t, logPath) {
				if decisions[r.Decision] != "" {
					records = append(records, r)
				}
			}
			return len(records) == len(decisions), fmt.Sprint(len(records))
		})
		for _, r := range records {
			if u := r.Usage; u == nil || u.Prompt != 11 || u.Completion != 22 || u.Cached != 5 {
				t.Errorf("%s: usage %+v: %s", decisions[r.Decision], u, r.Line)
			}
		}
	})
	t.Run("Wye is killed", func(t *testing.T) {
		reply := open(t, chat, "messages/claude", stream, func(w http.ResponseWriter, r *rig.Received) {
			write(sse, messageStart, 10)(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Gone()
		})
		readEvent(t, reply.Reader)
		s.Wye.Signal(t, syscall.SIGKILL)
		s.Wye.Wait(t, rig.Patience)
		if rest, err := io.ReadAll(reply); err == nil || bytes.Contains(rest, []byte("[DONE]")) {
			t.Errorf("the stream ended well: %s", rest)
		}
		s.RestartWye(t)
	})
	s.CheckStrict(t)
}
