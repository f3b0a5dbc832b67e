package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

// ask sends body as JSON to a path.
func ask(t *testing.T, s *rig.Stack, path, body string, headers ...string) rig.Response {
	t.Helper()
	return s.Do(t, http.MethodPost, path, strings.NewReader(body), append([]string{"Anthropic-Version", "2023-06-01"}, headers...)...)
}

// Clients of Anthropic's API are served by backends that speak it, and nothing
// of their requests changes but the model.
func testMessages(t *testing.T, s *rig.Stack) {
	const body = `{"model":%q,"max_tokens":100,"system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]%s}`
	request := func(model, more string) string {
		return strings.Replace(strings.Replace(body, "%q", `"`+model+`"`, 1), "%s", more, 1)
	}
	t.Run("whole", func(t *testing.T) {
		id := rig.ID()
		got := ask(t, s, "/v1/messages?beta=true", request("messages/claude", ""), rig.IDHeader, id, "Anthropic-Beta", "b")
		if got.Status != http.StatusOK || gjson.GetBytes(got.Body, "type").String() != "message" || gjson.GetBytes(got.Body, "content.0.text").String() == "" {
			t.Fatalf("status %d: %s", got.Status, got.Body)
		}
		if model := got.Header.Get("x-wye-model"); model != gjson.GetBytes(got.Body, "model").String() {
			t.Errorf("x-wye-model %q: %s", model, got.Body)
		}
		seen := s.Find(id)
		if len(seen) != 1 || seen[0].Backend != "claude-us" {
			t.Fatalf("backends %q were asked", s.Seen(id))
		}
		r := seen[0]
		if r.Path != "/v1/messages?beta=true" || r.Header.Get("X-Api-Key") != rig.ThinkerKey || r.Header.Get("Authorization") != "" ||
			r.Header.Get("Anthropic-Beta") != "b" || string(r.Body) != request("claude", "") {
			t.Errorf("path %q, headers %v, body %s", r.Path, r.Header, r.Body)
		}
	})
	t.Run("stream", func(t *testing.T) {
		got := ask(t, s, "/v1/messages", request("messages", `,"stream":true`))
		if got.Status != http.StatusOK || !strings.HasPrefix(string(got.Body), "event: message_start\n") || !bytes.Contains(got.Body, []byte("event: message_stop")) {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
	})
	t.Run("fallback", func(t *testing.T) {
		// Whichever comes first, it is once the one that fails.
		attempts := 0
		for _, fails := range []string{"claude", "claudette"} {
			id := rig.ID()
			got := ask(t, s, "/v1/messages", request("messages", ""), rig.IDHeader, id, rig.FailHeader, fails+"-us=529")
			if got.Status != http.StatusOK {
				t.Fatalf("status %d: %s", got.Status, got.Body)
			}
			for _, r := range s.Find(id) {
				attempts++
				path, model := "/v1/messages", "claude"
				if r.Backend == "claudette-us" {
					path, model = "/anthropic/v1/messages", "claudette"
				}
				if r.Path != path || string(r.Body) != request(model, "") {
					t.Errorf("%s was asked under %s: %s", r.Backend, r.Path, r.Body)
				}
			}
		}
		if attempts != 3 {
			t.Errorf("%d attempts, want one and two", attempts)
		}
	})
	t.Run("count", func(t *testing.T) {
		id := rig.ID()
		count := `{"model":"messages/claudette","messages":[{"role":"user","content":"hi"}]}`
		got := ask(t, s, "/v1/messages/count_tokens", count, rig.IDHeader, id)
		if got.Status != http.StatusOK || gjson.GetBytes(got.Body, "input_tokens").Int() == 0 {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
		if seen := s.Find(id); len(seen) != 1 || seen[0].Path != "/anthropic/v1/messages/count_tokens" {
			t.Errorf("attempts %+v", seen)
		}
	})
	for _, tt := range []struct {
		name, path, body, fail string
		status                 int
		kind, says             string
	}{
		{"unknown deployment", "/v1/messages", request("nope", ""), "", 404, "not_found_error", "nope"},
		{"no cap", "/v1/messages", `{"model":"messages","messages":[{"role":"user","content":"hi"}]}`, "", 400, "invalid_request_error", "max_tokens"},
		{"no JSON", "/v1/messages", `{`, "", 400, "invalid_request_error", "JSON"},
		{"no backend of the API", "/v1/messages", request("thinking", ""), "", 400, "invalid_request_error", "speaks the client's API"},
		{"too large", "/v1/messages", request("messages", strings.Repeat(" ", 5<<20)), "", 413, "request_too_large", "larger"},
		{"provider's own", "/v1/messages", request("messages", `,"top_q":1`), "", 400, "invalid_request_error", "top_q: Extra inputs"},
		{"all providers down", "/v1/messages", request("messages", ""), "*=reset", 503, "overloaded_error", "claudette-2026-04-01: no answer"},
		{"a prefixed provider down", "/v1/messages", request("messages/claudette", ""), "*=reset", 503, "overloaded_error", "claudette-2026-04-01: no answer"},
		{"zone", "/v1/messages/count_tokens", `{"model":"eu-only","messages":[{"role":"user","content":"hi"}]}`, "", 400, "invalid_request_error", "API"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ask(t, s, tt.path, tt.body, rig.FailHeader, tt.fail)
			var e struct {
				Type  string
				Error struct{ Type, Message string }
			}
			decoder := json.NewDecoder(bytes.NewReader(got.Body))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&e); err != nil {
				t.Fatalf("status %d, %v: %s", got.Status, err, got.Body)
			}
			if got.Status != tt.status || e.Type != "error" || e.Error.Type != tt.kind || !strings.Contains(e.Error.Message, tt.says) {
				t.Errorf("status %d: %s", got.Status, got.Body)
			}
		})
	}
	t.Run("GET", func(t *testing.T) {
		got := s.Do(t, http.MethodGet, "/v1/messages", nil)
		if got.Status != 405 || gjson.GetBytes(got.Body, "type").String() != "error" || got.Header.Get("Allow") != "POST" {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
	})
}

// Clients of OpenAI's Responses are served by backends that speak it. What refers
// to a provider's memory must name the one place that has it.
func testResponses(t *testing.T, s *rig.Stack) {
	id := rig.ID()
	got := ask(t, s, "/v1/responses", `{"model":"responses/large","input":"hi","max_output_tokens":50}`, rig.IDHeader, id)
	if got.Status != http.StatusOK || gjson.GetBytes(got.Body, "output.0.content.0.text").String() == "" {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	if seen := s.Find(id); len(seen) != 1 || seen[0].Backend != "large-us" || string(seen[0].Body) != `{"model":"large","input":"hi","max_output_tokens":50}` {
		t.Errorf("attempts %+v", seen)
	}
	for fails, serves := range map[string]string{"large": "medium", "medium": "large"} {
		got = ask(t, s, "/v1/responses", `{"model":"responses","stream":true,"input":[{"role":"user","content":"hi"}]}`, rig.FailHeader, fails+"-us=503")
		if got.Status != http.StatusOK || !bytes.Contains(got.Body, []byte("event: response.completed")) || got.Header.Get("x-wye-model") != rig.ServedAs[serves] {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
	}
	first := ask(t, s, "/v1/responses", `{"model":"responses/medium","input":"hi"}`)
	previous := gjson.GetBytes(first.Body, "id").String()
	got = ask(t, s, "/v1/responses", `{"model":"responses/medium","input":"go on","previous_response_id":"`+previous+`"}`)
	if got.Status != http.StatusOK || previous == "" {
		t.Errorf("status %d: %s", got.Status, got.Body)
	}
	for code, body := range map[string]string{
		"previous_response_not_pinned": `{"model":"responses","input":"go on","previous_response_id":"` + previous + `"}`,
		"invalid_type":                 `{"model":"responses","input":7}`,
		"model_not_found":              `{"model":"nope","input":"hi"}`,
		"no_candidate":                 `{"model":"thinking","input":"hi"}`,
		"all_models_failed":            `{"model":"responses","input":"hi","metadata":{}}`,
	} {
		fail := ""
		if code == "all_models_failed" {
			fail = "*=reset"
		}
		got := ask(t, s, "/v1/responses", body, rig.FailHeader, fail)
		if e, err := got.Error(); err != nil || e.Code == nil || *e.Code != code {
			t.Errorf("status %d, %v: %s, want %s", got.Status, err, got.Body, code)
		}
	}
}

// Embeddings and the older completions pass to models that have them. Embeddings
// of several models are never mixed. The backends are of protocols with paths and
// keys of their own.
func testLegacyAPIs(t *testing.T, s *rig.Stack) {
	for _, tt := range []struct {
		name, path, body, upstream, key string
		status                          int
		has                             string // a member of the answer
		code                            string
	}{
		{
			name: "embeddings of azure", path: "/v1/embeddings", body: `{"model":"legacy/embedder","input":["a","b"]}`,
			upstream: "/openai/v1/embeddings", key: "Api-Key", status: 200, has: "data.1.embedding",
		},
		{
			name: "embeddings of gemini", path: "/v1/embeddings", body: `{"model":"legacy/completer","input":[1,2,3],"encoding_format":"base64"}`,
			upstream: "/v1beta/openai/embeddings", key: "Authorization", status: 200, has: "data.0.embedding",
		},
		{
			name: "completions", path: "/v1/completions?x=y", body: `{"model":"legacy","prompt":"Once upon","max_tokens":5}`,
			upstream: "/v1beta/openai/completions?x=y", key: "Authorization", status: 200, has: "choices.0.text",
		},
		{
			name: "chat completions of gemini", path: "/v1/chat/completions", body: `{"model":"legacy","messages":[{"role":"user","content":"hi"}]}`,
			upstream: "/v1beta/openai/chat/completions", key: "Authorization", status: 200, has: "choices.0.message.content",
		},
		{name: "embeddings of any model", path: "/v1/embeddings", body: `{"model":"legacy","input":"a"}`, status: 400, code: "model_required"},
		{name: "no input", path: "/v1/embeddings", body: `{"model":"legacy"}`, status: 400, code: "missing_required_parameter"},
		{name: "too long an input", path: "/v1/embeddings", body: `{"model":"legacy/embedder","input":"` + strings.Repeat("The quick brown fox. ", 4000) + `"}`, status: 400, code: "context_length_exceeded"},
		{name: "no model for it", path: "/v1/completions", body: `{"model":"thinking","prompt":"a"}`, status: 400, code: "no_candidate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := rig.ID()
			got := ask(t, s, tt.path, tt.body, rig.IDHeader, id)
			if got.Status != tt.status {
				t.Fatalf("status %d: %s", got.Status, got.Body)
			}
			seen := s.Find(id)
			if tt.code != "" {
				if e, err := got.Error(); err != nil || deref(e.Code) != tt.code || len(seen) > 0 {
					t.Errorf("%v, backends %q: %s", err, s.Seen(id), got.Body)
				}
				return
			}
			if !gjson.GetBytes(got.Body, tt.has).Exists() || len(seen) != 1 || seen[0].Path != tt.upstream || !strings.HasSuffix(seen[0].Header.Get(tt.key), rig.ThinkerKey) {
				t.Errorf("requests %+v: %s", seen, got.Body)
			}
		})
	}
	t.Run("completions stream", func(t *testing.T) {
		got := ask(t, s, "/v1/completions", `{"model":"legacy","prompt":"Once","stream":true}`)
		if got.Status != http.StatusOK || !bytes.HasSuffix(got.Body, []byte("data: [DONE]\n\n")) {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
	})
}
