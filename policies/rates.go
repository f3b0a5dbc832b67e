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
	byKind := make([][]router.Sample, len(p.Kinds()))
	for s := range p.Samples(models) {
		sample := router.Sample{Quality: make([]float64, len(models)), Cost: make([]float64, len(models))}
		for i, o := range s.Outputs {
			sample.Quality[i] = float64(o.Quality)
			sample.Cost[i] = prices[i].Cost(float64(s.PromptTokens), 0, float64(o.OutputTokens))
		}
		byKind[s.Kind] = append(byKind[s.Kind], sample)
	}
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
