package xds_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wye/envoy"
	"wye/router"
	"wye/xds"
)

func first(s *router.Snapshot, i int) string {
	return envoy.ClusterName(s.Backends[i].Name, s.Backends[i].Hash, false)
}

func fallback(s *router.Snapshot, i int) string {
	return envoy.ClusterName(s.Backends[i].Name, s.Backends[i].Hash, true)
}

// errorBody parses an OpenAI-shaped error and fails on any other shape.
func errorBody(t *testing.T, a answer) (kind, param, code string) {
	t.Helper()
	if got := a.header.Get("content-type"); got != "application/json" {
		t.Errorf("content-type %q", got)
	}
	var doc map[string]map[string]any
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	e := doc["error"]
	if len(doc) != 1 || len(e) != 4 || e["message"] == "" {
		t.Fatalf("body %q is not an OpenAI error", a.body)
	}
	text := func(key string) string {
		if e[key] == nil {
			return ""
		}
		return fmt.Sprint(e[key])
	}
	return text("type"), text("param"), text("code")
}

// wyeHeaders returns the x-wye-* headers of a response.
func wyeHeaders(h http.Header) map[string]string {
	m := map[string]string{}
	for k := range h {
		if name, ok := strings.CutPrefix(strings.ToLower(k), envoy.HeaderPrefix); ok {
			m[name] = strings.Join(h.Values(k), "|")
		}
	}
	return m
}

// twoBackends is a deployment "auto" of models a and b, and "eu" of the first
// alone.
func twoBackends(a, b string, edit func(*router.Config)) router.Config {
	c := router.Config{
		Hash:   "p1",
		Models: []router.Model{{Name: "a", ServedAs: "a-2026"}, {Name: "b"}},
		Backends: []router.Backend{
			{Name: "a-eu", Model: 0, SendAs: "a-sent", Address: a, Zone: "eu"},
			{Name: "b-us", Model: 1, SendAs: "b-sent", Address: b, Zone: "us"},
		},
		Deployments: []router.Deployment{
			{Name: "auto", Aliases: []string{"model-router"}, Subset: []router.ModelIndex{0, 1}},
			{Name: "eu", Zone: "eu", Subset: []router.ModelIndex{0, 1}},
			{Name: "nowhere", Zone: "mars", Subset: []router.ModelIndex{0}},
		},
	}
	if edit != nil {
		edit(&c)
	}
	return c
}

// Whatever no model answers is worded here, in OpenAI's shape.
func TestDirectAnswers(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	g := startGateway(t, snapshot(t, twoBackends(p.address(), p.address(), nil)), gatewayOptions{})
	for _, tt := range []struct {
		method, path     string
		status           int
		kind, param, err string
		allow            string
	}{
		{"GET", "/v1/models/nonesuch", 404, "invalid_request_error", "model", "model_not_found", ""},
		{"DELETE", "/v1/models", 405, "invalid_request_error", "", "method_not_allowed", "GET, HEAD"},
		{"POST", "/v1/models/auto", 405, "invalid_request_error", "", "method_not_allowed", "GET, HEAD"},
		{"GET", "/v1/chat/completions", 405, "invalid_request_error", "", "method_not_allowed", "POST"},
		{"POST", "/v1/chat/completions/", 404, "invalid_request_error", "", "unknown_url", ""},
		{"GET", "/", 404, "invalid_request_error", "", "unknown_url", ""},
	} {
		a := g.do(tt.method, tt.path, "")
		kind, param, code := errorBody(t, a)
		if a.status != tt.status || kind != tt.kind || param != tt.param || code != tt.err || a.header.Get("allow") != tt.allow {
			t.Errorf("%s %s: %d %s %v", tt.method, tt.path, a.status, a.body, a.header)
		}
	}
	want := `{"object":"list","data":[{"id":"auto","object":"model","created":0,"owned_by":"wye"},` +
		`{"id":"eu","object":"model","created":0,"owned_by":"wye"},` +
		`{"id":"model-router","object":"model","created":0,"owned_by":"wye"},` +
		`{"id":"nowhere","object":"model","created":0,"owned_by":"wye"}]}`
	if a := g.do("GET", "/v1/models", ""); a.status != 200 || a.body != want || a.header.Get("content-type") != "application/json" {
		t.Errorf("models: %d %s", a.status, a.body)
	}
	if a := g.do("GET", "/v1/models/eu?x=1", ""); a.body != `{"id":"eu","object":"model","created":0,"owned_by":"wye"}` {
		t.Errorf("model: %s", a.body)
	}
	if a := g.do("HEAD", "/v1/models", ""); a.status != 200 || a.body != "" {
		t.Errorf("HEAD: %d %q", a.status, a.body)
	}
	if n := len(g.processor.seen()); n != 0 {
		t.Errorf("%d of these requests went to the ext_proc server", n)
	}
}

