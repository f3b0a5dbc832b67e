package policies_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/policies"
	"wye/predict"
	"wye/router"
)

// request has every fact that a predictor reads.
func request() *router.Request {
	return &router.Request{
		Deployment:   []byte("auto"),
		PromptTokens: 61,
		Text: router.Text{
			System:  []byte("You answer in one sentence."),
			User:    []byte("Why is the sum of two odd numbers even? Prove it, then write a Go test."),
			History: []byte("What is an odd number? One that two does not divide."),
			Bytes:   150,
			Turns:   4,
		},
	}
}

func TestScoreIsThePredictors(t *testing.T) {
	t.Parallel()
	p := predictor(t)
	s := compile(t, parse(t, strings.Replace(minimal, "deployments:", `  - {name: liked, model: liked, address: "a:1", tls: {}}
  - {name: skilled, model: skilled, address: "a:1", tls: {}}
  - {name: unknown, model: unknown, address: "a:1", tls: {}}
  - {name: both, model: both, address: "a:1", tls: {}}
catalog:
  - {name: gpt-4.1-mini, ability: {trained_as: gpt-4.1-mini}}
  - {name: gpt-4.1-nano, ability: {trained_as: gpt-4.1-nano}}
  - {name: liked, price: {input: 1, output: 2}, context_window: 8192, ability: {like: gpt-4.1, reasoning: true, skills: {math: 0.1}, source: a guess}}
  - {name: skilled, price: {input: 1, output: 2}, context_window: 8192, ability: {skills: {math: 0.9}, source: a leaderboard}}
  - {name: unknown, price: {input: 1, output: 2}, context_window: 8192}
  - {name: both, price: {input: 1, output: 2}, context_window: 8192, ability: {like: gpt-4o-2024-11-20, trained_as: gpt-4.1}}
deployments:`, 1)))
	trained := func(name string) predict.Model {
		m, ok := p.Model(name)
		if !ok {
			t.Fatalf("the predictor was not trained on %s", name)
		}
		return m
	}
	prior := func(h predict.Hint) (predict.Model, string) {
		h.InputPrice, h.OutputPrice = 1, 2
		return p.Prior(h)
	}
	models := make(map[string]predict.Model)
	priors := map[string]string{"gpt-4.1-mini": "", "gpt-4.1-nano": "", "both": ""}
	models["gpt-4.1-mini"], models["gpt-4.1-nano"], models["both"] = trained("gpt-4.1-mini"), trained("gpt-4.1-nano"), trained("gpt-4.1")
	models["liked"], priors["liked"] = prior(predict.Hint{Like: "gpt-4.1", Reasoning: true})
	priors["liked"] += " (a guess)"
	models["skilled"], priors["skilled"] = prior(predict.Hint{Skills: map[string]float64{"math": 0.9}})
	priors["skilled"] += " (a leaderboard)"
	models["unknown"], priors["unknown"] = prior(predict.Hint{})

	req := request()
	input := predict.Input{
		System: req.Text.System, User: req.Text.User, History: req.Text.History,
		Bytes: req.Text.Bytes, Turns: req.Text.Turns, PromptTokens: req.PromptTokens,
	}
	var asked []router.ModelIndex
	var want []router.Estimate
	for i := range slices.Backward(s.Models) { // not in the snapshot's order
		name := s.Models[i].Name
		if s.Models[i].Prior != priors[name] {
			t.Errorf("%s: prior %q, want %q", name, s.Models[i].Prior, priors[name])
		}
		var out [1]predict.Output
		p.Predict(&input, []predict.Model{models[name]}, out[:])
		asked = append(asked, router.ModelIndex(i))
		want = append(want, router.Estimate{
			Quality: out[0].Quality, Uncertainty: out[0].Uncertainty, OutputTokens: out[0].OutputTokens,
		})
	}
	got := make([]router.Estimate, len(asked))
	s.Deployments[0].Scorer.Score(req, router.ModeBalanced, asked, got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("estimates (-want +got):\n%s", diff)
	}
}

func TestDemand(t *testing.T) {
	t.Parallel()
	s := compile(t, parse(t, minimal))
	req := request()
	in := predict.Input{
		System: req.Text.System, User: req.Text.User, History: req.Text.History,
		Bytes: req.Text.Bytes, Turns: req.Text.Turns, PromptTokens: req.PromptTokens,
	}
	if diff := cmp.Diff(predictor(t).Demand(&in), policies.Demand(s.Deployments[0].Scorer, req)); diff != "" {
		t.Errorf("demand (-want +got):\n%s", diff)
	}
	if got := policies.Demand(otherScorer{}, req); got != nil {
		t.Errorf("demand %v of a scorer that is not a policy's", got)
	}
}

type otherScorer struct{ router.Scorer }

