package extproc_test

import (
	"encoding/json"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"

	"wye/extproc"
)

// asking is a chat completion with that routing_config and further fields.
func asking(deployment, config, more string) string {
	return `{"model":"` + deployment + `","routing_config":` + config + `,"messages":[{"role":"user","content":"hi"}]` + more + `}`
}

// What a body asks of the router decides, and no provider sees it.
func TestRoutingConfigDecides(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	for _, tt := range []struct {
		name, config, more string
		headers            []string
		model, mode        string // of the first attempt
		attempts           int
		body               string // what is sent besides model and messages
	}{
		{"nothing", `{}`, `,"temperature":1`, nil, "large-v1", "quality", 2, ``},
		{"a mode", `{"mode":"Cost"}`, ``, nil, "small-v1", "cost", 2, ``},
		{"the body's mode before the header's", `{"mode":"quality"}`, ``, []string{"x-wye-mode", "cost"}, "large-v1", "quality", 2, ``},
		{"the header's mode", `{"mode":null}`, ``, []string{"x-wye-mode", "cost"}, "small-v1", "cost", 2, ``},
		{"a model", `{"models":["small"]}`, ``, nil, "small-v1", "quality", 1, ``},
		{"the version that it reports", `{"models":["small-v1"]}`, ``, nil, "small-v1", "quality", 1, ``},
		{"Foundry's object", `{"models":[{"name":"small","version":"v1"}]}`, ``, nil, "small-v1", "quality", 1, ``},
		{"models in no order", `{"models":["small","large","small"]}`, ``, nil, "large-v1", "quality", 2, ``},
		{"parameters", `{"require_parameters":true}`, `,"temperature":1`, nil, "small-v1", "quality", 1, `,"temperature":1`},
		{"parameters that all honour", `{"require_parameters":true}`, `,"temperature":null,"seed":1`, nil, "large-v1", "quality", 2, `,"seed":1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := asking("auto", tt.config, tt.more)
			replies, err := exchange(t, conn, true, chat(len(text), tt.headers...), body(text, true))
			got := readRouted(t, replies, err)
			want := `{"model":"` + tt.model + `","messages":[{"role":"user","content":"hi"}]` + tt.body + `}`
			if diff := cmp.Diff(want, got.Body); diff != "" {
				t.Error(diff)
			}
			decision, _ := got.Metadata["wye"].(map[string]any)
			route, _ := got.Metadata["wye.route"].(map[string]any)
			chain, _ := route["priority_groups"].([]any)
			// What ends every chain is no attempt.
			if decision["mode"] != tt.mode || len(chain)-1 != tt.attempts {
				t.Errorf("mode %v, %d attempts", decision["mode"], len(chain))
			}
		})
	}
}

// What cannot be granted is refused before any call, and says which field is at
// fault.
func TestRoutingConfigRefused(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	for _, tt := range []struct {
		name, deployment, config, more string
		code, param, message           string
	}{
		{"no mode", "auto", `{"mode":"fast"}`, ``, "invalid_mode", "routing_config.mode", `"fast"`},
		{"a mode that is not allowed", "fixed", `{"mode":"quality"}`, ``, "mode_not_allowed", "routing_config.mode", "quality"},
		{"no model", "auto", `{"models":["small","no-such"]}`, ``, "invalid_value", "routing_config.models[1]", `"no-such"`},
		{"a model beyond the subset", "single", `{"models":["large"]}`, ``, "invalid_value", "routing_config.models[0]", `"large"`},
		{
			"another version", "auto", `{"models":[{"name":"large","version":"2","format":"X"}]}`, ``,
			"invalid_value", "routing_config.models[0]", `"large" of version "2" of format "X"`,
		},
		{"a name of any length", "auto", `{"models":["` + strings.Repeat("x", 5000) + `"]}`, ``, "invalid_value", "routing_config.models[0]", `xx"`},
		{"what is no routing_config", "auto", `{"model":"small"}`, ``, "unknown_parameter", "routing_config.model", "routing_config.model"},
		{
			"parameters that none honours", "auto", `{"models":["large"],"require_parameters":true}`, `,"temperature":0`,
			"no_candidate", "", "ignores a parameter",
		},
		{"agent tools", "auto", `{}`, `,"tools":[{"type":"web_search"}]`, "no_candidate", "", "large: its publisher does not host"},
		{"no deployment", "nobody", `{"models":["large"],"require_parameters":true}`, ``, "model_not_found", "model", `"nobody"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := asking(tt.deployment, tt.config, tt.more)
			replies, err := exchange(t, conn, true, chat(len(text)), body(text, true))
			got := readRefusal(t, replies, err)
			var e struct {
				Error struct{ Message, Type, Param, Code string }
			}
			if err := json.Unmarshal([]byte(got.Body), &e); err != nil {
				t.Fatal(err)
			}
			if e.Error.Code != tt.code || e.Error.Param != tt.param || !strings.Contains(e.Error.Message, tt.message) || len(got.Body) > 1000 {
				t.Errorf("%s", got.Body)
			}
			if want := map[bool]int{true: 404, false: 400}[tt.code == "model_not_found"]; got.Status != want {
				t.Errorf("status %d", got.Status)
			}
		})
	}
}

// Clients that are made for Azure are served as all others are; a provider is
// asked under the one path.
func TestAzurePaths(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	const messages = `"messages":[{"role":"user","content":"hi"}]`
	ask := func(path, text string) ([]*extprocv3.ProcessingResponse, error) {
		return exchange(t, conn, true, headers(false, ":method", "POST", ":path", path), body(text, true))
	}
	for _, tt := range []struct{ path, body, deployment, want, rewritten string }{
		{"/v1/chat/completions?x=y", `{"model":"auto",` + messages + `}`, "auto", `{"model":"large-v1",` + messages + `}`, ""},
		{"/openai/v1/chat/completions", `{"model":"auto",` + messages + `}`, "auto", `{"model":"large-v1",` + messages + `}`, "/v1/chat/completions"},
		{
			"/openai/deployments/single/chat/completions?api-version=2024-10-21", `{"model":"gpt-4",` + messages + `}`,
			"single", `{"model":"small-v1",` + messages + `}`, "/v1/chat/completions",
		},
		{"/openai/deployments/single/chat/completions", `{` + messages + `}`, "single", `{"model":"small-v1",` + messages + `}`, "/v1/chat/completions"},
		{"/openai/deployments/model%2Drouter/chat/completions", `{` + messages + `}`, "auto", `{"model":"large-v1",` + messages + `}`, "/v1/chat/completions"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			t.Parallel()
			replies, err := ask(tt.path, tt.body)
			got := readRouted(t, replies, err)
			decision, _ := got.Metadata["wye"].(map[string]any)
			if got.Body != tt.want || decision["deployment"] != tt.deployment || got.Set[":path"] != tt.rewritten {
				t.Errorf("deployment %v, path %q, body %s", decision["deployment"], got.Set[":path"], got.Body)
			}
		})
	}
	for path, code := range map[string]string{
		"/openai/deployments/nobody/chat/completions":       "model_not_found",
		"/openai/deployments//chat/completions":             "unknown_url",
		"/openai/deployments/%zz/chat/completions":          "unknown_url",
		"/openai/deployments/single/chat/completions/x":     "unknown_url",
		"/openai/deployments/single/embeddings":             "unknown_url",
		"/openai/deployments/single?x=y/chat/completions":   "unknown_url",
		"/openai/deployments/single%2f/chat/completions":    "model_not_found",
		"/openai/chat/completions":                          "unknown_url",
		"/v1/openai/deployments/single/chat/completions?x=": "unknown_url",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			replies, err := ask(path, `{`+messages+`}`)
			if got := readRefusal(t, replies, err); got.Status != 404 || !strings.Contains(got.Body, code) {
				t.Errorf("status %d: %s", got.Status, got.Body)
			}
		})
	}
}
