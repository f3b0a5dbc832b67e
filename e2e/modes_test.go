package e2e_test

import (
	"net/http"
	"slices"
	"testing"

	"wye/e2e/internal/rig"
)

// Prompts of different kinds, so that a router that always answers the same is
// found out.
var prompts = map[string]string{
	"greeting": "Say hello to my colleague Ana.",
	"trivia":   "What is the capital of Mongolia?",
	"proof":    "Prove that for every prime p > 3 the number p^2 - 1 is divisible by 24, and find all n with n^4 + 4^n prime.",
	"code":     "Write a lock-free multi-producer queue in C++20 with hazard pointers and argue its memory ordering step by step.",
	"german":   "Fasse in zwei Sätzen zusammen, warum der Himmel blau ist.",
}

var modes = []string{"quality", "balanced", "cost"}

// The model that serves is the one that wye explain names for the same request
// and policy, in every mode.
func testModes(t *testing.T, s *rig.Stack) {
	for name, prompt := range prompts {
		t.Run(name, func(t *testing.T) {
			costs := map[string]float64{}
			for _, mode := range modes {
				body := rig.Chat("auto", prompt)
				want := s.Explain(t, body, mode)
				id := rig.ID()
				got := s.Post(t, body, "x-wye-mode", mode, rig.IDHeader, id)
				if got.Status != http.StatusOK {
					t.Fatalf("%s: status %d: %s", mode, got.Status, got.Body)
				}
				first := want.Chain[0]
				if served := got.Header.Get("x-wye-model"); served != rig.ServedAs[first.Model] {
					t.Errorf("%s: served by %q, explained was %s", mode, served, first.Model)
				}
				if where := s.Seen(id); !slices.Equal(where, []string{first.Backend}) {
					t.Errorf("%s: backends %q were called, explained was %s", mode, where, first.Backend)
				}
				checkRanking(t, mode, want)
				costs[mode] = want.Candidates[0].CostUSD
			}
			if costs["cost"] > costs["balanced"] || costs["balanced"] > costs["quality"] {
				t.Errorf("expected costs %v do not fall from quality to cost", costs)
			}
		})
	}
}

// checkRanking holds a decision against the words of the modes: quality takes
// the best, the others the model that is worth most once its cost is counted at
// the rate that the mode's band came to.
func checkRanking(t *testing.T, mode string, e rig.Explanation) {
	t.Helper()
	if e.Mode != mode {
		t.Errorf("explained mode %q, want %q", e.Mode, mode)
	}
	if (mode == "quality") != (e.Band == 0) || mode == "quality" && e.Rate != 0 || e.Rate < 0 {
		t.Errorf("%s: band %v, rate %v", mode, e.Band, e.Rate)
	}
	const slack = 1e-6 // figures are float32 inside
	chosen := e.Candidates[0]
	for _, c := range e.Candidates {
		worth := c.Quality - e.Rate*c.CostUSD
		if best := chosen.Quality - e.Rate*chosen.CostUSD; c.Eliminated == "" && worth > best+slack {
			t.Errorf("%s: chose %s, worth %v, but %s is worth %v", mode, chosen.Model, best, c.Model, worth)
		}
	}
	if chosen.Eliminated != "" || e.Chain[0].Model != chosen.Model {
		t.Errorf("%s: the chain %v does not begin with the best candidate %+v", mode, e.Chain, chosen)
	}
}

func testModeOverride(t *testing.T, s *rig.Stack) {
	for _, test := range []struct {
		name, deployment, ask string
		status                int
		applied               string
	}{
		{"none", "auto", "", 200, "balanced"},
		{"allowed", "auto", "cost", 200, "cost"},
		{"its own where none is allowed", "fixed", "quality", 200, "quality"},
		{"not allowed", "fixed", "cost", 400, ""},
		{"unknown", "auto", "fastest", 400, ""},
		{"two", "auto", "cost, quality", 400, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			headers := []string{rig.IDHeader, rig.ID()}
			if test.ask != "" {
				headers = append(headers, "x-wye-mode", test.ask)
			}
			got := s.Post(t, rig.Chat(test.deployment, "Say hello."), headers...)
			if got.Status != test.status {
				t.Fatalf("status %d, want %d: %s", got.Status, test.status, got.Body)
			}
			if test.status == http.StatusOK {
				if mode := got.Header.Get("x-wye-mode"); mode != test.applied {
					t.Errorf("mode %q applied, want %q", mode, test.applied)
				}
				return
			}
			if _, err := got.Error(); err != nil {
				t.Error(err)
			}
			if seen := s.Seen(headers[1]); len(seen) > 0 {
				t.Errorf("a refused request reached %q", seen)
			}
		})
	}
}

func testSameDecision(t *testing.T, s *rig.Stack) {
	for name, prompt := range prompts {
		served := map[string]int{}
		for range 5 {
			got := s.Post(t, rig.Chat("auto", prompt))
			served[got.Header.Get("x-wye-model")]++
		}
		if len(served) != 1 || served[""] > 0 {
			t.Errorf("%s: the same request was served by %v", name, served)
		}
	}
}

// A zone-bound deployment is served in its zone whatever the client says, also
// when every backend there fails.
func testZone(t *testing.T, s *rig.Stack) {
	for _, headers := range [][]string{
		{},
		{"x-wye-mode", "quality"},
		{"x-wye-mode", "cost"},
		{"x-wye-zone", "us"},
		{rig.FailHeader, "large-eu=503"},
		{rig.FailHeader, "large-eu=503,medium-eu=503"},
	} {
		id := rig.ID()
		got := s.Post(t, rig.Chat("eu-only", prompts["proof"]), append(headers, rig.IDHeader, id)...)
		served := "eu"
		if got.Status == http.StatusServiceUnavailable {
			served = "" // by nobody: every attempt failed
		}
		if zone := got.Header.Get("x-wye-zone"); zone != served {
			t.Errorf("%q: status %d from zone %q", headers, got.Status, zone)
		}
		seen := s.Seen(id)
		if len(seen) == 0 {
			t.Errorf("%q: no backend was called", headers)
		}
		for _, backend := range seen {
			if s.Zone(backend) != "eu" {
				t.Errorf("%q: backend %s outside the zone was called", headers, backend)
			}
		}
	}
}
