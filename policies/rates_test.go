package policies_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"wye/policies"
	"wye/predict"
	"wye/router"
)

// TestContextShare: the part of the bill that a question and its answer make.
func TestContextShare(t *testing.T) {
	t.Parallel()
	prices := []*router.Price{{Input: 1, CachedInput: 1, Output: 4}, {Input: 2, CachedInput: 2, Output: 2}}
	out := []predict.Output{{OutputTokens: 100}, {OutputTokens: 50}}
	// Of 200 tokens a quarter is the turn's: 50+400 and 100+100 of 200+400 and 400+100.
	if got := policies.ContextShare(prices, out, 200, 0.25); math.Abs(got-650.0/1100) > 1e-12 {
		t.Errorf("share %v, want %v", got, 650.0/1100)
	}
	for _, got := range []float64{
		policies.ContextShare(prices, out, 200, 1), policies.ContextShare(prices, out, 0, 0.5),
		policies.ContextShare([]*router.Price{{}, {}}, out, 200, 0.5), policies.ContextShare(nil, nil, 200, 0.5),
	} {
		if got != 1 {
			t.Errorf("share %v without a context or a price, want 1", got)
		}
	}
}

// TestScoreHeedsTheContext: the same question in a context that makes the call
// dearer is decided at a rate that is lower in proportion.
func TestScoreHeedsTheContext(t *testing.T) {
	t.Parallel()
	s := compile(t, parse(t, minimal))
	var models []router.ModelIndex
	for i := range s.Models {
		models = append(models, router.ModelIndex(i))
	}
	out := make([]router.Estimate, len(models))
	rate := func(tokens, turn, all int) float64 {
		req := request()
		req.Text.System, req.Text.History, req.Text.Tools = nil, nil, nil
		req.PromptTokens, req.Text.TurnBytes, req.Text.Bytes = tokens, turn, all
		return s.Deployments[0].Scorer.Score(req, router.ModeBalanced, models, out)
	}
	alone, unknown := rate(100, 400, 400), rate(100, 0, 400)
	inContext, deeper := rate(1000, 400, 4000), rate(10000, 400, 40000)
	if !(alone > inContext && inContext > deeper && deeper > 0) || alone != unknown {
		t.Errorf("rates %v alone, %v where that is unknown, %v and %v in a context", alone, unknown, inContext, deeper)
	}
}

// traffic calibrates a dear and a cheap model of unknown make on prompts that the
// predictor has never seen the like of: they answer that share of them well.
func traffic(t *testing.T, p *predict.Predictor, dear, cheap float64) []predict.Model {
	t.Helper()
	var models []predict.Model
	for k, share := range []float64{dear, cheap} {
		var examples []predict.Example
		for i := range 200 {
			e := predict.Example{Score: 0, OutputTokens: 100}
			if float64(i*37%200) < 200*share {
				e.Score = 1
			}
			e.Input.User = fmt.Appendf(nil, "zzqv %d kwxj plorf %d vrrk mzzt", i%11, i%7)
			e.Input.PromptTokens = 20
			examples = append(examples, e)
		}
		m, _, err := predict.Calibrate(p, examples, predict.Hint{InputPrice: float64(10 - 9*k), OutputPrice: float64(10 - 9*k)})
		if err != nil {
			t.Fatal(err)
		}
		models = append(models, m)
	}
	return models
}

// TestRatesOnOwnTraffic: on prompts far from the training data quality is traded
// only where every model is calibrated, and then as the graded prompts allow.
func TestRatesOnOwnTraffic(t *testing.T) {
	t.Parallel()
	p := predictor(t)
	prices := []*router.Price{{Input: 10, CachedInput: 10, Output: 10}, {Input: 1, CachedInput: 1, Output: 1}}
	strange := predict.Input{User: []byte("zzqv 3 kwxj plorf 2 vrrk mzzt"), PromptTokens: 20}
	choose := func(models []predict.Model) (best int, rate float64) {
		worth := policies.CalibrateRates(p, models, prices, 0.055)
		out := make([]predict.Output, 2)
		e := p.Predict(&strange, models, out)
		rate = policies.Rate(p, &e, worth)
		candidates := make([]router.Candidate, 2)
		for i, o := range out {
			candidates[i].Model, candidates[i].Estimate.Quality = router.ModelIndex(i), o.Quality
			candidates[i].Cost = prices[i].Cost(20, 0, float64(o.OutputTokens))
		}
		router.Rank(candidates, rate)
		return int(candidates[0].Model), rate
	}
	if best, _ := choose(traffic(t, p, 0.9, 0.89)); best != 1 {
		t.Error("a model a tenth the price and a point worse is not chosen in cost mode")
	}
	if best, _ := choose(traffic(t, p, 0.9, 0.5)); best != 0 {
		t.Error("a model forty points worse is chosen in cost mode")
	}
	one := traffic(t, p, 0.9, 0.89)
	_, both := choose(one)
	prior, _ := p.Prior(predict.Hint{InputPrice: 1, OutputPrice: 1})
	if _, rate := choose([]predict.Model{one[0], prior}); rate >= both/2 {
		t.Errorf("rate %v where one model is not calibrated, %v where both are", rate, both)
	}
	for range p.Traffic([]predict.Model{one[0], prior}) {
		t.Fatal("samples of traffic that one model was never graded on")
	}
	if n := len(slices.Collect(p.Traffic(one))); n != 256 {
		t.Errorf("%d samples of two calibrated models, want 128 of each", n)
	}
}
