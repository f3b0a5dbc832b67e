package eval

import (
	"fmt"
	"math"

	"wye/policies"
	"wye/predict"
	"wye/router"
)

// Wye returns the predictor as deployments with those bands use it. hints says
// what is known of models that p was not trained on, beyond their price; it may
// be nil.
func Wye(p *predict.Predictor, hints map[string]predict.Hint, bands router.Bands) Predictor {
	return &wye{predictor: p, hints: hints, bands: bands}
}

// Newcomers is Wye where training never saw any of the models: hints count but
// for likenesses to trained models.
func Newcomers(p *predict.Predictor, hints map[string]predict.Hint, bands router.Bands) Predictor {
	return &wye{predictor: p, hints: hints, bands: bands, untrained: true}
}

type wye struct {
	predictor *predict.Predictor
	hints     map[string]predict.Hint
	bands     router.Bands
	untrained bool // every model is taken for a new one
}

// Version implements Predictor.
func (w *wye) Version() string { return w.predictor.Version() }

// Bind implements Predictor: a trained model enters as trained, another by its
// prior, and with graded prompts every model is calibrated on its own.
func (w *wye) Bind(models []Model, graded *Graded) (Estimator, []string, error) {
	b := &bound{predictor: w.predictor, out: make([]predict.Output, len(models)), worth: make(map[router.Mode]*policies.Worth)}
	from := make([]string, len(models))
	for k, m := range models {
		trained, ok := w.predictor.Model(m.Name)
		hint := predict.Hint{Like: m.Name}
		from[k] = "trained"
		if w.untrained || !ok {
			hint = w.hints[m.Name]
			if w.untrained {
				hint.Like = ""
			}
			hint.InputPrice, hint.OutputPrice = m.Price.Input, m.Price.Output
			trained, from[k] = w.predictor.Prior(hint)
		}
		if graded != nil {
			examples := graded.examples(k, len(models))
			calibrated, report, err := predict.Calibrate(w.predictor, examples, hint)
			if err != nil {
				return nil, nil, fmt.Errorf("model %q: %w", m.Name, err)
			}
			trained = calibrated
			from[k] += fmt.Sprintf(", calibrated on %d graded prompts", report.Graded)
		}
		b.models = append(b.models, trained)
	}
	for k := range models {
		b.prices = append(b.prices, models[k].price())
	}
	for _, mode := range []router.Mode{router.ModeBalanced, router.ModeCost} {
		b.worth[mode] = policies.CalibrateRates(w.predictor, b.models, b.prices, w.bands.Of(mode))
	}
	return b, from, nil
}

// examples returns what is known of model k of width.
func (g *Graded) examples(k, width int) []predict.Example {
	var out []predict.Example
	for i, p := range g.Prompts {
		score, tokens := g.Score[i*width+k], g.Tokens[i*width+k]
		if math.IsNaN(score) {
			continue
		}
		if math.IsNaN(tokens) {
			tokens = 0
		}
		out = append(out, predict.Example{Input: p.input(), Score: score, OutputTokens: tokens})
	}
	return out
}

// input is the prompt as a request scanner would hand it over.
func (p *Prompt) input() predict.Input {
	in := predict.Input{
		System: []byte(p.System), User: []byte(p.Text), Tools: []byte(p.Tools),
		Bytes: len(p.System) + len(p.Text), Turns: 1, ToolCount: p.ToolCount, PromptTokens: p.InputTokens,
	}
	if p.System != "" {
		in.Turns++
	}
	return in
}

// turnShare is how much of the prompt is the last user turn's, 0 to 1.
func (p *Prompt) turnShare() float64 {
	whole := len(p.System) + len(p.Text) + len(p.Tools)
	if whole == 0 || p.Free {
		return 1
	}
	return float64(len(p.Text)) / float64(whole)
}

// bound is a predictor with the models of one pool. It is not safe for
// concurrent use.
type bound struct {
	predictor *predict.Predictor
	models    []predict.Model
	prices    []*router.Price
	out       []predict.Output
	worth     map[router.Mode]*policies.Worth
	evidence  predict.Evidence // of the prompt asked about last
	context   float64          // policies.ContextShare of that prompt
}

// Rate implements rated.
func (b *bound) Rate(mode router.Mode) float64 {
	if worth := b.worth[mode]; worth != nil {
		return policies.Rate(b.predictor, &b.evidence, worth) * b.context
	}
	return 0
}

// Estimate implements Estimator.
func (b *bound) Estimate(p *Prompt, out []router.Estimate) (guarded bool) {
	in := p.input()
	b.evidence = b.predictor.Predict(&in, b.models, b.out)
	b.context = policies.ContextShare(b.prices, b.out, float64(p.InputTokens), p.turnShare())
	for k, o := range b.out {
		out[k] = router.Estimate{Quality: o.Quality, Uncertainty: o.Uncertainty, OutputTokens: o.OutputTokens}
		guarded = guarded || o.Guarded
	}
	return guarded
}
