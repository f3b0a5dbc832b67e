package e2e_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

// What a body asks of the router is heeded on the first attempt and on every
// fallback, and no provider sees that it was asked.
func testRoutingConfig(t *testing.T, s *rig.Stack) {
	const ask = `{"routing_config":{"mode":"quality","models":["medium",{"name":"small","format":"rig"}]},` +
		`"model":"auto","messages":[{"role":"user","content":"Say hello."}]}`
	for _, tt := range []struct {
		name, fail string
		want       []string // models that are called
	}{
		{"first attempt", "", []string{"medium"}},
		{"fallback", "medium-eu=503,medium-us=503", []string{"medium", "small"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := rig.ID()
			headers := []string{rig.IDHeader, id, "x-wye-mode", "cost"}
			if tt.fail != "" {
				headers = append(headers, rig.FailHeader, tt.fail)
			}
			got := s.Post(t, []byte(ask), headers...)
			if got.Status != http.StatusOK || got.Header.Get("x-wye-mode") != "quality" {
				t.Fatalf("status %d, mode %q: %s", got.Status, got.Header.Get("x-wye-mode"), got.Body)
			}
			seen := s.Find(id)
			if len(seen) != len(tt.want) {
				t.Fatalf("%d attempts, want %q", len(seen), tt.want)
			}
			for i, r := range seen {
				if gjson.GetBytes(r.Body, "routing_config").Exists() {
					t.Errorf("%s was sent %s", r.Backend, r.Body)
				}
				if name := r.Backend[:len(tt.want[i])]; name != tt.want[i] {
					t.Errorf("attempt %d went to %s, want %s", i+1, r.Backend, tt.want[i])
				}
			}
		})
	}
	for name, config := range map[string]string{
		"unknown model": `{"models":["thinker"]}`, "unknown mode": `{"mode":"best"}`, "unknown member": `{"budget":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			id := rig.ID()
			got := s.Post(t, []byte(`{"model":"auto","messages":[{"role":"user","content":"hi"}],"routing_config":`+config+`}`), rig.IDHeader, id)
			e, err := got.Error()
			if err != nil || got.Status != http.StatusBadRequest {
				t.Fatalf("status %d, %v: %s", got.Status, err, got.Body)
			}
			if e.Param == nil || len(*e.Param) < len("routing_config.") || len(s.Seen(id)) > 0 {
				t.Errorf("%s: reached %q", got.Body, s.Seen(id))
			}
		})
	}
}

// A model that a deployment lets clients name is served by that deployment's
// rules, and by no other model.
func testNamedModels(t *testing.T, s *rig.Stack) {
	for _, tt := range []struct {
		model, fail string
		status      int
		called      []string
	}{
		{"open/medium", "", 200, []string{"medium-eu"}},
		{"large", "", 404, nil},                                   // another deployment offers it, too
		{"open/large", "large-eu=503", 503, []string{"large-eu"}}, // neither another model nor another zone
		{"thinking/thinker", "", 404, nil},
		{"small", "", 404, nil},
	} {
		t.Run(tt.model+tt.fail, func(t *testing.T) {
			id := rig.ID()
			headers := []string{rig.IDHeader, id}
			if tt.fail != "" {
				headers = append(headers, rig.FailHeader, tt.fail)
			}
			got := s.Post(t, rig.Chat(tt.model, "Say hello."), headers...)
			if seen := s.Seen(id); got.Status != tt.status || !slices.Equal(seen, tt.called) {
				t.Fatalf("status %d, %q were called: %s", got.Status, seen, got.Body)
			}
			if got.Status == http.StatusOK && (got.Header.Get("x-wye-deployment") != "open" || got.Header.Get("x-wye-zone") != "eu") {
				t.Errorf("headers %v", got.Header)
			}
		})
	}
}

// Clients that are made for Azure OpenAI: the provider is asked under the path
// that it knows, behind its own prefix, on the first attempt and on a fallback.
func testAzurePaths(t *testing.T, s *rig.Stack) {
	for _, path := range []string{
		"/openai/deployments/eu-only/chat/completions?api-version=2024-10-21", "/openai/v1/chat/completions?api-version=preview",
	} {
		for _, fail := range []string{"", "large-eu=503", "medium-eu=503"} {
			id := rig.ID()
			body := strings.NewReader(`{"model":"eu-only","messages":[{"role":"user","content":"hi"}]}`)
			if strings.Contains(path, "deployments") {
				body = strings.NewReader(`{"messages":[{"role":"user","content":"hi"}]}`)
			}
			got := s.Do(t, http.MethodPost, path, body, rig.IDHeader, id, rig.FailHeader, fail, "Content-Type", "application/json")
			if got.Status != http.StatusOK || got.Header.Get("x-wye-deployment") != "eu-only" {
				t.Errorf("%s: status %d: %s", path, got.Status, got.Body)
			}
			for _, r := range s.Find(id) {
				want := rig.ChatPath
				if r.Backend == "medium-eu" {
					want = "/openai" + want
				}
				if r.Path != want {
					t.Errorf("%s was asked for %s, want %s", r.Backend, r.Path, want)
				}
			}
		}
	}
	for _, path := range []string{"/openai/v1/models", "/openai/models?api-version=2024-10-21"} {
		if got := s.Do(t, http.MethodGet, path, nil); got.Status != http.StatusOK || !gjson.GetBytes(got.Body, `data.#(id=="auto")`).Exists() {
			t.Errorf("%s: status %d: %s", path, got.Status, got.Body)
		}
	}
}

