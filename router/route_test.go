package router_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/router"
)

// table scores models by index from a fixed list, at a rate by mode.
type table struct {
	estimates []router.Estimate
	rates     map[router.Mode]float64
}

func (t *table) Score(_ *router.Request, mode router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i, m := range models {
		out[i] = t.estimates[m]
	}
	return t.rates[mode]
}

func (*table) Version() string { return "test" }

// scores is a table of qualities for answers of 100 tokens each, at which the
// models of newSnapshot cost $0.00004, $0.0004 and $0.004.
func scores(quality ...float32) *table {
	t := &table{rates: map[router.Mode]float64{router.ModeBalanced: 5, router.ModeCost: 100}}
	for _, q := range quality {
		t.estimates = append(t.estimates, router.Estimate{Quality: q, OutputTokens: 100})
	}
	return t
}

var allModes = router.ModeSet(0).With(router.ModeQuality).With(router.ModeBalanced).With(router.ModeCost)

// newSnapshot is a policy of three models, small to large, with prices to
// match. The middle one lacks vision; the large one has a small window.
func newSnapshot(t testing.TB, edit func(*router.Config)) *router.Snapshot {
	t.Helper()
	c := router.Config{
		Hash: "abc",
		Models: []router.Model{
			{
				Name: "small", Price: router.Price{Input: 0.1, CachedInput: 0.01, Output: 0.4},
				ContextWindow: 100_000, MaxOutput: 8_000, Capabilities: router.CapTools | router.CapVision,
			},
			{
				Name: "medium", Price: router.Price{Input: 1, CachedInput: 0.1, Output: 4},
				ContextWindow: 100_000, MaxOutput: 16_000, Capabilities: router.CapTools,
			},
			{
				Name: "large", Price: router.Price{Input: 10, CachedInput: 1, Output: 40},
				ContextWindow: 20_000, MaxOutput: 16_000, Capabilities: router.CapTools | router.CapVision,
			},
		},
		Backends: []router.Backend{
			{Name: "small-us", Model: 0, Zone: "us", Weight: 1},
			{Name: "small-eu", Model: 0, Zone: "eu", Weight: 3},
			{Name: "medium-eu", Model: 1, Zone: "eu", Weight: 1},
			{Name: "large-us", Model: 2, Zone: "us", Weight: 1},
		},
		Deployments: []router.Deployment{
			{
				Name: "auto", Aliases: []string{"model-router"}, Mode: router.ModeBalanced, AllowedModes: allModes,
				Subset: []router.ModelIndex{0, 1, 2}, MaxAttempts: 4, Scorer: scores(0.70, 0.89, 0.90),
			},
			{
				Name: "eu", Zone: "eu", Mode: router.ModeQuality, AllowedModes: router.ModeSet(0).With(router.ModeQuality),
				Subset: []router.ModelIndex{0, 1, 2}, MaxAttempts: 4, Scorer: scores(0.70, 0.89, 0.90),
			},
		},
	}
	if edit != nil {
		edit(&c)
	}
	s, err := router.NewSnapshot(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chainOf names the chain as model@backend.
func chainOf(d *router.Decision) []string {
	var out []string
	for _, step := range d.Chain {
		out = append(out, d.Snapshot.Models[step.Model].Name+"@"+d.Snapshot.Backends[step.Backend].Name)
	}
	return out
}

func reasonsOf(d *router.Decision) map[string]router.Reason {
	out := map[string]router.Reason{}
	for _, c := range d.Candidates {
		if c.Reason != router.ReasonNone {
			out[d.Snapshot.Models[c.Model].Name] = c.Reason
		}
	}
	return out
}

func TestRoute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		edit    func(*router.Config)
		req     router.Request
		want    []string
		reasons map[string]router.Reason
	}{
		{
			// 0.01 better for $0.0036 more: worth it only below 2.8 a dollar.
			name: "balanced gives up a little quality for a lot of money",
			req:  router.Request{Deployment: []byte("auto")},
			want: []string{"medium@medium-eu", "large@large-us", "small@small-us", "small@small-eu"},
		},
		{
			name: "an alias names the same deployment",
			req:  router.Request{Deployment: []byte("model-router")},
			want: []string{"medium@medium-eu", "large@large-us", "small@small-us", "small@small-eu"},
		},
		{
			name: "quality takes the best whatever the price",
			req:  router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality},
			want: []string{"large@large-us", "medium@medium-eu", "small@small-us", "small@small-eu"},
		},
		{
			// At 1000 a dollar the medium one loses 0.36 for its 0.19.
			name: "cost gives up more, and orders the rest by the same worth",
			edit: func(c *router.Config) { c.Deployments[0].Scorer.(*table).rates[router.ModeCost] = 1000 },
			req:  router.Request{Deployment: []byte("auto"), Mode: router.ModeCost},
			want: []string{"small@small-us", "medium@medium-eu", "large@large-us", "small@small-eu"},
		},
		{
			name: "equal worth falls to the cheaper",
			edit: func(c *router.Config) { c.Deployments[0].Scorer = scores(0.5, 0.5, 0.5) },
			req:  router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality},
			want: []string{"small@small-us", "medium@medium-eu", "large@large-us", "small@small-eu"},
		},
		{
			name: "equal cost falls to the better",
			edit: func(c *router.Config) { c.Models[1].Price = c.Models[0].Price },
			req:  router.Request{Deployment: []byte("auto"), Mode: router.ModeCost},
			want: []string{"medium@medium-eu", "small@small-us", "large@large-us", "small@small-eu"},
		},
		{
			name: "equal quality and cost keep the policy's order",
			edit: func(c *router.Config) {
				c.Models[1].Price = c.Models[0].Price
				c.Deployments[0].Scorer = scores(0.9, 0.9, 0.1)
			},
			req:  router.Request{Deployment: []byte("auto")},
			want: []string{"small@small-us", "medium@medium-eu", "large@large-us", "small@small-eu"},
		},
		{
			name:    "a zone leaves only its own backends",
			req:     router.Request{Deployment: []byte("eu")},
			want:    []string{"medium@medium-eu", "small@small-eu"},
			reasons: map[string]router.Reason{"large": router.ReasonZone},
		},
		{
			name:    "a missing capability removes a model",
			req:     router.Request{Deployment: []byte("auto"), Needs: router.CapVision},
			want:    []string{"large@large-us", "small@small-us", "small@small-eu"},
			reasons: map[string]router.Reason{"medium": router.ReasonCapability},
		},
		{
			name:    "the prompt must fit beside the output cap",
			req:     router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality, PromptTokens: 12_001, PromptTokensMax: 15_001, OutputCap: 5_000},
			want:    []string{"medium@medium-eu", "small@small-us", "small@small-eu"},
			reasons: map[string]router.Reason{"large": router.ReasonContext},
		},
		{
			name: "a prompt that just fits does",
			req:  router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality, PromptTokens: 15_000, PromptTokensMax: 15_000, OutputCap: 5_000},
			want: []string{"large@large-us", "medium@medium-eu", "small@small-us", "small@small-eu"},
		},
		{
			name: "a prompt that should fit does, after models that surely take it",
			req:  router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality, PromptTokens: 12_000, PromptTokensMax: 60_000, OutputCap: 5_000},
			want: []string{"medium@medium-eu", "small@small-us", "large@large-us", "small@small-eu"},
		},
		{
			name:    "a model's input bound counts besides its window",
			edit:    func(c *router.Config) { c.Models[2].MaxInput = 1_000 },
			req:     router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality, PromptTokens: 1_001, PromptTokensMax: 1_001},
			want:    []string{"medium@medium-eu", "small@small-us", "small@small-eu"},
			reasons: map[string]router.Reason{"large": router.ReasonContext},
		},
		{
			name:    "an output cap above the model's removes it",
			req:     router.Request{Deployment: []byte("auto"), OutputCap: 8_001},
			want:    []string{"medium@medium-eu", "large@large-us"},
			reasons: map[string]router.Reason{"small": router.ReasonOutputCap},
		},
		{
			name:    "the cost ceiling removes what is expected to exceed it",
			edit:    func(c *router.Config) { c.Deployments[0].MaxCost = 0.001 },
			req:     router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality},
			want:    []string{"medium@medium-eu", "small@small-us", "small@small-eu"},
			reasons: map[string]router.Reason{"large": router.ReasonCost},
		},
		{
			name: "an output cap bounds the expected cost",
			edit: func(c *router.Config) { c.Deployments[0].MaxCost = 0.001 },
			req:  router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality, OutputCap: 10},
			want: []string{"large@large-us", "medium@medium-eu", "small@small-us", "small@small-eu"},
		},
		{
			name:    "every answer is paid for",
			edit:    func(c *router.Config) { c.Deployments[0].MaxCost = 0.001 },
			req:     router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality, OutputCap: 10, Choices: 20},
			want:    []string{"medium@medium-eu", "small@small-us", "small@small-eu"},
			reasons: map[string]router.Reason{"large": router.ReasonCost},
		},
		{
			name: "the chain is bounded",
			edit: func(c *router.Config) { c.Deployments[0].MaxAttempts = 2 },
			req:  router.Request{Deployment: []byte("auto")},
			want: []string{"medium@medium-eu", "large@large-us"},
		},
		{
			name: "the hash spreads a model over its backends by weight",
			req:  router.Request{Deployment: []byte("auto"), Hash: 4*1000 + 1},
			want: []string{"medium@medium-eu", "large@large-us", "small@small-eu", "small@small-us"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSnapshot(t, tt.edit)
			var d router.Decision
			if err := s.Route(&tt.req, &d); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, chainOf(&d)); diff != "" {
				t.Errorf("chain (-want +got):\n%s", diff)
			}
			if tt.reasons == nil {
				tt.reasons = map[string]router.Reason{}
			}
			if diff := cmp.Diff(tt.reasons, reasonsOf(&d)); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if want := len(d.Candidates) - len(tt.reasons); d.Ranked != want {
				t.Errorf("ranked %d, want %d", d.Ranked, want)
			}
		})
	}
}

func TestRouteErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		req     router.Request
		kind    router.ErrorKind
		message string
	}{
		{
			name: "unknown deployment", req: router.Request{Deployment: []byte("nope")},
			kind: router.ErrUnknownDeployment, message: `the deployment "nope" does not exist`,
		},
		{
			name: "a long name is cut in the message", req: router.Request{Deployment: []byte(strings.Repeat("x", 1000))},
			kind: router.ErrUnknownDeployment, message: `the deployment "` + strings.Repeat("x", 128) + `" does not exist`,
		},
		{
			name: "mode not allowed", req: router.Request{Deployment: []byte("eu"), Mode: router.ModeCost},
			kind: router.ErrModeNotAllowed, message: `deployment "eu" does not allow mode cost`,
		},
		{
			name: "too long for every model", req: router.Request{Deployment: []byte("auto"), PromptTokens: 150_000, PromptTokensMax: 200_000},
			kind:    router.ErrContextLength,
			message: `the prompt has about 150000 tokens, at most 200000, and an output cap of 0; the largest model of deployment "auto" takes 100000 prompt tokens with it`,
		},
		{
			name: "too long for every model that could serve", req: router.Request{Deployment: []byte("auto"), Needs: router.CapVision, PromptTokens: 150_000, PromptTokensMax: 200_000},
			kind:    router.ErrContextLength,
			message: `the prompt has about 150000 tokens, at most 200000, and an output cap of 0; the largest model of deployment "auto" takes 100000 prompt tokens with it`,
		},
		{
			name: "capability nobody has", req: router.Request{Deployment: []byte("eu"), Needs: router.CapAudio | router.CapTools},
			kind:    router.ErrNoCandidate,
			message: `no model of deployment "eu" can serve this request: small: lacks a capability (audio); medium: lacks a capability (audio); large: no backend in the zone`,
		},
		{
			name: "output cap above every model's", req: router.Request{Deployment: []byte("auto"), OutputCap: 50_000},
			kind:    router.ErrNoCandidate,
			message: `no model of deployment "auto" can serve this request: small: output cap above the model's; medium: output cap above the model's; large: output cap above the model's`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d router.Decision
			err := newSnapshot(t, nil).Route(&tt.req, &d)
			if err == nil {
				t.Fatalf("no error, chain %v", chainOf(&d))
			}
			if err.Kind != tt.kind || err.Error() != tt.message {
				t.Errorf("kind %d %q\nwant %d %q", err.Kind, err, tt.kind, tt.message)
			}
		})
	}
}

