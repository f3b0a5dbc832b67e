package policies

import (
	"wye/predict"
	"wye/router"
)

// CalibrateRates returns, by the kinds of p, what one unit of quality may cost
// in US dollars so that the average quality on prompts of that kind stays within
// band of the best single model's: the reciprocal of the rate that
// router.CalibrateRate finds on p's samples. prices are those of models.
func CalibrateRates(p *predict.Predictor, models []predict.Model, prices []*router.Price, band float64) []float64 {
	return worthOf(samplesByKind(p, models, prices), band)
}

// samplesByKind is what the models would do with p's samples.
func samplesByKind(p *predict.Predictor, models []predict.Model, prices []*router.Price) [][]router.Sample {
	byKind := make([][]router.Sample, len(p.Kinds()))
	for s := range p.Samples(models) {
		sample := router.Sample{Quality: make([]float64, len(models)), Cost: make([]float64, len(models))}
		for i, o := range s.Outputs {
			sample.Quality[i] = float64(o.Quality)
			sample.Cost[i] = prices[i].Cost(float64(s.PromptTokens), 0, float64(o.OutputTokens))
		}
		byKind[s.Kind] = append(byKind[s.Kind], sample)
	}
	return byKind
}

// bestSingle is the index of the available model of the best quality over all
// samples, the first of equals; 0 when none is available.
func bestSingle(byKind [][]router.Sample, available func(i int) bool) int {
	var sums []float64
	for _, samples := range byKind {
		for i := range samples {
			if sums == nil {
				sums = make([]float64, len(samples[i].Quality))
			}
			for m, q := range samples[i].Quality {
				sums[m] += q
			}
		}
	}
	best := -1
	for m, sum := range sums {
		if available(m) && (best < 0 || sum > sums[best]) {
			best = m
		}
	}
	return max(best, 0)
}

func worthOf(byKind [][]router.Sample, band float64) []float64 {
	worth := make([]float64, len(byKind))
	for kind, samples := range byKind {
		worth[kind] = 1 / max(router.CalibrateRate(samples, band), minRate)
	}
	return worth
}

// minRate stands for "quality whatever it costs".
const minRate = 1e-6

// Rate is how much quality one US dollar must buy on a prompt that p found e
// about: the reciprocal of worth mixed over the kinds, and less the stranger the
// prompt, because far from the training data the predictor has no business
// trading quality that it cannot see.
func Rate(p *predict.Predictor, e *predict.Evidence, worth []float64) float64 {
	return float64(e.Trust) / p.Worth(e, worth)
}
