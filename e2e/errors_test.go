package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

// Every error is OpenAI-shaped, has the status, code and param that OpenAI's
// own has, and never reaches a provider.
func testErrors(t *testing.T, s *rig.Stack) {
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	tool := `"tools":[{"type":"function","function":{"name":"f","parameters":{}}}]`
	long := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 2000)
	for _, test := range []struct {
		name, body  string
		headers     []string
		status      int
		code, param string   // empty: null
		says        []string // parts of the message
	}{
		{name: "unknown deployment", body: `{"model":"nope",` + hi + `}`, status: 404, code: "model_not_found", param: "model", says: []string{"nope"}},
		{name: "a model's own name", body: `{"model":"small",` + hi + `}`, status: 404, code: "model_not_found", param: "model"},
		{name: "deployment name with quotes", body: `{"model":"a\"b\\u0000\u2028",` + hi + `}`, status: 404, code: "model_not_found", param: "model"},
		{name: "empty body", body: ``, status: 400, code: "invalid_json"},
		{name: "white space", body: "  \n", status: 400, code: "invalid_json"},
		{name: "truncated JSON", body: `{"model":"auto",` + hi, status: 400, code: "invalid_json"},
		{name: "trailing garbage", body: `{"model":"auto",` + hi + `} x`, status: 400, code: "invalid_json"},
		{name: "an array", body: `[{"model":"auto",` + hi + `}]`, status: 400, code: "invalid_type"},
		{name: "invalid UTF-8", body: "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\"}]}", status: 400, code: "invalid_json"},
		{name: "no model", body: `{` + hi + `}`, status: 400, code: "missing_required_parameter", param: "model"},
		{name: "empty model", body: `{"model":"",` + hi + `}`, status: 400, code: "empty_string", param: "model"},
		{name: "null model", body: `{"model":null,` + hi + `}`, status: 400, code: "invalid_type", param: "model"},
		{name: "number as model", body: `{"model":7,` + hi + `}`, status: 400, code: "invalid_type", param: "model"},
		{name: "array as model", body: `{"model":["auto"],` + hi + `}`, status: 400, code: "invalid_type", param: "model"},
		{name: "two models", body: `{"model":"auto",` + hi + `,"model":"auto"}`, status: 400, code: "duplicate_parameter", param: "model", says: []string{"model"}},
		{name: "two models, one spelt with an escape", body: `{"model":"auto",` + hi + `,"mo\u0064el":"large"}`, status: 400, code: "duplicate_parameter", param: "model"},
		{name: "no messages", body: `{"model":"auto"}`, status: 400, code: "missing_required_parameter", param: "messages"},
		{name: "empty messages", body: `{"model":"auto","messages":[]}`, status: 400, code: "empty_array", param: "messages"},
		{name: "messages no array", body: `{"model":"auto","messages":"hi"}`, status: 400, code: "invalid_type", param: "messages"},
		{name: "message no object", body: `{"model":"auto","messages":["hi"]}`, status: 400, code: "invalid_type", param: "messages[0]"},
		{name: "stream no bool", body: `{"model":"auto","stream":"yes",` + hi + `}`, status: 400, code: "invalid_type", param: "stream"},
		{name: "negative max_tokens", body: `{"model":"auto","max_tokens":-1,` + hi + `}`, status: 400, code: "integer_below_min_value", param: "max_tokens"},
		{name: "audio", status: 400, code: "unsupported_value", param: "messages[0].content[0]", body: `{"model":"auto","messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}}]}]}`, says: []string{"audio"}},
		{name: "mode not allowed", body: `{"model":"fixed",` + hi + `}`, headers: []string{"x-wye-mode", "cost"}, status: 400, code: "mode_not_allowed", says: []string{"fixed", "cost"}},
		{name: "unknown mode", body: `{"model":"auto",` + hi + `}`, headers: []string{"x-wye-mode", "best"}, status: 400, code: "invalid_mode", says: []string{"x-wye-mode"}},
		{name: "no candidate", body: `{"model":"short-context",` + tool + `,` + hi + `}`, status: 400, code: "no_candidate", says: []string{"small", "tools"}},
		{name: "output cap above every model's", body: `{"model":"short-context","max_tokens":4096,` + hi + `}`, status: 400, code: "no_candidate", says: []string{"small"}},
		{name: "prompt too long", body: `{"model":"short-context","messages":[{"role":"user","content":"` + long + `"}]}`, status: 400, code: "context_length_exceeded", param: "messages"},
		{name: "body over its deployment's limit", body: `{"model":"small-bodies","messages":[{"role":"user","content":"` + long + `"}]}`, status: 413, code: "request_too_large"},
		{name: "content type", body: `{"model":"auto",` + hi + `}`, headers: []string{"Content-Type", "multipart/form-data; boundary=x"}, status: 415, code: "unsupported_media_type"},
		{name: "content encoding", body: `{"model":"auto",` + hi + `}`, headers: []string{"Content-Encoding", "compress"}, status: 415, code: "unsupported_content_encoding"},
		{name: "not what the encoding says", body: `{"model":"auto",` + hi + `}`, headers: []string{"Content-Encoding", "gzip"}, status: 400, code: "invalid_content_encoding"},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := rig.ID()
			got := s.Post(t, []byte(test.body), append(test.headers, rig.IDHeader, id)...)
			if got.Status != test.status {
				t.Fatalf("status %d, want %d: %.500s", got.Status, test.status, got.Body)
			}
			apiErr, err := got.Error()
			if err != nil {
				t.Fatal(err)
			}
			if apiErr.Type != "invalid_request_error" {
				t.Errorf("type %q, want invalid_request_error", apiErr.Type)
			}
			if code := deref(apiErr.Code); code != test.code {
				t.Errorf("code %q, want %q", code, test.code)
			}
			if param := deref(apiErr.Param); param != test.param {
				t.Errorf("param %q, want %q", param, test.param)
			}
			for _, part := range test.says {
				if !strings.Contains(apiErr.Message, part) {
					t.Errorf("message %q does not mention %q", apiErr.Message, part)
				}
			}
			if got.Header.Get("x-wye-policy") == "" {
				t.Error("no x-wye-policy on the error")
			}
			if seen := s.Seen(id); len(seen) > 0 {
				t.Errorf("the request reached %q", seen)
			}
		})
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// What is no chat completion is answered by Envoy itself, in the same shape.
func testPaths(t *testing.T, s *rig.Stack) {
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{http.MethodGet, "/", 404},
		{http.MethodPost, "/", 404},
		{http.MethodPost, "/v1/chat/completion", 404},
		{http.MethodPost, "/v1/chat/completions/", 404},
		{http.MethodPost, "/v1/chat/completions/x", 404},
		{http.MethodPost, "/v1/chat/../chat/completions/..", 404},
		{http.MethodPost, "/V1/CHAT/COMPLETIONS", 404},
		{http.MethodPost, "/v1/audio/speech", 404},
		{http.MethodGet, "/v1/chat/completions", 405},
		{http.MethodDelete, "/v1/chat/completions", 405},
		{http.MethodPost, "/v1/models", 405},
		{http.MethodGet, "/v1/models/nope", 404},
		{http.MethodGet, "/openai/models/nope", 404},
		{http.MethodGet, "/openai/deployments/auto/chat/completions", 405},
		{http.MethodPost, "/openai/deployments/auto/chat/completions/x", 404},
		{http.MethodPost, "/openai/deployments/auto/embeddings", 404},
		{http.MethodPost, "/openai/deployments/nope/chat/completions", 404},
		{http.MethodPost, "/openai/v1/chat/completion", 404},
		{http.MethodDelete, "/openai/v1/chat/completions", 405},
	} {
		id := rig.ID()
		got := s.Do(t, test.method, test.path, bytes.NewReader(rig.Chat("auto", "hi")), rig.IDHeader, id)
		if got.Status != test.status {
			t.Errorf("%s %s: status %d, want %d: %.200s", test.method, test.path, got.Status, test.status, got.Body)
		}
		if _, err := got.Error(); err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
		}
		if seen := s.Seen(id); len(seen) > 0 {
			t.Errorf("%s %s reached %q", test.method, test.path, seen)
		}
	}
}

