package eval

import (
	"cmp"
	"math"
	"slices"

	"wye/router"
)

// PairReport is how RouteLLM reports a router between a weak and a strong
// model: how many calls the strong one gets for a share of its quality gain.
type PairReport struct {
	Strong string      `json:"strong"`
	Weak   string      `json:"weak"`
	Rows   []PairCurve `json:"routers"`
}

// PairCurve are one router's figures; shares are of 1.
type PairCurve struct {
	Router string `json:"router"`
	// APGR is the recovered share of the quality gain, averaged over all shares
	// of strong calls; a coin flip has 0.5.
	APGR Interval `json:"apgr"`
	// CPT50 and CPT80 are the least shares of strong calls that recover 50% and
	// 80% of the gain; a coin flip needs those same shares.
	CPT50 Interval `json:"cpt50"`
	CPT80 Interval `json:"cpt80"`
}

// pair lays out a pool of two models for sweeping the share of strong calls.
type pair struct {
	pool         *Pool
	strong, weak int
}

// newPair reports false unless the pool has two models of different quality.
func newPair(p *Pool) (pair, bool) {
	if len(p.Models) != 2 {
		return pair{}, false
	}
	var sum [2]float64
	for i, s := range p.Score {
		sum[i%2] += s
	}
	if sum[0] == sum[1] {
		return pair{}, false
	}
	if sum[0] > sum[1] {
		return pair{p, 0, 1}, true
	}
	return pair{p, 1, 0}, true
}

// order returns the prompts in the order in which a widening band takes them
// from the strong model: those that it keeps longest come first.
func (r pair) order(es *estimates) []int {
	need := make([]float64, len(r.pool.Prompts))
	for i := range need {
		at := es.candidates[2*i:]
		need[i] = strongNeed(at[r.strong].Estimate, at[r.weak].Estimate)
	}
	return byNeed(need)
}

// strongNeed is the narrowest band that would take the prompt from the strong
// model: the weak one's shortfall as a share of the strong one's quality.
func strongNeed(strong, weak router.Estimate) float64 {
	if strong.Quality <= 0 {
		return math.Inf(-1)
	}
	return 1 - float64(weak.Quality)/float64(strong.Quality)
}

// oracleOrder knows the scores.
func (r pair) oracleOrder() []int {
	need := make([]float64, len(r.pool.Prompts))
	for i := range need {
		need[i] = r.pool.Score[2*i+r.strong] - r.pool.Score[2*i+r.weak]
	}
	return byNeed(need)
}

func byNeed(need []float64) []int {
	order := make([]int, len(need))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(need[b], need[a]) })
	return order
}

// curve walks order, giving the strong model one prompt more each time, and
// returns APGR and the least shares of strong calls that recover each target.
// All are NaN where the strong model is no better.
func (r pair) curve(order []int, weights []float64, targets ...float64) (apgr float64, least []float64) {
	least = make([]float64, len(targets))
	for i := range least {
		least[i] = math.NaN()
	}
	var total, gain float64
	for i, w := range weights {
		total += w
		gain += w * (r.pool.Score[2*i+r.strong] - r.pool.Score[2*i+r.weak])
	}
	if gain <= 0 {
		return math.NaN(), least
	}
	var calls, got float64
	for _, i := range order {
		w := weights[i]
		if w == 0 {
			continue
		}
		delta := w * (r.pool.Score[2*i+r.strong] - r.pool.Score[2*i+r.weak])
		apgr += w / total * (got + delta/2) / gain
		for t, target := range targets {
			if want := target * gain; math.IsNaN(least[t]) && got+delta >= want {
				least[t] = (calls + w*(want-got)/delta) / total
			}
		}
		calls += w
		got += delta
	}
	return apgr, least
}

// report registers the figures of one router.
func (r pair) report(f *figures, order []int, row *PairCurve) {
	f.add(func(weights, out []float64) {
		apgr, least := r.curve(order, weights, 0.5, 0.8)
		out[0], out[1], out[2] = apgr, least[0], least[1]
	}, &row.APGR, &row.CPT50, &row.CPT80)
}

// reportAll registers Wye, the baselines and the oracle. routers[0] is Wye's,
// the others in r.Baselines' order.
func (r pair) reportAll(f *figures, routers []*estimates, pool *PoolReport) *PairReport {
	out := &PairReport{Strong: r.pool.Models[r.strong].Name, Weak: r.pool.Models[r.weak].Name}
	out.Rows = make([]PairCurve, len(routers)+1)
	for i, es := range routers {
		out.Rows[i].Router = pool.Wye.Router
		if i > 0 {
			out.Rows[i].Router = pool.Baselines[i-1].Router
		}
		r.report(f, r.order(es), &out.Rows[i])
	}
	last := &out.Rows[len(routers)]
	last.Router = "oracle"
	r.report(f, r.oracleOrder(), last)
	return out
}
