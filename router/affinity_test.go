package router_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/router"
)

func with(model, backend string, cached int) router.Session {
	return router.Session{Model: router.Key(model), Backend: router.Key(backend), CachedTokens: cached}
}

// Medium is worth 0.89 and costs $0.0004 for its 100 tokens, and small 0.70 and
// $0.00004; a prompt of 10,000 tokens adds $0.01 and $0.001, or a tenth of that
// from the cache.
func TestAffinity(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		edit  func(*router.Config)
		req   router.Request
		first string // model@backend
		want  router.Continuity
	}{
		{
			name:  "without a memory the small model's price decides",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000},
			first: "small@small-us", want: router.ContinuityInitialize,
		},
		{
			// 0.89 − 100·0.0014 against 0.70 − 100·0.00104.
			name:  "a cached prefix keeps the dearer model",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000, Session: with("medium", "medium-eu", 10_000)},
			first: "medium@medium-eu", want: router.ContinuityRetain,
		},
		{
			name:  "a small part of it does not",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000, Session: with("medium", "medium-eu", 1_000)},
			first: "small@small-us", want: router.ContinuitySwitch,
		},
		{
			name:  "no more is cached than the prompt is long",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 100_000, PromptTokensMax: 100_000, Session: with("medium", "medium-eu", 1<<40)},
			first: "medium@medium-eu", want: router.ContinuityRetain,
		},
		{
			name:  "a negative figure counts for nothing",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000, Session: with("medium", "medium-eu", -1<<40)},
			first: "small@small-us", want: router.ContinuitySwitch,
		},
		{
			name:  "quality mode moves to a model that is a point better",
			req:   router.Request{Mode: router.ModeQuality, Session: with("medium", "medium-eu", 10_000)},
			first: "large@large-us", want: router.ContinuitySwitch,
		},
		{
			name: "and does not for less than half a point",
			edit: func(c *router.Config) { c.Deployments[0].Scorer = scores(0.70, 0.896, 0.90) },
			req:  router.Request{Mode: router.ModeQuality, Session: with("medium", "medium-eu", 10_000)},
			// Without the memory it is large: see TestRoute.
			first: "medium@medium-eu", want: router.ContinuityRetain,
		},
		{
			name:  "sticky stays whatever it costs",
			edit:  func(c *router.Config) { c.Deployments[0].Affinity.Strategy = router.AffinitySticky },
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000, Session: with("large", "large-us", 0)},
			first: "large@large-us", want: router.ContinuityRetain,
		},
		{
			name:  "sticky leaves a model that lacks a capability",
			edit:  func(c *router.Config) { c.Deployments[0].Affinity.Strategy = router.AffinitySticky },
			req:   router.Request{Needs: router.CapVision, Session: with("medium", "medium-eu", 0)},
			first: "large@large-us", want: router.ContinuitySwitch,
		},
		{
			name:  "sticky leaves a model whose window may be too small",
			edit:  func(c *router.Config) { c.Deployments[0].Affinity.Strategy = router.AffinitySticky },
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 18_000, PromptTokensMax: 30_000, Session: with("large", "large-us", 0)},
			first: "small@small-us", want: router.ContinuitySwitch,
		},
		{
			name:  "the client may ask for sticky",
			req:   router.Request{Mode: router.ModeCost, Affinity: router.AffinitySticky, Session: with("large", "large-us", 0)},
			first: "large@large-us", want: router.ContinuityRetain,
		},
		{
			name:  "none forgets",
			req:   router.Request{Mode: router.ModeCost, Affinity: router.AffinityNone, PromptTokens: 10_000, Session: with("medium", "medium-eu", 10_000)},
			first: "small@small-us", want: router.ContinuityNone,
		},
		{
			name:  "the backend stays too, against the hash",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000, Hash: 0, Session: with("small", "small-eu", 0)},
			first: "small@small-eu", want: router.ContinuityRetain,
		},
		{
			name:  "a backend that is gone gives way to the hash",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000, Hash: 0, Session: with("small", "small-moon", 0)},
			first: "small@small-us", want: router.ContinuityRetain,
		},
		{
			name:  "a model that is gone is left",
			req:   router.Request{Mode: router.ModeCost, PromptTokens: 10_000, Session: with("old", "old-us", 10_000)},
			first: "small@small-us", want: router.ContinuitySwitch,
		},
		{
			name:  "a zone is not crossed for a memory",
			req:   router.Request{Deployment: []byte("eu"), Affinity: router.AffinitySticky, Session: with("small", "small-us", 10_000)},
			first: "small@small-eu", want: router.ContinuityRetain,
		},
		{
			name:  "nor for a model that is not in it",
			req:   router.Request{Deployment: []byte("eu"), Affinity: router.AffinitySticky, Session: with("large", "large-us", 10_000)},
			first: "medium@medium-eu", want: router.ContinuitySwitch,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.req.Deployment == nil {
				tt.req.Deployment = []byte("auto")
			}
			tt.req.PromptTokensMax = max(tt.req.PromptTokensMax, tt.req.PromptTokens)
			var d router.Decision
			if err := newSnapshot(t, tt.edit).Route(&tt.req, &d); err != nil {
				t.Fatal(err)
			}
			if got := chainOf(&d)[0]; got != tt.first || d.Continuity() != tt.want {
				t.Errorf("%s, %v; want %s, %v", got, d.Continuity(), tt.first, tt.want)
			}
			for _, c := range d.Candidates {
				if c.Cost < 0 || c.CachedTokens < 0 || c.CachedTokens > tt.req.PromptTokens {
					t.Errorf("candidate %+v", c)
				}
			}
		})
	}
}

