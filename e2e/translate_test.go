package e2e_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

// chatOf is a chat completion with more members.
func chatOf(model, more string) []byte {
	return []byte(`{"model":"` + model + `","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Say hello."}]` + more + `}`)
}

// Clients of chat completions are served by backends that speak Messages, at
// first and after a failover, and so are those that do not translate beside them.
func testTranslated(t *testing.T, s *rig.Stack) {
	asked := func(t *testing.T, id string) (by []string, last rig.Sighting) {
		t.Helper()
		for _, r := range s.Find(id) {
			by, last = append(by, r.Backend+" "+r.Path), r
		}
		return by, last
	}
	t.Run("whole", func(t *testing.T) {
		id := rig.ID()
		got := s.Post(t, chatOf("messages/claude", `,"max_completion_tokens":50,"temperature":0.5,"seed":1`), rig.IDHeader, id)
		answer := gjson.ParseBytes(got.Body)
		if got.Status != http.StatusOK || answer.Get("object").Str != "chat.completion" || answer.Get("choices.0.message.content").Str == "" ||
			answer.Get("choices.0.finish_reason").Str != "stop" || answer.Get("usage.prompt_tokens").Int() == 0 {
			t.Fatalf("status %d: %s", got.Status, got.Body)
		}
		if got.Header.Get("x-wye-model") != answer.Get("model").Str || got.Header.Get("x-wye-dropped") != "seed" || got.Header.Get("x-wye-attempts") != "1" {
			t.Errorf("headers %v", got.Header)
		}
		by, r := asked(t, id)
		if len(by) != 1 || by[0] != "claude-us /v1/messages" {
			t.Fatalf("asked %q", by)
		}
		const body = `{"model":"claude","messages":[{"role":"user","content":[{"type":"text","text":"Say hello."}]}],` +
			`"system":[{"type":"text","text":"Be brief."}],"max_tokens":50,"temperature":0.5}`
		if string(r.Body) != body || r.Header.Get("Anthropic-Version") == "" || r.Header.Get("X-Api-Key") != rig.ThinkerKey || r.Header.Get("Authorization") != "" {
			t.Errorf("headers %v, body %s", r.Header, r.Body)
		}
	})
	t.Run("stream", func(t *testing.T) {
		got := s.Post(t, chatOf("messages", `,"stream":true,"stream_options":{"include_usage":true}`))
		if got.Status != http.StatusOK || !strings.HasPrefix(got.Header.Get("Content-Type"), "text/event-stream") ||
			!bytes.HasPrefix(got.Body, []byte(`data: {"id":"msg_`)) || !bytes.HasSuffix(got.Body, []byte("}}}\n\ndata: [DONE]\n\n")) ||
			!bytes.Contains(got.Body, []byte(`"finish_reason":"stop"`)) || !bytes.Contains(got.Body, []byte(`"usage":{"prompt_tokens":`)) {
			t.Errorf("status %d, %v: %s", got.Status, got.Header, got.Body)
		}
	})
	for _, tt := range []struct {
		name, model, fail string
		by, attempts      string
	}{
		{"translated, then not", "translated-first", "claudette-us=529", "claudette-us /anthropic/v1/messages, large-", "2"},
		{"not, then translated", "translated-last", "medium-us=503,medium-eu=500", "medium-", "2"},
		{"both translated", "messages", "claude-us=reset,claudette-us=429", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, stream := range []string{"", `,"stream":true`} {
				id := rig.ID()
				got := s.Post(t, chatOf(tt.model, stream), rig.IDHeader, id, rig.FailHeader, tt.fail)
				by, _ := asked(t, id)
				if !strings.HasPrefix(strings.Join(by, ", "), tt.by) || tt.attempts != "" && got.Header.Get("x-wye-attempts") != tt.attempts {
					t.Errorf("asked %q, %s attempts", by, got.Header.Get("x-wye-attempts"))
				}
				if tt.name == "both translated" {
					if e, err := got.Error(); err != nil || got.Status != 503 || deref(e.Code) != "all_models_failed" {
						t.Errorf("status %d, %v: %s", got.Status, err, got.Body)
					}
				} else if got.Status != http.StatusOK || !bytes.Contains(got.Body, []byte(`"object":"chat.completion`)) {
					t.Errorf("status %d: %s", got.Status, got.Body)
				}
			}
		})
	}
}