// The first attempt goes where ext_proc says, with what ext_proc made of the
// body, and the answer says who served; nothing that a client or a provider
// says about Wye gets past Envoy.
func TestDecidedRequest(t *testing.T) {
	t.Parallel()
	a := newProvider(t, nil)
	b := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, h := range append([]string{envoy.HeaderMode}, envoy.ReservedHeaders...) {
			w.Header().Set(h, "forged")
		}
	})
	s := snapshot(t, twoBackends(a.address(), b.address(), nil))
	g := startGateway(t, s, gatewayOptions{})
	p := plan{Deployment: "auto", SendAs: "b-sent", Clusters: []string{first(s, 1)}}
	got := g.chat(p, "x-wye-mode", "cost", "x-wye-model", "forged", "x-wye-deployment", "eu", "x-wye-zone", "forged",
		"x-wye-mod", "forged", "x-wye-modes", "forged", "x-wye-anything", "forged",
		"authorization", "Bearer client", "cookie", "session=1", "x-forwarded-for", "10.0.0.1", "x-request-id", "client-id",
		"x-envoy-max-retries", "100", "x-envoy-retry-on", "5xx", "x-envoy-upstream-alt-stat-name", "forged",
		"x-envoy-anything", "forged")
	want := map[string]string{
		"attempts": "1", "decision": "d1", "deployment": "auto", "mode": "quality", "model": "b", "policy": "p1", "zone": "us",
	}
	if diff := cmp.Diff(want, wyeHeaders(got.header)); diff != "" {
		t.Error(diff)
	}
	if got.header.Get("x-request-id") != "client-id" {
		t.Errorf("request id %q", got.header.Get("x-request-id"))
	}
	requests := b.received()
	if len(requests) != 1 || len(a.received()) != 0 {
		t.Fatalf("%d requests at b, %d at a", len(requests), len(a.received()))
	}
	r := requests[0]
	if r.model != "b-sent" || r.length != int64(len(r.body)) || r.host != b.address() || r.path != xds.PathChatCompletions {
		t.Errorf("the provider got %+v", r)
	}
	allowed := map[string]string{"Authorization": "Bearer client", "X-Request-Id": "client-id"}
	for name := range r.header {
		switch name {
		case "Authorization", "X-Request-Id":
			if r.header.Get(name) != allowed[name] {
				t.Errorf("%s: %q", name, r.header.Get(name))
			}
		case "Content-Length", "User-Agent", "Accept-Encoding":
		default:
			t.Errorf("the provider got %s: %q", name, r.header.Get(name))
		}
	}
	calls := g.processor.seen()
	if len(calls) != 1 {
		t.Fatalf("%d ext_proc streams, want 1", len(calls))
	}
	wantHeaders := map[string]string{
		":method": "POST", ":path": xds.PathChatCompletions, "content-length": fmt.Sprint(len(p.body())),
		"x-request-id": "client-id", "x-wye-mode": "cost",
	}
	if diff := cmp.Diff(wantHeaders, calls[0].headers); diff != "" {
		t.Error(diff)
	}
	if calls[0].body != p.body() {
		t.Errorf("ext_proc got the body %q", calls[0].body)
	}
}

