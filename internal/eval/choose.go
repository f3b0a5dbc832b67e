package eval

import (
	"math"

	"wye/router"
)

// Estimator predicts how the models of one pool do on a prompt. Estimate fills
// out[i] for the pool's i-th model and reports whether the estimates rest on
// averages because the prompt is too unlike what the estimator knows.
type Estimator interface {
	Estimate(p *Prompt, out []router.Estimate) (guarded bool)
}

// rated is an Estimator that says what quality is worth on the prompt it was
// asked about last, as a deployment's scorer does.
type rated interface {
	Rate(mode router.Mode) float64
}

// estimates are an Estimator's answers for a whole pool, as router.Rank takes
// them: prompts × models.
type estimates struct {
	candidates []router.Candidate
	guarded    []bool // of each prompt
	rates      map[router.Mode][]float64
}

// estimate asks e about every prompt of p. An estimator that knows no rates gets
// the one that its own estimates of these very prompts ask for.
func (p *Pool) estimate(e Estimator, bands router.Bands) *estimates {
	n := len(p.Models)
	es := &estimates{
		candidates: make([]router.Candidate, 0, len(p.Score)), guarded: make([]bool, len(p.Prompts)),
		rates: make(map[router.Mode][]float64),
	}
	for _, mode := range router.Modes {
		es.rates[mode] = make([]float64, len(p.Prompts))
	}
	known, ok := e.(rated)
	out := make([]router.Estimate, n)
	for i, prompt := range p.Prompts {
		es.guarded[i] = e.Estimate(prompt, out)
		es.candidates = appendCandidates(es.candidates, p.Models, prompt.InputTokens, out)
		for mode, rates := range es.rates {
			if ok {
				rates[i] = known.Rate(mode)
			}
		}
	}
	if !ok {
		es.calibrate(bands)
	}
	return es
}

// calibrate sets one rate for all prompts from the estimates alone.
func (es *estimates) calibrate(bands router.Bands) {
	n := len(es.candidates) / len(es.guarded)
	samples := make([]router.Sample, len(es.guarded))
	for i := range samples {
		for _, c := range es.candidates[i*n:][:n] {
			samples[i].Quality = append(samples[i].Quality, float64(c.Estimate.Quality))
			samples[i].Cost = append(samples[i].Cost, c.Cost)
		}
	}
	for _, mode := range []router.Mode{router.ModeBalanced, router.ModeCost} {
		rate := router.CalibrateRate(samples, bands.Of(mode))
		for i := range es.rates[mode] {
			es.rates[mode][i] = rate
		}
	}
}

// price is the model's as the router takes it.
func (m *Model) price() *router.Price {
	return &router.Price{Input: m.Price.Input, CachedInput: m.Price.Input, Output: m.Price.Output}
}

// appendCandidates appends one prompt's candidates, priced as Route does it.
func appendCandidates(to []router.Candidate, models []Model, inputTokens int, out []router.Estimate) []router.Candidate {
	for k := range models {
		to = append(to, router.Candidate{
			Model: router.ModelIndex(k), Estimate: out[k],
			Cost: models[k].price().Cost(float64(inputTokens), 0, float64(out[k].OutputTokens)),
		})
	}
	return to
}

// choices is the column of the chosen model for each prompt.
type choices []uint16

// choose runs the selection rule that serves over every prompt.
func (es *estimates) choose(mode router.Mode) choices {
	n := len(es.candidates) / len(es.guarded)
	out := make(choices, len(es.guarded))
	scratch := make([]router.Candidate, n)
	for i := range out {
		copy(scratch, es.candidates[i*n:])
		router.Rank(scratch, es.rates[mode][i])
		out[i] = uint16(scratch[0].Model)
	}
	return out
}

// costWeights are what a sweep from quality alone to nearly cost alone makes of
// the highest cost of a pool, in units of quality.
var costWeights = func() []float64 {
	var weights []float64
	for w := 1e-6; w < 1e7; w *= 1.6 {
		weights = append(weights, w)
	}
	return weights
}()

// oracle returns the choices of someone who knows every score and cost, from
// quality alone to nearly cost alone. Lucky guesses inflate it.
func (p *Pool) oracle() []choices {
	n := len(p.Models)
	top := 0.0
	for _, c := range p.Cost {
		top = max(top, c)
	}
	if top == 0 {
		top = 1
	}
	var out []choices
	for _, weight := range costWeights {
		c := make(choices, len(p.Prompts))
		for i := range c {
			best := math.Inf(-1)
			for k := range n {
				if v := p.Score[i*n+k] - weight*p.Cost[i*n+k]/top; v > best {
					best, c[i] = v, uint16(k)
				}
			}
		}
		out = append(out, c)
	}
	return out
}

// trace is the score and cost of a choice for each prompt, laid out for fast
// weighted means.
type trace struct{ score, cost []float64 }

func (p *Pool) trace(c choices) trace {
	t := trace{make([]float64, len(c)), make([]float64, len(c))}
	for i, k := range c {
		at := i*len(p.Models) + int(k)
		t.score[i], t.cost[i] = p.Score[at], p.Cost[at]
	}
	return t
}

func (p *Pool) traces(cs []choices) []trace {
	out := make([]trace, len(cs))
	for i, c := range cs {
		out[i] = p.trace(c)
	}
	return out
}

// single traces sending every prompt to model k.
func (p *Pool) single(k int) trace {
	c := make(choices, len(p.Prompts))
	for i := range c {
		c[i] = uint16(k)
	}
	return p.trace(c)
}

// mean returns the weighted means over the prompts.
func (t trace) mean(weights []float64) Point {
	var s, c, n float64
	for i, w := range weights {
		n += w
		s += w * t.score[i]
		c += w * t.cost[i]
	}
	return Point{Cost: c / n, Quality: s / n}
}

// curve returns the points of ts as a curve.
func curve(ts []trace, weights []float64) []Point {
	points := make([]Point, len(ts))
	for i, t := range ts {
		points[i] = t.mean(weights)
	}
	return byCost(points)
}
