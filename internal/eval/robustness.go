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
	before := plain.choose(router.ModeBalanced, bands)
	beforeTrace := p.trace(before)
	tie := plain.nearTies(before, bands.Balanced)
	rows := make([]RobustnessRow, len(perturbations))
	for v := range perturbations {
		other := *p
		other.Prompts = make([]*Prompt, len(p.Prompts))
		for i, prompt := range p.Prompts {
			other.Prompts[i] = perturbations[v].perturbed(prompt, seed)
		}
		after := other.estimate(e).choose(router.ModeBalanced, bands)
		afterTrace := p.trace(after)
		row := &rows[v]
		row.Perturbation = perturbations[v].name
		f.add(func(weights, out []float64) {
			var n, changed, ties, clear, clearChanged float64
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
					clear += w
					clearChanged += moved
				}
			}
			was, is := beforeTrace.mean(weights), afterTrace.mean(weights)
			out[0], out[1], out[2] = changed/n, ties/n, ratio(clearChanged, clear)
			out[3], out[4] = is.Quality-was.Quality, ratio(is.Cost-was.Cost, was.Cost)
		}, &row.Changed, &row.NearTies, &row.Clear, &row.Quality, &row.Cost)
	}
	return rows
}

// nearTies marks the prompts whose choice would be another if one estimate
// moved by tieMargin: the chosen model is that close to the band's edge, or a
// cheaper one that close to coming in.
func (es *estimates) nearTies(chosen choices, band float64) []bool {
	n := len(es.candidates) / len(es.guarded)
	out := make([]bool, len(chosen))
	for i, c := range chosen {
		row := es.candidates[i*n:][:n]
		var best float32
		for k := range row {
			best = max(best, row[k].Estimate.Quality)
		}
		floor := float64(best) * (1 - band)
		for k := range row {
			cheaper := row[k].Cost < row[c].Cost
			leaves := k == int(c) && row[k].Estimate.Quality < best // the best model cannot
			if leaves || cheaper {
				distance := math.Abs(float64(row[k].Estimate.Quality) - floor)
				out[i] = out[i] || distance < tieMargin
			}
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