// A zone-bound deployment must never reach another zone, however the rest of
// the policy and the request look.
func FuzzZone(f *testing.F) {
	f.Add(uint64(1), uint8(0), uint8(0), uint16(3))
	f.Fuzz(func(t *testing.T, hash uint64, mode, attempts uint8, seed uint16) {
		zones := []string{"eu", "us", "global", ""}
		s := newSnapshot(t, func(c *router.Config) {
			c.Backends = nil
			for i := range 12 {
				c.Backends = append(c.Backends, router.Backend{
					Name: string(rune('a' + i)), Model: router.ModelIndex(i % 3),
					Zone: zones[(int(seed)>>(i%8)+i)%len(zones)], Weight: uint32(i % 4),
				})
			}
			c.Deployments[1].AllowedModes = allModes
			c.Deployments[1].MaxAttempts = 1 + int(attempts)%router.MaxChain
		})
		var d router.Decision
		req := router.Request{Deployment: []byte("eu"), Hash: hash, Mode: router.Mode(mode % 4)}
		if err := s.Route(&req, &d); err != nil {
			return
		}
		seen := map[router.BackendIndex]bool{}
		for _, step := range d.Chain {
			if z := s.Backends[step.Backend].Zone; z != "eu" {
				t.Errorf("chain crosses into zone %q", z)
			}
			if s.Backends[step.Backend].Model != step.Model {
				t.Errorf("backend %d does not serve model %d", step.Backend, step.Model)
			}
			if seen[step.Backend] {
				t.Errorf("backend %d is tried twice", step.Backend)
			}
			seen[step.Backend] = true
		}
	})
}

