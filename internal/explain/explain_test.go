package explain_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/internal/explain"
	"wye/router"
)

var update = flag.Bool("update", false, "rewrite golden files")

type table []router.Estimate

func (t table) Score(_ *router.Request, mode router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i, m := range models {
		out[i] = t[m]
	}
	return map[router.Mode]float64{router.ModeBalanced: 5, router.ModeCost: 1000}[mode]
}

func (table) Version() string { return "test.1" }

func snapshot(t *testing.T) *router.Snapshot {
	t.Helper()
	s, err := router.NewSnapshot(router.Config{
		Hash: "0123456789ab",
		Models: []router.Model{
			{Name: "small", Price: router.Price{Input: 0.1, Output: 0.4}, ContextWindow: 200_000, Capabilities: router.CapTools},
			{Name: "large", Price: router.Price{Input: 10, CachedInput: 1, Output: 40}, ContextWindow: 200_000, Capabilities: router.CapTools, Prior: "from its price alone"},
			{Name: "blind", Price: router.Price{Input: 1, Output: 4}, ContextWindow: 100_000},
		},
		Backends: []router.Backend{
			{Name: "small-us", Model: 0, Zone: "us", Weight: 1},
			{Name: "large-eu", Model: 1, Zone: "eu", Weight: 1},
			{Name: "blind-us", Model: 2, Zone: "us", Weight: 1},
		},
		Deployments: []router.Deployment{{
			Name: "auto", Aliases: []string{"alias"}, Mode: router.ModeBalanced,
			AllowedModes: router.ModeSet(0).With(router.ModeBalanced).With(router.ModeQuality).With(router.ModeCost),
			Subset:       []router.ModelIndex{0, 1, 2}, Bands: router.Bands{Balanced: 0.02, Cost: 0.5}, MaxAttempts: 2,
			Scorer: table{
				{Quality: 0.6, Uncertainty: 0.05, OutputTokens: 200},
				{Quality: 0.9, Uncertainty: 0.1, OutputTokens: 400},
				{Quality: 0.896, Uncertainty: 0.02, OutputTokens: 100},
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestReport(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]router.Request{
		"balanced":       {Deployment: []byte("alias"), PromptTokens: 120, OutputCap: 500},
		"quality":        {Deployment: []byte("auto"), Mode: router.ModeQuality, PromptTokens: 120},
		"cost":           {Deployment: []byte("auto"), Mode: router.ModeCost, PromptTokens: 120},
		"tools":          {Deployment: []byte("auto"), Needs: router.CapTools, PromptTokens: 120},
		"impossible":     {Deployment: []byte("auto"), Needs: router.CapTools | router.CapAudio, PromptTokens: 120},
		"doubtful":       {Deployment: []byte("auto"), PromptTokens: 75_000, PromptTokensMax: 150_000},
		"doubtful_alike": {Deployment: []byte("auto"), PromptTokens: 75_000, PromptTokensMax: 250_000},
		"retained": {
			Deployment: []byte("auto"), Mode: router.ModeCost, PromptTokens: 2_100,
			Session: router.Session{Model: router.Key("blind"), Backend: router.Key("blind-us"), CachedTokens: 2_048},
		},
		"switched": {
			Deployment: []byte("auto"), Mode: router.ModeQuality, PromptTokens: 20_000,
			Session: router.Session{Model: router.Key("small"), CachedTokens: 19_968},
		},
		"stuck": {
			Deployment: []byte("auto"), Mode: router.ModeQuality, Affinity: router.AffinitySticky, PromptTokens: 120,
			Session: router.Session{Model: router.Key("small")},
		},
		"hardly": {
			Deployment: []byte("auto"), Mode: router.ModeQuality, PromptTokens: 120,
			Session: router.Session{Model: router.Key("blind"), CachedTokens: 0},
		},
		"unknown": {Deployment: []byte("nope"), PromptTokens: 120},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d router.Decision
			r := explain.New(&d, &req, snapshot(t).Route(&req, &d))
			if name == "balanced" {
				r.Demand = []explain.Demand{{Skill: "math", Share: 0.7}, {Skill: "code", Share: 0.3}}
			}
			var table, js bytes.Buffer
			if err := r.WriteTable(&table); err != nil {
				t.Fatal(err)
			}
			if err := r.WriteJSON(&js); err != nil {
				t.Fatal(err)
			}
			var back explain.Report
			if err := json.Unmarshal(js.Bytes(), &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r, back); diff != "" {
				t.Errorf("JSON does not round-trip:\n%s", diff)
			}
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, table.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), table.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
