package eval

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
)

// Interval is a figure with its 95% bootstrap interval. NaN stands for a figure
// that the data does not define; JSON spells it null.
type Interval struct{ Value, Low, High float64 }

// MarshalJSON writes [value, low, high].
func (v Interval) MarshalJSON() ([]byte, error) {
	var out [3]*float64
	for i, f := range [...]float64{v.Value, v.Low, v.High} {
		if !math.IsNaN(f) && !math.IsInf(f, 0) {
			out[i] = &f
		}
	}
	return json.Marshal(out)
}

// undefined is the Interval of a figure that does not exist.
func undefined() Interval { return Interval{math.NaN(), math.NaN(), math.NaN()} }

// figures collects the named places where a statistic's values end up, so that
// one resampling serves all figures of a pool and differences stay paired.
type figures struct {
	stats []func(weights []float64)
	into  []*Interval
	value []float64
}

// add registers n figures. compute writes their values for one resample of the
// prompts to out, which has length n.
func (f *figures) add(compute func(weights, out []float64), into ...*Interval) {
	at, n := len(f.into), len(into)
	f.into = append(f.into, into...)
	f.value = append(f.value, make([]float64, n)...)
	f.stats = append(f.stats, func(weights []float64) { compute(weights, f.value[at:][:n]) })
}

// run fills the figures: the value over all prompts as they are, the interval
// from rounds resamples of whole groups with replacement.
func (f *figures) run(p *Pool, rounds int, seed uint64) {
	weights := make([]float64, len(p.Prompts))
	for i := range weights {
		weights[i] = 1
	}
	f.compute(weights)
	for i, v := range f.value {
		*f.into[i] = Interval{Value: v}
	}
	rng := rand.New(rand.NewPCG(seed, uint64(p.groups)))
	drawn := make([]float64, p.groups)
	samples := make([][]float64, len(f.into))
	for range rounds {
		clear(drawn)
		for range p.groups {
			drawn[rng.IntN(p.groups)]++
		}
		for i, g := range p.group {
			weights[i] = drawn[g]
		}
		f.compute(weights)
		for i, v := range f.value {
			if !math.IsNaN(v) {
				samples[i] = append(samples[i], v)
			}
		}
	}
	for i, s := range samples {
		slices.Sort(s)
		f.into[i].Low, f.into[i].High = percentile(s, 0.025), percentile(s, 0.975)
	}
}

// rounding is below what any figure can mean: less is 0, so that no sign is
// read into it.
const rounding = 1e-12

func (f *figures) compute(weights []float64) {
	for _, s := range f.stats {
		s(weights)
	}
	for i, v := range f.value {
		if math.Abs(v) < rounding {
			f.value[i] = 0
		}
	}
}

// percentile interpolates in sorted; NaN when it is empty.
func percentile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
