package eval

import (
	"math"
	"slices"
)

// AreaReport is the area under one definition. The first is the one that the
// report goes by; the others show how much of a figure is its definition, for
// comparison with figures from elsewhere.
type AreaReport struct {
	Definition string   `json:"definition"`
	Wye        Interval `json:"wye"`
	Lookup     Interval `json:"lookup"` // of the task lookup; undefined without graded prompts
}

// definitions are ways to make an area of a sweep and the pool's hull. Each
// returns a share of the oracle's area.
var definitions = []struct {
	name string
	// costs are what the rule is told; nil: what the estimates say.
	costs func(m *measure, i, k int) float64
	area  func(m *measure, c []Point) float64
}{
	{"as in the summary", nil, (*measure).share},
	{"random mixes of rates", nil, func(m *measure, c []Point) float64 {
		mixed := Hull(fromCheapest(c, m.hull))
		return ratio(area(mixed, m.hull), area(Hull(m.oracleCurve), m.hull))
	}},
	{"cheapest to dearest candidate", nil, func(m *measure, c []Point) float64 {
		low, high := m.points[0].Cost, m.points[0].Cost
		for _, p := range m.points {
			low, high = min(low, p.Cost), max(high, p.Cost)
		}
		c = fromCheapest(c, m.hull)
		return ratio(integrate(c, m.hull, low, high, math.Log, math.Exp), integrate(m.oracleCurve, m.hull, low, high, math.Log, math.Exp))
	}},
	{"over cost, not its logarithm", nil, func(m *measure, c []Point) float64 {
		same := func(x float64) float64 { return x }
		low, high := m.hull[0].Cost, m.hull[len(m.hull)-1].Cost
		c = fromCheapest(c, m.hull)
		return ratio(integrate(c, m.hull, low, high, same, same), integrate(m.oracleCurve, m.hull, low, high, same, same))
	}},
	{"rule told each model's mean cost", func(m *measure, _, k int) float64 { return m.whole[k].Cost }, (*measure).share},
	{"rule told each answer's cost", func(m *measure, i, k int) float64 { return m.pool.Cost[i*len(m.pool.Models)+k] }, (*measure).share},
}

// share is the area of c as a share of the oracle's.
func (m *measure) share(c []Point) float64 { return ratio(area(c, m.hull), m.oracleArea) }

// areas registers the areas of wye and of lookup, which may be nil, under every
// definition.
func (m *measure) areas(wye, lookup *estimates) []AreaReport {
	out := make([]AreaReport, len(definitions))
	for i, d := range definitions {
		row := &out[i]
		row.Definition, row.Lookup = d.name, undefined()
		for _, r := range []struct {
			es   *estimates
			into *Interval
		}{{wye, &row.Wye}, {lookup, &row.Lookup}} {
			if r.es == nil {
				continue
			}
			es := r.es
			if d.costs != nil {
				es = es.told(func(i, k int) float64 { return d.costs(m, i, k) })
			}
			sweep := m.pool.traces(es.sweep())
			m.figures.add(func(weights, values []float64) {
				values[0] = math.NaN()
				if len(m.hull) > 1 && m.hull[0].Cost > 0 {
					values[0] = d.area(m, curve(sweep, weights))
				}
			}, r.into)
		}
	}
	return out
}

// told returns es with other expected costs.
func (es *estimates) told(cost func(i, k int) float64) *estimates {
	other := *es
	other.candidates = slices.Clone(es.candidates)
	n := len(es.candidates) / len(es.guarded)
	for at := range other.candidates {
		other.candidates[at].Cost = cost(at/n, at%n)
	}
	return &other
}
