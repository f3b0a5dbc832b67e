package eval

import (
	"cmp"
	"math"
	"slices"

	"wye/router"
)

// measure holds what the figures of one pool share: within one resample the
// hull and the oracle's area are computed once and read by every router.
type measure struct {
	pool    *Pool
	figures figures
	singles []trace
	best    int // the single model of the highest quality, then lowest cost
	oracle  []trace
	// picked are the models on the hull of what graded prompts say; nil without.
	picked []int

	whole []Point // of the single models over the whole pool

	// Of the current resample.
	points      []Point
	hull        []Point
	oracleCurve []Point
	oracleArea  float64
	pickedHull  []Point
	pickedArea  float64 // the oracle's over pickedHull
}

// newMeasure prepares the figures of p; g may be nil.
func newMeasure(p *Pool, g *Graded, report *PoolReport) *measure {
	m := &measure{pool: p, points: make([]Point, len(p.Models)), oracle: p.traces(p.oracle())}
	for k := range p.Models {
		m.singles = append(m.singles, p.single(k))
	}
	report.Models = make([]ModelReport, len(p.Models))
	into := []*Interval{&report.Oracle.Quality, &report.Oracle.Cost}
	for k, model := range p.Models {
		r := &report.Models[k]
		r.Model, r.PriceFrom, r.WeakPrice = model.Name, model.Price.From, model.Price.Weak()
		r.AUC = undefined()
		into = append(into, &r.Quality, &r.Cost)
	}
	m.figures.add(func(weights, out []float64) {
		m.resample(weights)
		// The first oracle weighs cost least.
		o := m.oracle[0].mean(weights)
		out[0], out[1] = o.Quality, o.Cost
		for k, pt := range m.points {
			out[2+2*k], out[3+2*k] = pt.Quality, pt.Cost
		}
	}, into...)

	whole := ones(len(p.Prompts))
	m.resample(whole)
	m.whole = slices.Clone(m.points)
	m.pick(g)
	for k, pt := range m.points {
		b := m.points[m.best]
		if pt.Quality > b.Quality || pt.Quality == b.Quality && pt.Cost < b.Cost {
			m.best = k
		}
		report.Models[k].OnHull = slices.Contains(m.hull, pt)
	}
	report.Best = p.Models[m.best].Name
	report.curves.models, report.curves.hull = m.whole, m.hull
	report.curves.oracle = curve(m.oracle, whole)
	return m
}

// pick chooses the single models for the second hull by their quality on g:
// knowledge that was to be had before the evaluation.
func (m *measure) pick(g *Graded) {
	if g == nil {
		return
	}
	known := newMeans(m.pool, g)
	points := slices.Clone(m.points)
	for k := range points {
		points[k].Quality = known.score[k]
	}
	hull := Hull(points)
	for k, pt := range points {
		if slices.Contains(hull, pt) {
			m.picked = append(m.picked, k)
		}
	}
}

func ones(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = 1
	}
	return w
}

func (m *measure) resample(weights []float64) {
	for k, t := range m.singles {
		m.points[k] = t.mean(weights)
	}
	m.hull = Hull(m.points)
	m.oracleCurve = curve(m.oracle, weights)
	m.oracleArea = area(m.oracleCurve, m.hull)
	if m.picked != nil {
		m.pickedHull = m.pickedHull[:0]
		for _, k := range m.picked {
			m.pickedHull = append(m.pickedHull, m.points[k])
		}
		m.pickedHull = byCost(m.pickedHull)
		m.pickedArea = area(m.oracleCurve, m.pickedHull)
	}
}

// router registers the figures of one estimator. Its curve over the whole pool
// comes back for the plot.
func (m *measure) router(es *estimates, r *RouterReport) []Point {
	p := m.pool
	sweep := p.traces(es.sweep())
	reliable := newReliability(p, es)
	var rankings []*ranking
	for k := range p.Models {
		rankings = append(rankings, newRanking(p, es, k))
	}
	m.figures.add(func(weights, out []float64) {
		c := curve(sweep, weights)
		out[0], out[1] = ratio(area(c, m.hull), m.oracleArea), math.NaN()
		if m.picked != nil {
			out[1] = ratio(area(c, m.pickedHull), m.pickedArea)
		}
		out[2] = reliable.ece(weights)
		out[3] = meanAUC(rankings, weights)
	}, &r.Area, &r.AreaPicked, &r.ECE, &r.AUC)
	guarded := 0
	for _, g := range es.guarded {
		if g {
			guarded++
		}
	}
	r.Guarded = float64(guarded) / float64(len(es.guarded))
	r.Modes = make([]ModeReport, len(router.Modes))
	for i, mode := range router.Modes {
		m.mode(es.choose(mode), mode, &r.Modes[i])
	}
	return curve(sweep, ones(len(p.Prompts)))
}

// modelAUC registers the AUC of each model on its own.
func (m *measure) modelAUC(es *estimates, models []ModelReport) {
	for k := range models {
		r := newRanking(m.pool, es, k)
		m.figures.add(func(weights, out []float64) { out[0] = r.auc(weights) }, &models[k].AUC)
	}
}

func (m *measure) mode(chosen choices, mode router.Mode, r *ModeReport) {
	t := m.pool.trace(chosen)
	r.Mode = mode.String()
	m.figures.add(func(weights, out []float64) {
		got, best := t.mean(weights), m.points[m.best]
		out[0], out[1] = got.Quality, got.Cost
		out[2] = ratio(got.Quality, best.Quality)
		out[3] = 1 - ratio(got.Cost, best.Cost)
		out[4] = 1 - ratio(got.Cost, costAt(m.hull, got.Quality))
		out[5], out[6] = got.Quality-qualityAt(m.hull, got.Cost), math.NaN()
		if m.picked != nil {
			out[6] = got.Quality - qualityAt(m.pickedHull, got.Cost)
		}
	}, &r.Quality, &r.Cost, &r.OfBest, &r.SavedBest, &r.SavedHull, &r.AboveHull, &r.AbovePicked)
	r.Shares = m.pool.shares(chosen)
}

// shares counts the choices, the most frequent first.
func (p *Pool) shares(chosen choices) []Share {
	count := make([]int, len(p.Models))
	for _, c := range chosen {
		count[c]++
	}
	var out []Share
	for k, n := range count {
		if n > 0 {
			out = append(out, Share{p.Models[k].Name, float64(n) / float64(len(chosen))})
		}
	}
	slices.SortStableFunc(out, func(a, b Share) int { return cmp.Compare(b.Share, a.Share) })
	return out
}

// point returns the point estimate of a mode.
func (r *ModeReport) point() Point { return Point{r.Cost.Value, r.Quality.Value} }

// above reports whether the whole interval lies above zero, below whether it
// lies below.
func (v Interval) above() bool { return v.Low > 0 && !math.IsNaN(v.Value) }
func (v Interval) below() bool { return v.High < 0 && !math.IsNaN(v.Value) }
