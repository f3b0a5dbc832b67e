package router_test

import (
	"strings"
	"testing"

	"wye/router"
)

// choosy is a snapshot with one deployment d of the models a, b, c and far, the
// last of which no backend serves in the zone. b ignores temperature.
func choosy(t *testing.T, edits ...func(*router.Deployment)) *router.Snapshot {
	t.Helper()
	var models []router.Model
	var backends []router.Backend
	for i, m := range []router.Model{
		{Name: "a", ServedAs: "a-2026-01-01", Publisher: "OpenAI"},
		{Name: "b", ServedAs: "b-x", Publisher: "Meta", Parameters: router.Parameters{Drop: []string{"temperature", "stop"}}},
		{Name: "c", ServedAs: "a-2026-01-01", Publisher: ""},
		{Name: "far", ServedAs: "far", Publisher: "OpenAI"},
	} {
		m.Price = router.Price{Input: 1, Output: 1}
		models = append(models, m)
		zone := "eu"
		if m.Name == "far" {
			zone = "us"
		}
		backends = append(backends, router.Backend{Name: m.Name, Model: router.ModelIndex(i), Zone: zone})
	}
	d := router.Deployment{
		Name: "d", Mode: router.ModeQuality, AllowedModes: router.ModeSet(0).With(router.ModeQuality), Zone: "eu",
		Subset: []router.ModelIndex{0, 1, 2, 3}, MaxAttempts: 4, Scorer: evenScorer{},
	}
	for _, edit := range edits {
		edit(&d)
	}
	s, err := router.NewSnapshot(router.Config{Models: models, Backends: backends, Deployments: []router.Deployment{d}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// evenScorer finds every model equal.
type evenScorer struct{}

func (evenScorer) Version() string { return "even" }

func (evenScorer) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i := range models {
		out[i] = router.Estimate{Quality: 0.5, OutputTokens: 1}
	}
	return 0
}

func TestMatch(t *testing.T) {
	t.Parallel()
	s := choosy(t)
	for _, tt := range []struct {
		name, version, format string
		want                  router.Members
	}{
		{"a", "", "", 0b0001},
		{"a-2026-01-01", "", "", 0b0101}, // reported by both
		{"a-2026-01-01", "", "openai", 0b0001},
		{"a", "2026-01-01", "", 0b0001},
		{"a", "a-2026-01-01", "OPENAI", 0b0001},
		{"a", "", "OpenAI-OSS", 0b0001},
		{"a", "", "OpenAIs", 0},
		{"a", "", "Open", 0},
		{"a", "2026", "", 0},
		{"c", "2026-01-01", "", 0}, // the version is not c's name and more
		{"c", "", "OpenAI", 0},
		{"c", "", " ", 0},
		{"far", "", "", 0b1000},
		{"A", "", "", 0},
		{"", "", "", 0},
		{"no-such", "", "", 0},
	} {
		d := s.Deployment([]byte("d"))
		if got := s.Match(d, []byte(tt.name), []byte(tt.version), []byte(tt.format)); got != tt.want {
			t.Errorf("%+v: %b", tt, got)
		}
	}
}

func TestDropping(t *testing.T) {
	t.Parallel()
	s := choosy(t)
	for parameter, want := range map[string]router.Members{"temperature": 0b0010, "stop": 0b0010, "seed": 0} {
		if got := s.Dropping(s.Deployment([]byte("d")), func(p string) bool { return p == parameter }); got != want {
			t.Errorf("%s: %b", parameter, got)
		}
	}
}

// What a request restricts is left out, with the reason, and takes no attempt.
func TestRestrictedRequests(t *testing.T) {
	t.Parallel()
	s := choosy(t)
	for _, tt := range []struct {
		name    string
		req     router.Request
		chain   string
		reasons map[string]router.Reason
	}{
		{"free", router.Request{}, "a b c", map[string]router.Reason{"far": router.ReasonZone}},
		{
			"some",
			router.Request{Only: router.Members(0).With(1).With(2)},
			"b c",
			map[string]router.Reason{"a": router.ReasonUnwanted, "far": router.ReasonUnwanted},
		},
		{"out of the zone all the same", router.Request{Only: router.Members(0).With(2).With(3)}, "c", map[string]router.Reason{"far": router.ReasonZone}},
		{"only out of the zone", router.Request{Only: router.Members(0).With(3)}, "", map[string]router.Reason{"far": router.ReasonZone}},
		{"deaf", router.Request{Deaf: router.Members(0).With(1)}, "a c", map[string]router.Reason{"b": router.ReasonParameter}},
		{"all deaf", router.Request{Deaf: 0b1111}, "", map[string]router.Reason{"a": router.ReasonParameter, "far": router.ReasonZone}},
		{
			"agent tools",
			router.Request{ToolTypes: [][]byte{[]byte("web_search")}},
			"a",
			map[string]router.Reason{"b": router.ReasonAgentTools, "c": router.ReasonAgentTools, "far": router.ReasonZone},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.req.Deployment = []byte("d")
			var d router.Decision
			err := s.Route(&tt.req, &d)
			if (err == nil) != (tt.chain != "") {
				t.Fatalf("error %v", err)
			}
			if err != nil && err.Kind != router.ErrNoCandidate {
				t.Errorf("kind %d: %v", err.Kind, err)
			}
			var chain []string
			for _, step := range d.Chain {
				chain = append(chain, s.Models[step.Model].Name)
			}
			if got := strings.Join(chain, " "); got != tt.chain {
				t.Errorf("chain %q, want %q", got, tt.chain)
			}
			for _, c := range d.Candidates {
				if want, ok := tt.reasons[s.Models[c.Model].Name]; ok && c.Reason != want {
					t.Errorf("%s: %v, want %v", s.Models[c.Model].Name, c.Reason, want)
				}
			}
		})
	}
}

// Which requests have agent tools, and whose models may be given them, is the
// deployment's to say.
func TestAgentTools(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		tools router.AgentTools
		types string
		chain string
	}{
		{"no tools", router.AgentTools{}, "", "a b c"},
		{"any type", router.AgentTools{}, "mcp", "a"},
		{"other types", router.AgentTools{Types: []string{"web_search"}}, "mcp", "a b c"},
		{"one of several", router.AgentTools{Types: []string{"x", "web_search"}}, "mcp web_search", "a"},
		{"another publisher", router.AgentTools{Publishers: []string{"Meta"}}, "mcp", "b"},
		{"every publisher", router.AgentTools{Publishers: []string{router.AnyPublisher}}, "mcp", "a b c"},
		{"no publisher", router.AgentTools{Publishers: []string{"xAI"}}, "mcp", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := choosy(t, func(d *router.Deployment) { d.AgentTools = tt.tools })
			req := router.Request{Deployment: []byte("d")}
			for name := range strings.FieldsSeq(tt.types) {
				req.ToolTypes = append(req.ToolTypes, []byte(name))
			}
			var d router.Decision
			err := s.Route(&req, &d)
			if (err == nil) != (tt.chain != "") || err != nil && !strings.Contains(err.Message, "agent tools") {
				t.Fatalf("error %v", err)
			}
			var chain []string
			for _, step := range d.Chain {
				chain = append(chain, s.Models[step.Model].Name)
			}
			if got := strings.Join(chain, " "); got != tt.chain {
				t.Errorf("chain %q, want %q", got, tt.chain)
			}
		})
	}
}