// A processor that goes wrong, or is not Wye, cannot redirect a request.
func TestProcessorIsHeldToItsRules(t *testing.T) {
	t.Parallel()
	a, b := newProvider(t, nil), newProvider(t, nil)
	s := snapshot(t, twoBackends(a.address(), b.address(), nil))
	g := startGateway(t, s, gatewayOptions{})
	if got := g.chat(plan{Deployment: "auto", SendAs: "b-sent", Clusters: []string{first(s, 1)}, Evil: true}, "authorization", "Bearer client"); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	r := b.received()[0]
	if r.path != xds.PathChatCompletions || r.host != b.address() || r.header.Get("authorization") != "Bearer client" {
		t.Errorf("the provider got %+v", r)
	}
	// Without a chain the default order of the deployment applies, which stays
	// in the zone and rewrites the body.
	if got := g.chat(plan{Deployment: "eu", SendAs: "wrong"}); got.status != 200 || got.header.Get(envoy.HeaderZone) != "eu" {
		t.Errorf("%d %v", got.status, got.header)
	}
	if r := a.received()[0]; r.model != "a-sent" {
		t.Errorf("the provider got model %q", r.model)
	}
	for name, p := range map[string]plan{
		"unknown deployment": {Deployment: "nonesuch", Clusters: []string{first(s, 0)}},
		"no deployment":      {Clusters: []string{first(s, 0)}},
		"no backend in zone": {Deployment: "nowhere"},
		"unknown cluster":    {Deployment: "auto", Clusters: []string{"nonesuch"}},
	} {
		got := g.chat(p)
		if kind, _, _ := errorBody(t, got); got.status != 503 || kind != "server_error" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	got := g.chat(plan{Refuse: 400})
	if got.status != 400 || got.body != `{"error":"worded by the processor"}` ||
		got.header.Get("content-type") != "application/json" || got.header.Get(envoy.HeaderDecision) != "d1" {
		t.Errorf("an error of the processor's own arrives as %d %v %s", got.status, got.header, got.body)
	}
	if len(a.received()) != 1 || len(b.received()) != 1 {
		t.Error("a request without a decision reached a provider")
	}
	// It may change the path, but only to the one that is routed.
	for _, path := range []string{"/evil", "/v1/chat/completions/x", "/openai/v1/chat/completions", "http://evil.example/v1/chat/completions"} {
		got := g.chat(plan{Deployment: "auto", SendAs: "b-sent", Clusters: []string{first(s, 1)}, Path: path})
		if got.status < 400 || len(a.received())+len(b.received()) != 2 {
			t.Errorf("path %s: %d, a provider was asked", path, got.status)
		}
	}
}

// Every attempt gets its own path, host, model and credential, whatever the
// attempt before it had.
func TestFailover(t *testing.T) {
	t.Parallel()
	a, b, c := newProvider(t, status(500)), newProvider(t, status(429)), newProvider(t, nil)
	config := twoBackends(a.address(), b.address(), func(c *router.Config) {
		c.Backends[0].Credential = &router.Credential{Env: "A", Header: "X-Goog-Api-Key"}
		c.Backends[0].PathPrefix = "/openai"
		c.Backends[1].Credential = &router.Credential{Env: "B", Header: "Authorization", Prefix: "Bearer "}
		c.Models[1].Parameters = router.Parameters{Drop: []string{"temperature", "top_p"}, MaxTokensField: "max_completion_tokens", ReasoningEffort: [][2]string{{"minimal", "low"}, {"none", "low"}}}
	})
	config.Models = append(config.Models, router.Model{Name: "c"})
	config.Backends = append(config.Backends, router.Backend{Name: "c-us", Model: 2, SendAs: "c-100%", Address: c.address(), Zone: "us"})
	config.Deployments[0].Subset = []router.ModelIndex{0, 1, 2}
	s := snapshot(t, config)
	g := startGateway(t, s, gatewayOptions{secrets: map[string]string{"A": "key-a", "B": "key-b"}})
	got := g.do(http.MethodPost, xds.PathChatCompletions+"?api-version=1",
		plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 1), fallback(s, 2)}}.body(),
		"authorization", "Bearer client", "api-key", "client-key")
	if got.status != 200 || got.header.Get(envoy.HeaderAttempts) != "3" || got.header.Get(envoy.HeaderModel) != "c" {
		t.Fatalf("%d %v %s", got.status, got.header, got.body)
	}
	type seen struct{ path, model, host, goog, authorization, key string }
	var all []seen
	for _, p := range []*provider{a, b, c} {
		for _, r := range p.received() {
			if r.length != int64(len(r.body)) {
				t.Errorf("content-length %d of a body of %d bytes", r.length, len(r.body))
			}
			all = append(all, seen{r.path, r.model, r.host, r.header.Get("x-goog-api-key"), r.header.Get("authorization"), r.header.Get("api-key")})
		}
	}
	want := []seen{
		{"/openai/v1/chat/completions?api-version=1", "a-sent", a.address(), "key-a", "", ""},
		{"/v1/chat/completions?api-version=1", "b-sent", b.address(), "", "Bearer key-b", ""},
		{"/v1/chat/completions?api-version=1", "c-100%", c.address(), "", "Bearer client", "client-key"},
	}
	if diff := cmp.Diff(want, all, cmp.AllowUnexported(seen{})); diff != "" {
		t.Error(diff)
	}
	var rewrites []map[string]string
	for _, call := range g.processor.seen()[1:] {
		m := map[string]string{}
		for _, k := range []string{envoy.MetadataSendAs, envoy.MetadataDrop, envoy.MetadataMaxTokensField, envoy.MetadataEffort} {
			if v := call.metadata.Get(k); v != nil {
				m[k] = strings.Join(v, "|")
			}
		}
		if v := call.headers["authorization"] + call.headers["x-goog-api-key"]; v != "" {
			t.Errorf("ext_proc got the credential %q", v)
		}
		rewrites = append(rewrites, m)
	}
	wantRewrites := []map[string]string{
		{
			envoy.MetadataSendAs: "b-sent", envoy.MetadataDrop: "temperature,top_p", envoy.MetadataMaxTokensField: "max_completion_tokens",
			envoy.MetadataEffort: "minimal=low,none=low",
		},
		{envoy.MetadataSendAs: "c-100%"},
	}
	if diff := cmp.Diff(wantRewrites, rewrites); diff != "" {
		t.Error(diff)
	}
}

