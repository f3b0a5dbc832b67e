package policies_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/policies"
	"wye/router"
)

// summary is a snapshot as text, everything in it that the policy decides.
func summary(s *router.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy %s\nusage %+v\n", s.Hash, s.Usage)
	for i := range s.Models {
		m := &s.Models[i]
		fmt.Fprintf(&b, "\nmodel %s\n  served as %s by %s\n", m.Name, m.ServedAs, m.Publisher)
		fmt.Fprintf(&b, "  price %+v\n", m.Price)
		fmt.Fprintf(&b, "  window %d, input %d, output %d\n", m.ContextWindow, m.MaxInput, m.MaxOutput)
		fmt.Fprintf(&b, "  capabilities %v\n", m.Capabilities)
		fmt.Fprintf(&b, "  parameters %+v\n", m.Parameters)
		fmt.Fprintf(&b, "  trained %v\n", m.Prior == "")
	}
	for i := range s.Backends {
		backend := &s.Backends[i]
		fmt.Fprintf(&b, "\nbackend %s\n", backend.Name)
		fmt.Fprintf(&b, "  %s of %s in %s, weight %d\n", s.Models[backend.Model].Name, backend.SendAs, backend.Zone, backend.Weight)
		fmt.Fprintf(&b, "  %v://%s%s\n", backend.Protocol, backend.Address, backend.PathPrefix)
		for _, a := range router.AllAPIs {
			if backend.Serves(a) {
				fmt.Fprintf(&b, "  serves %v", a)
				if to, ok := backend.Translates(a); ok {
					fmt.Fprintf(&b, " by %v, thinking %v, effort %v", to, backend.Thinking, backend.Effort)
				}
				b.WriteByte('\n')
			}
		}
		if backend.TLS != nil {
			fmt.Fprintf(&b, "  tls %+v\n", *backend.TLS)
		}
		if backend.Credential != nil {
			fmt.Fprintf(&b, "  credential %+q\n", *backend.Credential)
		}
	}
	for i := range s.Deployments {
		d := &s.Deployments[i]
		fmt.Fprintf(&b, "\ndeployment %s, also %v\n", d.Name, d.Aliases)
		fmt.Fprintf(&b, "  mode %v, allowed %v, zone %s, bands %+v\n", d.Mode, allowed(d), d.Zone, d.Bands)
		fmt.Fprintf(&b, "  at most $%v, %d attempts, %d bytes, %v, %v a try\n", d.MaxCost, d.MaxAttempts, d.MaxBodyBytes, d.Timeout, d.PerTryTimeout)
		fmt.Fprintf(&b, "  best single model %s\n", s.Models[d.Single].Name)
		fmt.Fprintf(&b, "  a minute %+v, callers %+v, budget %+v\n", d.PerMinute, d.Callers, d.Budget)
		fmt.Fprintf(&b, "  affinity %v for %v\n", d.Affinity.Strategy, d.Affinity.Idle)
		for j, m := range d.Subset {
			fmt.Fprintf(&b, "  %s at", s.Models[m].Name)
			for _, k := range d.Backends(j) {
				fmt.Fprintf(&b, " %s", s.Backends[k].Name)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func allowed(d *router.Deployment) []router.Mode {
	var modes []router.Mode
	for _, m := range router.Modes {
		if d.AllowedModes.Has(m) {
			modes = append(modes, m)
		}
	}
	return modes
}

func compile(t testing.TB, p *policies.Policy, opts ...policies.CompileOption) *router.Snapshot {
	t.Helper()
	s, err := p.Compile(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withoutHash drops the first line, for the hash of a policy that pins no
// predictor changes with every new one.
func withoutHash(s string) string {
	_, rest, _ := strings.Cut(s, "\n")
	return rest
}

func TestCompile(t *testing.T) {
	t.Parallel()
	p := parse(t, read(t, "full.yaml"))
	if w := p.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
	s := compile(t, p)
	golden(t, "full.golden", withoutHash(summary(s)))
	if s.Hash != p.Hash() {
		t.Errorf("snapshot %s of policy %s", s.Hash, p.Hash())
	}
	for i := range s.Deployments {
		if got, want := s.Deployments[i].Scorer.Version(), predictor(t).Version(); got != want {
			t.Errorf("%s is scored by %s, want %s", s.Deployments[i].Name, got, want)
		}
	}
}

// TestOverride lays a policy's catalog over the embedded one.
func TestOverride(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, entry string
		want        func(*router.Model)
	}{
		{"nothing", "", func(*router.Model) {}},
		{"one price", "price: {output: 99}", func(m *router.Model) { m.Price.Output = 99 }},
		{
			"price of a long context", "price: {long_context: {above_tokens: 5}}",
			func(m *router.Model) {
				m.Price.LongContextTokens, m.Price.LongContextInput, m.Price.LongContextOutput = 5, m.Price.Input, m.Price.Output
			},
		},
		{"limits", "context_window: 9, max_input_tokens: 8, max_output_tokens: 7", func(m *router.Model) { m.ContextWindow, m.MaxInput, m.MaxOutput = 9, 8, 7 }},
		{"capabilities", "capabilities: [vision]", func(m *router.Model) { m.Capabilities = router.CapVision }},
		{"no capability", "capabilities: [none]", func(m *router.Model) { m.Capabilities = 0 }},
		{"parameters", "parameters: {drop: [stop]}", func(m *router.Model) { m.Parameters = router.Parameters{Drop: []string{"stop"}} }},
		{"no parameter", "parameters: {}", func(m *router.Model) { m.Parameters = router.Parameters{} }},
		{"ability", "ability: {trained_as: gpt-4.1}", func(m *router.Model) { m.Prior = "" }},
		{"names", "served_as: x, publisher: y", func(m *router.Model) { m.ServedAs, m.Publisher = "x", "y" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			model := func(entry string) router.Model {
				text := strings.ReplaceAll(minimal, "gpt-4.1-mini", "gpt-5.4") + "catalog:\n  - {name: gpt-5.4, " + entry + "}\n"
				s := compile(t, parse(t, text))
				for i := range s.Models {
					if s.Models[i].Name == "gpt-5.4" {
						return s.Models[i]
					}
				}
				t.Error("the snapshot lacks the model")
				return router.Model{}
			}
			want := model("")
			tt.want(&want)
			if diff := cmp.Diff(want, model(tt.entry)); diff != "" {
				t.Errorf("model (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultPolicy(t *testing.T) {
	t.Parallel()
	p, err := policies.Default(policies.WithToday(today))
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Warnings(); len(w) > 0 {
		t.Errorf("warnings: %v", w)
	}
	s := compile(t, p)
	golden(t, "default.golden", withoutHash(summary(s)))
	same, err := policies.Parse("copy", policies.DefaultYAML(), policies.WithToday(today))
	if err != nil {
		t.Fatal(err)
	}
	if same.Hash() != p.Hash() {
		t.Error("DefaultYAML is not the text of Default")
	}
	zones := make(map[string]bool)
	for i := range s.Backends {
		zones[s.Backends[i].Zone] = true
		if s.Backends[i].TLS == nil || s.Backends[i].Credential == nil {
			t.Errorf("%s has no TLS or no credential", s.Backends[i].Name)
		}
	}
	if diff := cmp.Diff(map[string]bool{"eu": true, "us": true, "global": true}, zones); diff != "" {
		t.Errorf("zones (-want +got):\n%s", diff)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	want := []policies.Credential{
		{File: "/run/secrets/house", Backends: []string{"house-local"}},
		{Env: "HOUSE_KEY", Backends: []string{"house-claude", "house-azure", "house-gemini"}},
		{Env: "OPENAI_API_KEY", Backends: []string{"openai"}},
		{File: "/run/secrets/other", Backends: []string{"openai"}},
		{Env: "TEAM_KEY", Backends: []string{"openai"}},
		{Env: "BARE_KEY", Backends: []string{"bare", "bare-too"}},
	}
	got := parse(t, read(t, "full.yaml")).Credentials()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
	if got := parse(t, minimal).Credentials(); len(got) > 0 {
		t.Errorf("credentials of a policy without any: %v", got)
	}
}

func TestWithBackendAddress(t *testing.T) {
	t.Parallel()
	p := parse(t, read(t, "full.yaml"))
	before := compile(t, p)
	s := compile(t, p, policies.WithBackendAddress(func(backend string) (string, bool) {
		switch backend {
		case "openai":
			return "127.0.0.1:1", true
		case "bare":
			return "127.0.0.1:2", false
		}
		return "", true
	}))
	for i := range s.Backends {
		got, want := s.Backends[i], before.Backends[i]
		switch got.Name {
		case "openai":
			want.Address, want.TLS, want.Credential, want.Proxy = "127.0.0.1:1", nil, nil, ""
			want.Headers = []router.Header{{Name: "openai-organization", Value: "org-1"}}
		case "bare":
			want.Address = "127.0.0.1:2"
		}
		moved := want.Address != before.Backends[i].Address
		if (got.Hash != before.Backends[i].Hash) != moved {
			t.Errorf("%s: hash changed: %v, want %v", got.Name, !moved, moved)
		}
		want.Hash = got.Hash
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", got.Name, diff)
		}
	}
	if s.Hash != before.Hash {
		t.Error("the policy's hash changed")
	}
}
