package router_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/router"
)

func TestNewSnapshotFaults(t *testing.T) {
	t.Parallel()
	scorer := scores(1)
	ok := router.Deployment{
		Name: "d", Mode: router.ModeCost, AllowedModes: allModes, Subset: []router.ModelIndex{0}, MaxAttempts: 1, Scorer: scorer,
	}
	with := func(edit func(*router.Deployment)) []router.Deployment {
		d := ok
		edit(&d)
		return []router.Deployment{d}
	}
	models := []router.Model{{Name: "m"}}
	for _, tt := range []struct {
		name string
		c    router.Config
		want string
	}{
		{"backend of no model", router.Config{Models: models, Backends: []router.Backend{{Name: "b", Model: 1}}}, `backend "b": model index 1 out of range`},
		{"no mode", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.Mode = 0 })}, "mode default"},
		{"own mode not allowed", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.AllowedModes = 0 })}, "its own mode is not allowed"},
		{"no scorer", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.Scorer = nil })}, "no scorer"},
		{"no models", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.Subset = nil })}, "0 models in the subset"},
		{"too many models", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.Subset = make([]router.ModelIndex, 65) })}, "65 models in the subset"},
		{"unknown model", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.Subset = []router.ModelIndex{1} })}, "model index 1 out of range"},
		{"no attempts", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.MaxAttempts = 0 })}, "0 attempts"},
		{"too many attempts", router.Config{Models: models, Deployments: with(func(d *router.Deployment) { d.MaxAttempts = 9 })}, "9 attempts"},
		{"two of a name", router.Config{Models: models, Deployments: []router.Deployment{ok, ok}}, `name "d" is taken by deployment "d"`},
		{"alias of another's name", router.Config{Models: models, Deployments: []router.Deployment{ok, with(func(d *router.Deployment) { d.Name, d.Aliases = "e", []string{"d"} })[0]}}, `name "d" is taken by deployment "d"`},
		{"no default deployment", router.Config{Models: models, Deployments: []router.Deployment{ok}, Default: "e"}, `no default deployment "e"`},
		{
			"auto is another", router.Config{Models: models, Default: "d", Deployments: []router.Deployment{
				ok, with(func(d *router.Deployment) { d.Name = "auto" })[0],
			}}, `name "auto" is taken by deployment "auto"`,
		},
		{
			"a deployment named like a model", router.Config{Models: models, Deployments: []router.Deployment{
				with(func(d *router.Deployment) { d.NamedModels = true })[0], with(func(d *router.Deployment) { d.Name = "m" })[0],
			}}, `name "m" is taken by deployment "m"`,
		},
		{"too large a catalog", router.Config{Models: make([]router.Model, 1025)}, "1025 models"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := router.NewSnapshot(tt.c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
	if _, err := router.NewSnapshot(router.Config{Models: models, Deployments: []router.Deployment{ok}}); err != nil {
		t.Errorf("the unfaulty config: %v", err)
	}
}

func TestSnapshotNames(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"auto", "eu", "model-router"}, newSnapshot(t, nil).Names()); diff != "" {
		t.Error(diff)
	}
}