// What moves a request on, and what does not.
func TestRetries(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	refused := newProvider(t, nil)
	refused.Close()
	for _, tt := range []struct {
		name     string
		first    *provider
		owned    bool // Wye holds the first backend's key, and the second's
		perTry   time.Duration
		edit     func(*plan)
		status   int
		attempts string
	}{
		{name: "500", first: newProvider(t, status(500)), status: 200, attempts: "2"},
		{name: "503", first: newProvider(t, status(503)), status: 200, attempts: "2"},
		{name: "429", first: newProvider(t, status(429)), status: 200, attempts: "2"},
		{name: "408", first: newProvider(t, status(408)), status: 200, attempts: "2"},
		{name: "refused connection", first: refused, status: 200, attempts: "2"},
		{name: "cut before the headers", first: newProvider(t, cut), status: 200, attempts: "2"},
		{name: "no headers in time", first: newProvider(t, hang), perTry: 500 * time.Millisecond, status: 200, attempts: "2"},
		{name: "400", first: newProvider(t, status(400)), status: 400, attempts: "1"},
		{name: "client's key refused", first: newProvider(t, status(401)), status: 401, attempts: "1"},
		{name: "own key refused", first: newProvider(t, status(401)), owned: true, status: 200, attempts: "2"},
		{
			name: "chain of one", first: newProvider(t, status(500)), status: 503, attempts: "1",
			edit: func(p *plan) { p.Clusters = []string{p.Clusters[0], envoy.ExhaustedCluster} },
		},
		{
			name: "chain shorter than the route's attempts", first: newProvider(t, status(500)), status: 503, attempts: "2",
			edit: func(p *plan) { p.Clusters = []string{p.Clusters[0], p.Clusters[0], envoy.ExhaustedCluster} },
		},
		{
			name: "large body, over a connection that is not there yet", first: newProvider(t, status(500)), status: 200, attempts: "2",
			edit: func(p *plan) { p.Padding = strings.Repeat("x", 5<<20) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			second := newProvider(t, nil)
			s := snapshot(t, twoBackends(tt.first.address(), second.address(), func(c *router.Config) {
				c.Deployments[0].PerTryTimeout = tt.perTry
				if tt.owned {
					for i := range c.Backends {
						c.Backends[i].Credential = &router.Credential{Env: "K", Header: "authorization"}
					}
				}
			}))
			g := startGateway(t, s, gatewayOptions{})
			p := plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 1)}}
			if tt.edit != nil {
				tt.edit(&p)
			}
			got := g.chat(p)
			if got.status != tt.status || got.header.Get(envoy.HeaderAttempts) != tt.attempts {
				t.Errorf("status %d after %s attempts, want %d after %s", got.status, got.header.Get(envoy.HeaderAttempts), tt.status, tt.attempts)
			}
			for _, r := range second.received() {
				if r.model != "b-sent" || r.length != int64(len(r.body)) || len(r.body) < len(p.Padding) || len(r.body) > len(p.body())+16 {
					t.Errorf("the second provider got model %q in %d bytes, content-length %d", r.model, len(r.body), r.length)
				}
			}
		})
	}
}