func TestRouteIsDeterministic(t *testing.T) {
	t.Parallel()
	s := newSnapshot(t, nil)
	var first, again router.Decision
	for hash := range uint64(64) {
		req := router.Request{Deployment: []byte("auto"), Hash: hash * 0x9e3779b97f4a7c15}
		if err := s.Route(&req, &first); err != nil {
			t.Fatal(err)
		}
		// A used Decision must not leak into the next.
		if err := s.Route(&router.Request{Deployment: []byte("eu")}, &again); err != nil {
			t.Fatal(err)
		}
		if err := s.Route(&req, &again); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first.Chain, again.Chain) {
			t.Fatalf("hash %d: %v then %v", hash, chainOf(&first), chainOf(&again))
		}
	}
}

func TestPriceCost(t *testing.T) {
	t.Parallel()
	p := router.Price{Input: 2, CachedInput: 0.5, Output: 8, LongContextTokens: 1000, LongContextInput: 4, LongContextOutput: 12}
	for _, tt := range []struct {
		name            string
		in, cached, out float64
		want            float64
	}{
		{"plain", 1000, 0, 100, (1000*2 + 100*8) / 1e6},
		{"cached prefix", 1000, 400, 100, (600*2 + 400*0.5 + 100*8) / 1e6},
		{"long context", 1001, 0, 100, (1001*4 + 100*12) / 1e6},
		{"long context scales the cache price", 2000, 1000, 0, (1000*4 + 1000*1) / 1e6},
	} {
		if got := p.Cost(tt.in, tt.cached, tt.out); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%s: %g, want %g", tt.name, got, tt.want)
		}
	}
	free := router.Price{LongContextTokens: 10}
	if got := free.Cost(100, 50, 10); got != 0 {
		t.Errorf("free model costs %g", got)
	}
}

func TestRouteAllocatesNothing(t *testing.T) {
	s := newSnapshot(t, nil)
	var d router.Decision
	req := router.Request{Deployment: []byte("auto"), Needs: router.CapTools, PromptTokens: 500, PromptTokensMax: 600}
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Route(&req, &d); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// go test ./router -bench Route -benchmem
func BenchmarkRoute(b *testing.B) {
	for _, models := range []int{3, 12, 40} {
		b.Run(string(rune('0'+models/10))+string(rune('0'+models%10)), func(b *testing.B) {
			s := newSnapshot(b, func(c *router.Config) {
				scorer := scores()
				c.Models, c.Backends, c.Deployments = nil, nil, c.Deployments[:1]
				c.Deployments[0].Subset = nil
				for i := range models {
					c.Models = append(c.Models, router.Model{Name: "m", Price: router.Price{Input: float64(i), Output: float64(i)}})
					c.Backends = append(c.Backends, router.Backend{Model: router.ModelIndex(i), Weight: 1})
					c.Deployments[0].Subset = append(c.Deployments[0].Subset, router.ModelIndex(i))
					scorer.estimates = append(scorer.estimates, router.Estimate{Quality: float32((i*7)%models) / float32(models), OutputTokens: 100})
				}
				c.Deployments[0].Scorer = scorer
			})
			var d router.Decision
			req := router.Request{Deployment: []byte("auto"), PromptTokens: 500}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Route(&req, &d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
