package eval

import (
	"math"

	"wye/router"
)

// RobustnessRow says what rewriting every prompt of a pool without changing its
// meaning does to the balanced decisions. Shares are of 1.
type RobustnessRow struct {
	Perturbation string   `json:"perturbation"`
	Changed      Interval `json:"changed"`
	// NearTies is the share of prompts whose undisturbed decision hung on less
	// than tieMargin of predicted quality. Clear is Changed among the others.
	NearTies Interval `json:"near_ties"`
	Clear    Interval `json:"changed_clear"`
	// Quality and Cost are the effect on what was reached: difference in mean
	// score, and relative difference in mean cost.
	Quality Interval `json:"quality_difference"`
	Cost    Interval `json:"cost_difference"`
}

// tieMargin is the difference in predicted quality below which a decision
// counts as a near-tie.
const tieMargin = 0.005

// robustness registers one row for every perturbation.
func (p *Pool) robustness(f *figures, e Estimator, plain *estimates, bands router.Bands, seed uint64) []RobustnessRow {
	before := plain.choose(router.ModeBalanced)
	beforeTrace := p.trace(before)
	tie := plain.nearTies(before)
	rows := make([]RobustnessRow, len(perturbations))
	for v := range perturbations {
		other := *p
		other.Prompts = make([]*Prompt, len(p.Prompts))
		for i, prompt := range p.Prompts {
			other.Prompts[i] = perturbations[v].perturbed(prompt, seed)
		}
		es := other.estimate(e, bands)
		if _, ok := e.(rated); !ok {
			es.rates = plain.rates // set for the prompts as they were
		}
		after := es.choose(router.ModeBalanced)
		afterTrace := p.trace(after)
		row := &rows[v]
		row.Perturbation = perturbations[v].name
		f.add(func(weights, out []float64) {
			var n, changed, ties, sure, sureChanged float64
			for i, w := range weights {
				n += w
				moved := w
				if before[i] == after[i] {
					moved = 0
				}
				changed += moved
				if tie[i] {
					ties += w
				} else {
					sure += w
					sureChanged += moved
				}
			}
			was, is := beforeTrace.mean(weights), afterTrace.mean(weights)
			out[0], out[1], out[2] = changed/n, ties/n, ratio(sureChanged, sure)
			out[3], out[4] = is.Quality-was.Quality, ratio(is.Cost-was.Cost, was.Cost)
		}, &row.Changed, &row.NearTies, &row.Clear, &row.Quality, &row.Cost)
	}
	return rows
}

// nearTies marks the prompts whose choice would be another if one estimate
// moved by tieMargin: another model is worth that nearly as much as the chosen.
func (es *estimates) nearTies(chosen choices) []bool {
	n := len(es.candidates) / len(es.guarded)
	out := make([]bool, len(chosen))
	for i, c := range chosen {
		rate := es.rates[router.ModeBalanced][i]
		worth := func(k int) float64 {
			x := &es.candidates[i*n+k]
			return float64(x.Estimate.Quality) - rate*x.Cost
		}
		for k := range n {
			out[i] = out[i] || k != int(c) && worth(int(c))-worth(k) < tieMargin
		}
	}
	return out
}

// ratio is NaN where it is not defined.
func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}
