package router

import "math"

// Sample is one prompt of those that a rate is calibrated on: what each model
// of a deployment would do with it.
type Sample struct {
	Quality []float64 // 0 to 1
	Cost    []float64 // US dollars, as long as Quality
}

// maxRate stands for "the cheapest, whatever it is": a hundredth of a cent then
// outweighs a certain good answer ten thousand times over.
const maxRate = 1e8

// minRate is the lowest above 0 that is looked at.
const minRate = 1e-6

// CalibrateRate turns a band into a rate. The selection rule is the Lagrangian
// of "spend as little as possible while the average quality stays above a
// floor"; this finds the multiplier. A band around each prompt's own best was
// measured beside it and lost wherever costs vary from prompt to prompt
// (docs/adr/0010-quality-less-cost.md, docs/evaluation.md).
//
// It returns the highest rate at which the estimates promise, on average over
// the samples, what keeps the true quality within band of the best single
// model's: that model's own, less lossShare of the band, plus gainShare of what
// choosing by quality alone promises on top. It returns 0 when there are no
// samples or no rate will do, and never more than maxRate.
func CalibrateRate(samples []Sample, band float64) float64 {
	if len(samples) == 0 {
		return 0
	}
	single := 0.0
	for m := range samples[0].Quality {
		var sum float64
		for i := range samples {
			sum += samples[i].Quality[m]
		}
		single = max(single, sum)
	}
	total := func(rate float64) (sum float64) {
		for i := range samples {
			sum += samples[i].Quality[samples[i].choose(rate)]
		}
		return sum
	}
	// The conversions forbid fused multiply-adds, as in net.
	floor := float64(single*(1-float64(lossShare*band))) + float64(gainShare*(total(0)-single))
	holds := func(rate float64) bool { return total(rate) >= floor }
	if holds(maxRate) {
		return maxRate
	}
	if !holds(0) {
		return 0 // rounding alone: at rate 0 each prompt has its best model
	}
	if !holds(minRate) {
		return 0
	}
	// Average quality falls as the rate rises, so bisection finds the edge. It
	// halves the numbers' bits, which order as the numbers do: a logarithmic
	// scale, because rates span what a call costs, from thousands of calls a
	// dollar to a few, and one without math.Exp, whose last digits differ between
	// processors.
	low, high := math.Float64bits(minRate), math.Float64bits(maxRate)
	for high-low > 1 {
		if middle := low + (high-low)/2; holds(math.Float64frombits(middle)) {
			low = middle
		} else {
			high = middle
		}
	}
	return math.Float64frombits(low)
}

// Whoever picks the best of several estimates also picks the luckiest errors, so
// a promised gain shrinks and a promised loss grows when the truth comes out. On
// the validation prompts (docs/evaluation.md) losses came out about twice as
// large as promised, and about a quarter of a promised gain could be spent.
const (
	lossShare = 0.5
	gainShare = 0.75
)

// choose returns the model that Rank would put first.
func (s *Sample) choose(rate float64) int {
	best, bestNet := 0, math.Inf(-1)
	for m, q := range s.Quality {
		net := net(q, s.Cost[m], rate)
		if net > bestNet || net == bestNet && s.Cost[m] < s.Cost[best] {
			best, bestNet = m, net
		}
	}
	return best
}

// net is what a candidate is worth: quality less cost at the rate. The
// conversion forbids a fused multiply-add, whose rounding differs between
// processors.
func net(quality, cost, rate float64) float64 { return quality - float64(rate*cost) }
