package eval

import (
	"math"

	"wye/router"
)

// RuleReport is one way of turning estimates into choices, by its whole curve.
// The first is the rule that serves; the others show what it costs or gains.
type RuleReport struct {
	Rule string   `json:"rule"`
	Area Interval `json:"area"`
	// SavedBest and SavedHull are the savings where the curve just reaches
	// targetQuality, found in hindsight: what a perfectly set band would give.
	SavedBest Interval `json:"saved_vs_best_at_target"`
	SavedHull Interval `json:"saved_vs_hull_at_target"`
}

// targetQuality is the share of the best single model's quality at which rules
// are compared.
const targetQuality = 0.985

// rules are the selection rules that are compared.
var rules = []struct {
	name  string
	sweep func(es *estimates) []choices
}{
	{"quality − rate · cost (serves)", (*estimates).sweep},
	{"band relative to the prompt's best", (*estimates).sweepRelative},
	{"band below the prompt's best", (*estimates).sweepAbsolute},
	{"quality − rate · cost ÷ best model's cost", (*estimates).sweepShare},
}

// rules registers the figures of every selection rule on es.
func (m *measure) rules(es *estimates) []RuleReport {
	out := make([]RuleReport, len(rules))
	for i, r := range rules {
		row := &out[i]
		row.Rule = r.name
		ts := m.pool.traces(r.sweep(es))
		m.figures.add(func(weights, values []float64) {
			c := curve(ts, weights)
			values[0] = ratio(area(c, m.hull), m.oracleArea)
			best := m.points[m.best]
			quality := targetQuality * best.Quality
			cost := cheapestAt(c, quality)
			values[1], values[2] = 1-ratio(cost, best.Cost), 1-ratio(cost, costAt(m.hull, quality))
		}, &row.Area, &row.SavedBest, &row.SavedHull)
	}
	return out
}

// bestQuality returns the candidate of the best estimate, the first of equals.
func bestQuality(row []router.Candidate) *router.Candidate {
	best := &row[0]
	for k := range row {
		if row[k].Estimate.Quality > best.Estimate.Quality {
			best = &row[k]
		}
	}
	return best
}

// pick returns the best of row by better, the first of equals.
func (es *estimates) pick(value func(row, k int) float64) choices {
	n := len(es.candidates) / len(es.guarded)
	out := make(choices, len(es.guarded))
	for i := range out {
		best := math.Inf(-1)
		for k := range n {
			if v := value(i, k); v > best {
				best, out[i] = v, uint16(k)
			}
		}
	}
	return out
}

// sweepBands are the bands of a sweep, from none to all.
var sweepBands = func() []float64 {
	bands := []float64{0}
	for b := 0.001; b < 1; b *= 1.25 {
		bands = append(bands, b)
	}
	return append(bands, 1)
}()

// sweepFloors sweeps the rule "the cheapest that is not below a floor".
func (es *estimates) sweepFloors(floor func(best, band float64) float64) []choices {
	n := len(es.candidates) / len(es.guarded)
	var out []choices
	for _, band := range sweepBands {
		out = append(out, es.pick(func(i, k int) float64 {
			row := es.candidates[i*n:][:n]
			if float64(row[k].Estimate.Quality) < floor(float64(bestQuality(row).Estimate.Quality), band) {
				return math.Inf(-1)
			}
			return -row[k].Cost
		}))
	}
	return out
}

// sweepRelative sweeps a band as a share of the prompt's best quality.
func (es *estimates) sweepRelative() []choices {
	return es.sweepFloors(func(best, band float64) float64 { return best * (1 - band) })
}

// sweepAbsolute sweeps a band in absolute quality.
func (es *estimates) sweepAbsolute() []choices {
	return es.sweepFloors(func(best, band float64) float64 { return best - band })
}

// sweep sweeps the rate of the rule that serves, the same on every prompt.
func (es *estimates) sweep() []choices {
	n := len(es.candidates) / len(es.guarded)
	top := 0.0
	for _, c := range es.candidates {
		top = max(top, c.Cost)
	}
	if top == 0 {
		top = 1
	}
	var out []choices
	for _, weight := range costWeights {
		out = append(out, es.pick(func(i, k int) float64 {
			c := &es.candidates[i*n+k]
			return float64(c.Estimate.Quality) - weight*c.Cost/top
		}))
	}
	return out
}

// sweepShare does so with costs relative to the prompt's best model, which makes
// one price mean the same in every deployment.
func (es *estimates) sweepShare() []choices {
	n := len(es.candidates) / len(es.guarded)
	reference := make([]float64, len(es.guarded))
	for i := range reference {
		reference[i] = max(bestQuality(es.candidates[i*n:][:n]).Cost, math.SmallestNonzeroFloat32)
	}
	var out []choices
	for _, weight := range costWeights {
		out = append(out, es.pick(func(i, k int) float64 {
			c := &es.candidates[i*n+k]
			return float64(c.Estimate.Quality) - weight*c.Cost/reference[i]
		}))
	}
	return out
}