// TestScoreReadsEveryFact changes one fact at a time that the predictor heeds.
func TestScoreReadsEveryFact(t *testing.T) {
	t.Parallel()
	s := compile(t, parse(t, minimal))
	score := func(change func(*router.Request)) router.Estimate {
		req := request()
		change(req)
		out := make([]router.Estimate, 1)
		s.Deployments[0].Scorer.Score(req, router.ModeBalanced, []router.ModelIndex{0}, out)
		return out[0]
	}
	base := score(func(*router.Request) {})
	for name, change := range map[string]func(*router.Request){
		"system":  func(r *router.Request) { r.Text.System = []byte("Translate everything into Latin verse.") },
		"user":    func(r *router.Request) { r.Text.User = []byte("hello") },
		"history": func(r *router.Request) { r.Text.History = []byte("Refactor this class into modules.") },
		"tools":   func(r *router.Request) { r.Text.Tool = 3; r.Text.Tools = []byte("get_weather") },
		"images":  func(r *router.Request) { r.Text.Images = 1 },
	} {
		if score(change) == base {
			t.Errorf("the estimate does not depend on %s", name)
		}
	}
}

// TestScoreKeepsNothing reuses a request's memory after the call.
func TestScoreKeepsNothing(t *testing.T) {
	t.Parallel()
	s := compile(t, parse(t, minimal))
	models := []router.ModelIndex{0, 1}
	score := func(req *router.Request) [2]router.Estimate {
		var out [2]router.Estimate
		s.Deployments[0].Scorer.Score(req, router.ModeBalanced, models, out[:])
		return out
	}
	want := score(request())
	req := request()
	score(req)
	for i := range req.Text.User {
		req.Text.User[i] = 'x'
	}
	if got := score(request()); got != want {
		t.Errorf("estimates %v after the memory of another request changed, want %v", got, want)
	}
}

func TestScoreConcurrently(t *testing.T) {
	t.Parallel()
	s := compile(t, parse(t, minimal))
	scorer := s.Deployments[0].Scorer
	var want [2]router.Estimate
	scorer.Score(request(), router.ModeBalanced, []router.ModelIndex{0, 1}, want[:])
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				var got [2]router.Estimate
				scorer.Score(request(), router.ModeBalanced, []router.ModelIndex{0, 1}, got[:])
				if got != want {
					t.Errorf("estimates %v, want %v", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// largest returns a snapshot with a subset of router.MaxSubset models.
func largest(t testing.TB) *router.Snapshot {
	t.Helper()
	n := router.MaxSubset
	text := "catalog:\n" + repeat(n, "  - {name: m%d, price: {input: 1, output: 2}, context_window: 8192}\n") +
		"backends:\n" + repeat(n, "  - {name: b%d, model: m%[1]d, address: \"a:1\", tls: {}}\n") +
		"deployments:\n  - name: auto\n    subset:\n" + repeat(n, "      - m%d\n")
	return compile(t, parse(t, text))
}

func TestScoreDoesNotAllocate(t *testing.T) {
	s := largest(t)
	req := request()
	d := &s.Deployments[0]
	out := make([]router.Estimate, len(d.Subset))
	if n := testing.AllocsPerRun(200, func() { d.Scorer.Score(req, router.ModeBalanced, d.Subset, out) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

func TestPredictors(t *testing.T) {
	t.Parallel()
	newest, old := relabelled(t, "2026-12-01.1"), relabelled(t, "2026-01-01.1")
	both := policies.WithPredictors(newest, old)
	s := compile(t, parse(t, minimal+"  - {name: pinned, subset: [gpt-4.1-mini, gpt-4.1-nano], predictor: 2026-01-01.1}\n", both))
	for i, want := range []string{"2026-12-01.1", "2026-01-01.1"} {
		if got := s.Deployments[i].Scorer.Version(); got != want {
			t.Errorf("%s is scored by %s, want %s", s.Deployments[i].Name, got, want)
		}
	}
	const want = `policy.yaml:7:16: deployments[0].predictor: unknown predictor version "2026-01-01.2", did you mean "2026-01-01.1"?; this binary has 2026-12-01.1, 2026-01-01.1`
	if got := refuse(t, minimal+"    predictor: 2026-01-01.2\n", both).Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if pinned, moved := parse(t, minimal, policies.WithPredictors(old)), parse(t, minimal, both); pinned.Hash() == moved.Hash() {
		t.Error("another newest predictor, the same hash")
	}
}

// go test -run '^$' -bench Score -benchmem ./policies
func BenchmarkScore(b *testing.B) {
	s := largest(b)
	req := request()
	d := &s.Deployments[0]
	out := make([]router.Estimate, len(d.Subset))
	b.ReportAllocs()
	for b.Loop() {
		d.Scorer.Score(req, router.ModeBalanced, d.Subset[:12], out[:12])
	}
}

// go test -run '^$' -bench Parse -benchmem ./policies
func BenchmarkParse(b *testing.B) {
	text := policies.DefaultYAML()
	for b.Loop() {
		if _, err := policies.Parse("p", text); err != nil {
			b.Fatal(err)
		}
	}
}
