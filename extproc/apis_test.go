package extproc_test

import (
	"strings"
	"testing"

	"wye/extproc"
	"wye/router"
)

// everyAPI is testSnapshot with backends that speak every API.
func everyAPI(t testing.TB) *router.Router {
	t.Helper()
	var apis router.APIs
	for _, a := range router.AllAPIs {
		apis = apis.With(a)
	}
	all := router.ModeSet(0).With(router.ModeQuality).With(router.ModeCost)
	s, err := router.NewSnapshot(router.Config{
		Hash: "apis",
		Models: []router.Model{
			{Name: "small", ServedAs: "small-v1", Price: router.Price{Input: 1, Output: 1}, ContextWindow: 8192},
			{
				Name: "large", ServedAs: "large-v1", Price: router.Price{Input: 10, Output: 10}, ContextWindow: 1 << 20,
				Parameters: router.Parameters{Drop: []string{"temperature"}, MaxTokensField: "max_completion_tokens"},
			},
		},
		Backends: []router.Backend{
			{Name: "s1", Model: 0, SendAs: "small-v1", Address: "127.0.0.1:1", APIs: apis},
			{Name: "l1", Model: 1, SendAs: "large-v1", Address: "127.0.0.1:2", APIs: apis},
		},
		Deployments: []router.Deployment{{
			Name: "auto", Mode: router.ModeQuality, AllowedModes: all, Subset: []router.ModelIndex{0, 1}, MaxAttempts: 3,
			Scorer: fixedScorer{}, Bands: router.Bands{Cost: 0.5},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := new(router.Router)
	r.Swap(s)
	return r
}

// apiRequests are, by path, what a request has beside its model and
// routing_config, and what of it a provider is sent.
var apiRequests = map[string][2]string{
	"/v1/chat/completions": {
		`"max_tokens":9,"temperature":1,"messages":[{"role":"user","content":"hi"}]`,
		`"max_completion_tokens":9,"messages":[{"role":"user","content":"hi"}]`,
	},
	"/v1/messages": {
		`"max_tokens":9,"temperature":1,"system":"s","messages":[{"role":"user","content":"hi"}]`,
		`"max_tokens":9,"system":"s","messages":[{"role":"user","content":"hi"}]`,
	},
	"/v1/messages/count_tokens": {`"messages":[{"role":"user","content":"hi"}]`, `"messages":[{"role":"user","content":"hi"}]`},
	"/v1/responses":             {`"input":"hi","temperature":1,"max_output_tokens":9`, `"input":"hi","max_output_tokens":9`},
	"/v1/completions":           {`"prompt":"hi","max_tokens":9,"temperature":1`, `"prompt":"hi","max_tokens":9`},
	"/v1/embeddings":            {`"input":["hi"]`, `"input":["hi"]`},
}

// routing_config decides in every API, and no provider sees it.
func TestRoutingConfigOfEveryAPI(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{Router: everyAPI(t)})
	ask := func(path, config, rest string) (string, []string) {
		text := `{"model":"auto","routing_config":` + config + `,` + rest + `}`
		replies, err := exchange(t, conn, true, headers(false, ":method", "POST", ":path", path), body(text, true))
		if len(replies) == 1 {
			return readRefusal(t, replies, err).Body, nil
		}
		got := readRouted(t, replies, err)
		var chain []string
		route, _ := got.Metadata["wye.route"].(map[string]any)
		groups, _ := route["priority_groups"].([]any)
		for _, g := range groups {
			group, _ := g.(map[string]any)
			name, _ := group["name"].(string)
			chain = append(chain, name)
		}
		return got.Body, chain
	}
	for path, request := range apiRequests {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			got, chain := ask(path, `{"models":["large"]}`, request[0])
			if want := `{"model":"large-v1",` + request[1] + `}`; got != want || len(chain) != 2 {
				t.Errorf("large was sent %s, chain %q; want %s", got, chain, want)
			}
			got, _ = ask(path, `{"models":["small"],"mode":"cost"}`, request[0])
			if want := `{"model":"small-v1",` + request[0] + `}`; got != want {
				t.Errorf("small was sent %s, want %s", got, want)
			}
			if path != "/v1/embeddings" {
				for mode, model := range map[string]string{"Cost": "small-v1", "quality": "large-v1"} {
					if got, chain := ask(path, `{"mode":"`+mode+`"}`, request[0]); !strings.HasPrefix(got, `{"model":"`+model) || len(chain) != 3 {
						t.Errorf("%s sent %s, chain %q", mode, got, chain)
					}
				}
			}
			if strings.Contains(request[0], "temperature") {
				if got, _ := ask(path, `{"require_parameters":true}`, request[0]); !strings.HasPrefix(got, `{"model":"small-v1"`) {
					t.Errorf("a model that drops a parameter was sent %s", got)
				}
			}
			for config, fault := range map[string]string{
				`{"mode":"fast"}`: "routing_config.mode", `{"models":["medium"]}`: "routing_config.models[0]", `{"budget":1}`: "routing_config.budget",
			} {
				got, _ := ask(path, config, request[0])
				kind := `"type":"invalid_request_error"`
				if !strings.Contains(got, fault) || !strings.Contains(got, kind) ||
					strings.HasPrefix(path, "/v1/messages") != strings.HasPrefix(got, `{"type":"error"`) {
					t.Errorf("%s: %s", config, got)
				}
			}
		})
	}
}
