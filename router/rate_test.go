package router_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"wye/router"
)

func TestCalibrateRate(t *testing.T) {
	t.Parallel()
	// A strong model that is better by 0.01 to 0.10 and dearer by a dollar.
	gaps := make([]router.Sample, 10)
	for i := range gaps {
		gaps[i] = router.Sample{Quality: []float64{0.8, 0.8 + float64(i+1)/100}, Cost: []float64{0, 1}}
	}
	for _, tt := range []struct {
		name    string
		samples []router.Sample
		band    float64
		low     float64 // the rate is in [low, high]
		high    float64
	}{
		{"no samples", nil, 0.5, 0, 0},
		{"no band leaves the strong model everywhere", gaps, 0, 0.0099, 0.01},
		// Giving up prompts 1 to 3 is promised to cost 0.06 of the 8.55 in all:
		// 0.7 %, which may turn out to be twice that.
		{"a narrow band gives up the smallest gaps", gaps, 0.0142, 0.0399, 0.04},
		{"a wide band leaves the cheap model everywhere", gaps, 0.14, 1e8, 1e8},
		{
			// The router promises 1 on average, the best single model 0.8. A quarter
			// of the gain may go, which is what one of the four prompts costs.
			"a quarter of a promised gain is spent on cost",
			[]router.Sample{
				{Quality: []float64{1, 0.6, 0.8}, Cost: []float64{2, 2, 0}},
				{Quality: []float64{0.6, 1, 0.8}, Cost: []float64{2, 2, 0}},
				{Quality: []float64{1, 0.6, 0.8}, Cost: []float64{1, 1, 0}},
				{Quality: []float64{0.6, 1, 0.8}, Cost: []float64{4, 4, 0}},
			},
			0, 0.0999, 0.1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := router.CalibrateRate(tt.samples, tt.band); got < tt.low || got > tt.high {
				t.Errorf("rate %g, want %g to %g", got, tt.low, tt.high)
			}
		})
	}
}

// Whatever the samples, the floor holds at the rate, and not at a noticeably
// higher one unless that is the end of the scale.
func TestCalibrateRateKeepsItsFloor(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		models := 2 + rng.IntN(6)
		samples := make([]router.Sample, 50)
		for i := range samples {
			for m := range models {
				samples[i].Quality = append(samples[i].Quality, rng.Float64())
				samples[i].Cost = append(samples[i].Cost, float64(m)*rng.Float64()/100)
			}
		}
		band := rng.Float64() / 5
		quality := func(rate float64) (chosen, floor float64) {
			single := make([]float64, models)
			for _, s := range samples {
				at := 0
				for m := range models {
					single[m] += s.Quality[m]
					if s.Quality[m]-rate*s.Cost[m] > s.Quality[at]-rate*s.Cost[at] {
						at = m
					}
				}
				chosen += s.Quality[at]
			}
			best, free := 0.0, 0.0
			for _, q := range single {
				best = math.Max(best, q)
			}
			for _, s := range samples {
				free += slices.Max(s.Quality)
			}
			return chosen, best*(1-band/2) + (free-best)*3/4
		}
		rate := router.CalibrateRate(samples, band)
		if chosen, floor := quality(rate); chosen < floor-1e-9 {
			t.Fatalf("band %g, rate %g: quality %g of %g", band, rate, chosen, floor)
		}
		if rate < 1e8 {
			if chosen, floor := quality(rate * 1.0001); chosen >= floor && rate > 0 {
				t.Fatalf("band %g: rate %g is not the highest", band, rate)
			}
		}
	}
}

// The rate is the very last number at which the floor holds, so that it is the
// same on every processor.
func TestCalibrateRateIsExact(t *testing.T) {
	t.Parallel()
	for _, edge := range []float64{0.5, 0.25, 2} {
		samples := []router.Sample{{Quality: []float64{0.25, 0.75}, Cost: []float64{0, 0.5 / edge}}}
		if want, got := math.Nextafter(edge, 0), router.CalibrateRate(samples, 0); got != want {
			t.Errorf("rate %b, want %b", got, want)
		}
	}
}