// A conversation moves exactly when another model is worth more than its own,
// counted with the cache, and a Hysteresis. Routing again under what was decided
// changes nothing more.
func TestAdaptiveIsArithmetic(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	moved, stayed := 0, 0
	for range 20_000 {
		quality := [3]float32{rnd.Float32(), rnd.Float32(), rnd.Float32()}
		s := newSnapshot(t, func(c *router.Config) { c.Deployments[0].Scorer = scores(quality[:]...) })
		at := rnd.IntN(3)
		tokens := rnd.IntN(15_000)
		req := router.Request{
			Deployment: []byte("auto"), Mode: router.Modes[rnd.IntN(3)], PromptTokens: tokens, PromptTokensMax: tokens,
			Session: router.Session{Model: router.Key(s.Models[at].Name), CachedTokens: rnd.IntN(20_000)},
		}
		rate := map[router.Mode]float64{router.ModeBalanced: 5, router.ModeCost: 100}[req.Mode]
		best, bestNet := 0, -1e9
		for i := range s.Models {
			cached, bonus := 0, 0.0
			if i == at {
				cached, bonus = min(req.Session.CachedTokens, tokens), router.Hysteresis
			}
			net := float64(quality[i]) - rate*s.Models[i].Price.Cost(float64(tokens), float64(cached), 100) + bonus
			if net > bestNet {
				best, bestNet = i, net
			}
		}
		var d router.Decision
		if err := s.Route(&req, &d); err != nil {
			t.Fatal(err)
		}
		if got := int(d.Chain[0].Model); got != best {
			t.Fatalf("qualities %v, mode %v, %d tokens, session %+v: model %d, want %d", quality, req.Mode, tokens, req.Session, got, best)
		}
		if best == at {
			stayed++
		} else {
			moved++
		}
		var again router.Decision
		req.Session.Model = router.Key(s.Models[best].Name)
		if err := s.Route(&req, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d.Chain[0], again.Chain[0]); diff != "" {
			t.Fatalf("the conversation would move again:\n%s", diff)
		}
	}
	if moved < 1000 || stayed < 1000 {
		t.Errorf("moved %d times and stayed %d times: the test proves little", moved, stayed)
	}
}

// A part of a snapshot knows its own backends by their keys.
func TestAffinityInAZone(t *testing.T) {
	t.Parallel()
	s := newSnapshot(t, func(c *router.Config) {
		c.Backends = append(c.Backends, router.Backend{Name: "small-eu-2", Model: 0, Zone: "eu", Weight: 0})
	}).InZone("eu")
	for _, name := range []string{"small-eu", "small-eu-2"} {
		req := router.Request{Deployment: []byte("auto"), Affinity: router.AffinitySticky, Session: with("small", name, 0)}
		var d router.Decision
		if err := s.Route(&req, &d); err != nil {
			t.Fatal(err)
		}
		if got := chainOf(&d)[0]; got != "small@"+name {
			t.Errorf("%s, want %s", got, name)
		}
		if model, backend := s.Keys(d.Chain[0]); model != router.Key("small") || backend != router.Key(name) {
			t.Errorf("keys %x, %x", model, backend)
		}
	}
}

func TestParseStrategy(t *testing.T) {
	t.Parallel()
	for _, s := range []router.Strategy{router.AffinityAdaptive, router.AffinitySticky, router.AffinityNone} {
		if got, ok := router.ParseStrategy(s.String()); !ok || got != s {
			t.Errorf("%v comes back as %v, %v", s, got, ok)
		}
	}
	for _, bad := range []string{"", "default", "Sticky", "sticky "} {
		if s, ok := router.ParseStrategy(bad); ok {
			t.Errorf("%q is %v", bad, s)
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	// FNV-1a's published value, so that keys stay what they are across versions.
	if got := router.Key("a"); got != 0xaf63dc4c8601ec8c {
		t.Errorf("%x", got)
	}
}