// The hash names a cluster: it must move with everything a request relies on
// and with nothing else.
func TestBackendHash(t *testing.T) {
	t.Parallel()
	hash := func(edit func(*router.Config)) string { return newSnapshot(t, edit).Backends[0].Hash }
	base := hash(nil)
	if len(base) != 8 || base != hash(nil) {
		t.Fatalf("hash %q is not stable", base)
	}
	seen := map[string]string{base: "nothing"}
	for name, edit := range map[string]func(*router.Config){
		"name":        func(c *router.Config) { c.Backends[0].Name = "x" },
		"address":     func(c *router.Config) { c.Backends[0].Address = "127.0.0.1:1" },
		"zone":        func(c *router.Config) { c.Backends[0].Zone = "x" },
		"send as":     func(c *router.Config) { c.Backends[0].SendAs = "x" },
		"path prefix": func(c *router.Config) { c.Backends[0].PathPrefix = "/x" },
		"tls":         func(c *router.Config) { c.Backends[0].TLS = &router.TLS{} },
		"server name": func(c *router.Config) { c.Backends[0].TLS = &router.TLS{ServerName: "x"} },
		"effort":      func(c *router.Config) { c.Models[0].Parameters.ReasoningEffort = [][2]string{{"a", "b"}} },
		"ca":          func(c *router.Config) { c.Backends[0].TLS = &router.TLS{CAFile: "x"} },
		"credential":  func(c *router.Config) { c.Backends[0].Credential = &router.Credential{Env: "X"} },
		"key file":    func(c *router.Config) { c.Backends[0].Credential = &router.Credential{File: "X"} },
		"model":       func(c *router.Config) { c.Models[0].Name = "x" },
		"served as":   func(c *router.Config) { c.Models[0].ServedAs = "x" },
		"drop":        func(c *router.Config) { c.Models[0].Parameters.Drop = []string{"x"} },
		"drop joined": func(c *router.Config) { c.Models[0].Parameters.Drop = []string{"x,y"} },
		"drop two":    func(c *router.Config) { c.Models[0].Parameters.Drop = []string{"x", "y"} },
		"max tokens":  func(c *router.Config) { c.Models[0].Parameters.MaxTokensField = "max_completion_tokens" },
	} {
		h := hash(edit)
		if other, dup := seen[h]; dup {
			t.Errorf("%s: same hash as %s", name, other)
		}
		seen[h] = name
	}
	for name, edit := range map[string]func(*router.Config){
		"weight": func(c *router.Config) { c.Backends[0].Weight = 7 },
		"price":  func(c *router.Config) { c.Models[0].Price.Input = 7 },
	} {
		if hash(edit) != base {
			t.Errorf("%s must not make a new cluster", name)
		}
	}
}

func TestRouterSwap(t *testing.T) {
	t.Parallel()
	var r router.Router
	if r.Snapshot() != nil {
		t.Error("the zero Router has a snapshot")
	}
	a, b := newSnapshot(t, nil), newSnapshot(t, nil)
	if r.Swap(a) != nil || r.Swap(b) != a || r.Snapshot() != b {
		t.Error("Swap does not return what it replaces")
	}
}

func TestNamesRoundTrip(t *testing.T) {
	t.Parallel()
	for _, m := range router.Modes {
		if got, ok := router.ParseMode(m.String()); !ok || got != m {
			t.Errorf("ParseMode(%q) = %v, %v", m, got, ok)
		}
	}
	for _, s := range []string{"", "default", "Quality", "fast"} {
		if m, ok := router.ParseMode(s); ok {
			t.Errorf("ParseMode(%q) = %v", s, m)
		}
	}
	all := router.CapTools | router.CapParallelTools | router.CapVision | router.CapJSONSchema | router.CapPDF | router.CapAudio
	var back router.Capability
	for name := range strings.SplitSeq(all.String(), ",") {
		c, ok := router.ParseCapability(name)
		if !ok {
			t.Errorf("ParseCapability(%q) fails", name)
		}
		back |= c
	}
	if back != all {
		t.Errorf("capabilities come back as %v", back)
	}
	if _, ok := router.ParseCapability("telepathy"); ok {
		t.Error("an unknown capability parses")
	}
}

func TestZoneAllows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		deployment, backend string
		want                bool
	}{
		{"", "us", true},
		{"global", "us", true},
		{"eu", "eu", true},
		{"eu", "us", false},
		{"eu", "global", false},
		{"eu", "", false},
	} {
		if got := router.ZoneAllows(tt.deployment, tt.backend); got != tt.want {
			t.Errorf("ZoneAllows(%q, %q) = %v", tt.deployment, tt.backend, got)
		}
	}
}