// A query reaches the provider as it is, behind the backend's own prefix, on
// the first attempt and on a fallback.
func testUpstreamPath(t *testing.T, s *rig.Stack) {
	const query = "?api-version=1&x=%2F"
	for _, fail := range []string{"", "large-eu=503", "medium-eu=503"} {
		id := rig.ID()
		body := bytes.NewReader(rig.Chat("eu-only", "hi"))
		got := s.Do(t, http.MethodPost, rig.ChatPath+query, body, rig.IDHeader, id, rig.FailHeader, fail)
		if got.Status != http.StatusOK {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
		for _, r := range s.Find(id) {
			want := rig.ChatPath + query
			if r.Backend == "medium-eu" {
				want = "/openai" + want
			}
			if r.Path != want {
				t.Errorf("%s was asked for %s, want %s", r.Backend, r.Path, want)
			}
		}
	}
}

func testModelList(t *testing.T, s *rig.Stack) {
	got := s.Do(t, http.MethodGet, "/v1/models", nil)
	var list struct {
		Object string
		Data   []struct {
			ID      string
			Object  string
			Created *int64
			OwnedBy string `json:"owned_by"`
		}
	}
	if err := json.Unmarshal(got.Body, &list); err != nil || got.Status != http.StatusOK || list.Object != "list" {
		t.Fatalf("status %d, %v: %s", got.Status, err, got.Body)
	}
	var names []string
	for _, m := range list.Data {
		names = append(names, m.ID)
		if m.Object != "model" || m.Created == nil || m.OwnedBy == "" {
			t.Errorf("entry %+v is not what OpenAI lists", m)
		}
		one := s.Do(t, http.MethodGet, "/v1/models/"+m.ID, nil)
		var entry struct{ ID, Object string }
		if err := json.Unmarshal(one.Body, &entry); err != nil || one.Status != http.StatusOK || entry.ID != m.ID || entry.Object != "model" {
			t.Errorf("GET of %s: status %d: %s", m.ID, one.Status, one.Body)
		}
	}
	for _, want := range []string{"auto", "alias-of-auto", "fixed", "eu-only", "thinking", "open", "open/large", "open/medium"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not in %q", want, names)
		}
	}
	for _, hidden := range []string{"small", "thinker", "auto/large"} {
		if slices.Contains(names, hidden) {
			t.Errorf("model %s is listed, clients cannot call it", hidden)
		}
	}
}