// The per-try timeout is for the headers: a stream may take longer, up to the
// deployment's own timeout.
func TestStreamOutlivesPerTryTimeout(t *testing.T) {
	t.Parallel()
	slow := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		for range 8 {
			fmt.Fprint(w, "data: x\n\n")
			w.(http.Flusher).Flush()
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	})
	s := snapshot(t, twoBackends(slow.address(), slow.address(), func(c *router.Config) {
		c.Deployments[0].PerTryTimeout = 200 * time.Millisecond
		c.Deployments[1].Timeout = 300 * time.Millisecond
	}))
	g := startGateway(t, s, gatewayOptions{})
	p := plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0)}}
	if got := g.chat(p); strings.Count(got.body, "data: x") != 8 || got.header.Get(envoy.HeaderAttempts) != "1" {
		t.Errorf("a stream longer than the per-try timeout arrives as %q after %s attempts", got.body, got.header.Get(envoy.HeaderAttempts))
	}
	p.Deployment = "eu"
	if got, err := g.try(http.MethodPost, xds.PathChatCompletions, p.body()); err == nil {
		t.Errorf("a stream longer than the deployment's timeout ends without an error: %q", got.body)
	} else if err != io.ErrUnexpectedEOF { //nolint:errorlint // net/http returns it as it is
		t.Errorf("error %v", err)
	}
}

// A timeout before any header is an error in OpenAI's shape, with what is known
// of the decision.
func TestTimeoutAnswer(t *testing.T) {
	t.Parallel()
	hang := newProvider(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := snapshot(t, twoBackends(hang.address(), hang.address(), func(c *router.Config) {
		c.Deployments[0].Timeout = 200 * time.Millisecond
	}))
	g := startGateway(t, s, gatewayOptions{})
	got := g.chat(plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0)}})
	if _, _, code := errorBody(t, got); got.status != 504 || code != "upstream_timeout" {
		t.Errorf("%d %s", got.status, got.body)
	}
	want := map[string]string{
		"attempts": "1", "decision": "d1", "deployment": "auto", "mode": "quality", "model": "a-2026", "policy": "p1", "zone": "eu",
	}
	if diff := cmp.Diff(want, wyeHeaders(got.header)); diff != "" {
		t.Error(diff)
	}
}