// The trace comes only when asked for, names the attempts in their order, and is
// not a provider's business.
func testTrace(t *testing.T, s *rig.Stack) {
	if got := s.Post(t, rig.Chat("any-order", "Say hello.")); got.Header.Get("x-wye-trace") != "" {
		t.Errorf("trace %q unasked", got.Header.Get("x-wye-trace"))
	}
	id := rig.ID()
	got := s.Post(t, rig.Chat("any-order", "Say hello."), "x-wye-trace", "true", rig.IDHeader, id, rig.FailHeader, "thinker-us=503,large-eu=503,large-us=503")
	trace := gjson.Get(got.Header.Get("x-wye-trace"), "model_selection_details.model_router_details")
	seen := s.Find(id)
	if got.Status != http.StatusOK || len(seen) < 2 {
		t.Fatalf("status %d, %d attempts: %s", got.Status, len(seen), got.Body)
	}
	for i, r := range seen {
		attempt := trace.Get("routing_trace.0.attempts").Array()[i]
		if attempt.Get("backend").String() != r.Backend {
			t.Errorf("attempt %d went to %s, the trace has %s", i+1, r.Backend, attempt)
		}
		if r.Header.Get("x-wye-trace") != "" {
			t.Errorf("%s was asked for a trace", r.Backend)
		}
	}
	if trace.Get("decision").String() != got.Header.Get("x-wye-decision") || len(trace.Get("candidates").Array()) != 4 {
		t.Errorf("trace %s", trace)
	}
	got = s.Post(t, []byte(`{"model":"short-context","routing_config":{"trace":true},"messages":[{"role":"user","content":"hi"}],
		"tools":[{"type":"function","function":{"name":"f"}}]}`))
	if got.Status != http.StatusBadRequest || gjson.Get(got.Header.Get("x-wye-trace"), "model_selection_details.model_router_details.candidates.0.lacks").String() != "tools" {
		t.Errorf("status %d, trace %s", got.Status, got.Header.Get("x-wye-trace"))
	}
}

// A key that Envoy has by SDS reaches the provider and nothing else: no log, no
// admin page, no configuration dump, no response, be it an error or a trace.
func testKeyStaysSecret(t *testing.T, s *rig.Stack) {
	absent := func(where, text string) {
		if i := strings.Index(text, rig.ThinkerKey); i >= 0 {
			t.Errorf("%s has the key: …%.200s", where, text[max(0, i-100):])
		}
	}
	id := rig.ID()
	for where, headers := range map[string][]string{
		"the answer":             {},
		"the provider's refusal": {rig.FailHeader, "thinker-us=401"},
		"the last failure":       {rig.FailHeader, "thinker-us=503"},
	} {
		got := s.Post(t, rig.Chat("thinking", "Say hello."), append(headers, "x-wye-trace", "true", rig.IDHeader, id)...)
		absent(where, string(got.Body))
		for name, values := range got.Header {
			absent(where+"'s header "+name, strings.Join(values, " "))
		}
	}
	sent := s.Find(id)
	if len(sent) < 3 {
		t.Fatalf("%d requests reached the provider", len(sent))
	}
	for _, r := range sent {
		if r.Header.Get("Authorization") != "Bearer "+rig.ThinkerKey {
			t.Errorf("the provider was sent Authorization %q", r.Header.Get("Authorization"))
		}
	}
	public := s.Public(t)
	for where, text := range public {
		absent(where, text)
	}
	// What is searched is what there is to leak: the dump has the secret's name.
	if dump := public["Envoy's /config_dump?include_eds"]; !strings.Contains(dump, "wye/credential/thinker-us/") {
		t.Error("the configuration dump does not know of the key at all")
	}
}
