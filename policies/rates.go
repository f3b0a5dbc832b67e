package policies

import (
	"wye/predict"
	"wye/router"
)

// Worth is what one unit of quality may cost in US dollars in one mode of one
// deployment.
type Worth struct {
	Kinds []float64 // by the kinds of the predictor
	// Traffic is the same on the operator's own traffic, as far as that is unlike
	// the training data; 0 when it is not known.
	Traffic float64
}

// CalibrateRates finds what quality may cost so that its average, on prompts of
// each kind of p, stays within band of the best single model's: the reciprocal
// of the rate that router.CalibrateRate finds on p's samples. Graded prompts of
// the operator's own, where every model has some, are a kind of their own.
// prices are those of models.
func CalibrateRates(p *predict.Predictor, models []predict.Model, prices []*router.Price, band float64) *Worth {
	return worthOf(samplesByKind(p, models, prices), band)
}

// samplesByKind is what the models would do with p's samples and, last, with the
// operator's own.
func samplesByKind(p *predict.Predictor, models []predict.Model, prices []*router.Price) [][]router.Sample {
	byKind := make([][]router.Sample, len(p.Kinds())+1)
	add := func(kind int, s *predict.Sample) {
		sample := router.Sample{Quality: make([]float64, len(models)), Cost: make([]float64, len(models))}
		for i, o := range s.Outputs {
			sample.Quality[i] = float64(o.Quality)
			sample.Cost[i] = prices[i].Cost(float64(s.PromptTokens), 0, float64(o.OutputTokens))
		}
		byKind[kind] = append(byKind[kind], sample)
	}
	for s := range p.Samples(models) {
		add(s.Kind, &s)
	}
	for s := range p.Traffic(models) {
		add(len(byKind)-1, &s)
	}
	return byKind
}

// qualities has each model's quality summed over all samples.
func qualities(byKind [][]router.Sample) []float64 {
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
	return sums
}

// bestSingle is the index of the available model of the best quality, the first
// of equals; 0 when none is available.
func bestSingle(sums []float64, available func(i int) bool) int {
	best := -1
	for m, sum := range sums {
		if available(m) && (best < 0 || sum > sums[best]) {
			best = m
		}
	}
	return max(best, 0)
}

func worthOf(byKind [][]router.Sample, band float64) *Worth {
	worth := func(samples []router.Sample) float64 { return 1 / max(router.CalibrateRate(samples, band), minRate) }
	last := len(byKind) - 1
	w := &Worth{Kinds: make([]float64, last)}
	for kind := range w.Kinds {
		w.Kinds[kind] = worth(byKind[kind])
	}
	if len(byKind[last]) > 0 {
		w.Traffic = worth(byKind[last])
	}
	return w
}

// minRate stands for "quality whatever it costs".
const minRate = 1e-6

// ContextShare is how much of what the models would charge for a request is for
// its last user turn and the answer, 0 to 1; the rest is for what comes with
// them: a system prompt, earlier turns, tools. turn is the share of the prompt's
// tokens that are the turn's.
//
// Rates are found on single questions. The same question in a long context costs
// more with every model, which is no reason to settle for a worse answer: whoever
// multiplies a rate by this share spends the same share of the bill on quality
// with and without a context.
func ContextShare(prices []*router.Price, out []predict.Output, tokens, turn float64) float64 {
	var part, whole float64
	for i, p := range prices {
		output := float64(out[i].OutputTokens)
		part += p.Cost(float64(tokens*turn), 0, output)
		whole += p.Cost(tokens, 0, output)
	}
	if !(part < whole) {
		return 1
	}
	return part / whole
}

// Rate is how much quality one US dollar must buy on a prompt that p found e
// about: the reciprocal of worth mixed over the kinds, and the more that of the
// operator's own traffic the stranger the prompt. Where that is not known it
// falls to nothing, because far from the training data the predictor has no
// business trading quality that it cannot see.
func Rate(p *predict.Predictor, e *predict.Evidence, worth *Worth) float64 {
	rate := float64(e.Trust) / p.Worth(e, worth.Kinds)
	if worth.Traffic > 0 {
		rate += float64(float64(1-e.Trust) / worth.Traffic)
	}
	return rate
}
