package predict

import (
	"errors"
	"fmt"
	"math"
)

// Example is one answer of a model to a prompt of the operator's own traffic,
// graded.
type Example struct {
	Input Input
	// Score is how good the answer was, 0 to 1.
	Score float64
	// OutputTokens is the answer's length; zero is unknown.
	OutputTokens float64
}

// Calibration is what graded prompts add to a prior, in a form to store: as
// JSON it loads into the predictor version it was made with, and no other.
type Calibration struct {
	Format    int    `json:"format"` // 1
	Predictor string `json:"predictor"`
	Hint      Hint   `json:"hint"`
	Graded    int    `json:"graded"`

	// The logit of a good answer moves by Shift plus the inner product of
	// Weights and the prompt's embedding, and the last of Weights times what it
	// owes to how the model differs from others on the prompt more than on
	// average; Variance and Variances are of the two after the examples.
	Shift     float32   `json:"shift"`
	Weights   []float32 `json:"weights"`
	Variance  float32   `json:"variance"`
	Variances []float32 `json:"variances"`
	// Length moves the logarithm of the expected output tokens.
	Length float32 `json:"length"`
	// Samples are some of the graded prompts as the predictor reads them, numbers
	// without the text: what rates are found on for traffic that is unlike the
	// training data.
	Samples []byte `json:"samples,omitempty"`
}

// Report says how well a calibration fits and how sure it is.
type Report struct {
	Graded int
	// Prior says where the estimate comes from without the examples.
	Prior string
	// MeanScore is the examples' mean, Before and After the mean predicted
	// quality without and with them.
	MeanScore, Before, After float64
	// LogLossBefore and LogLossAfter are in nats a prompt; the latter on prompts
	// left out of the fit, by five-fold cross-validation. A calibration that
	// does not lower the loss has learned nothing of use.
	LogLossBefore, LogLossAfter float64
	// Uncertainty is the mean standard deviation of the predicted quality.
	Uncertainty float64
	Calibration Calibration
}

const calibrationFormat = 1

// Priors of a calibration in squared logits: the variance of the shift beyond the
// model's own spread, and of each embedding weight; and of how far the predictor's
// differences from prompt to prompt are believed, which starts at not at all.
//
// The last two are small because examples are few and choices are many: who picks
// the best of several models on each prompt picks the luckiest errors, and on
// benchmarks that training had not seen anything bolder than what models do on
// average fell below random mixes of single models (docs/adr/0023-own-traffic.md).
const (
	shiftVariance  = 1.0
	weightVariance = 0.02
	ownVariance    = 0.01
	// boldVariance takes weightVariance's place where that makes the examples
	// likelier by boldEvidence nats each: the model is then a different one on
	// different prompts beyond doubt.
	boldVariance = 1.0
	boldEvidence = 0.1
)

// Calibrate fits a model that the predictor was not trained on, or was trained
// on other traffic, to graded examples: the prior of h, moved by a Bayesian
// logistic regression over the prompt's embedding, which takes models for what
// they are on average as long as the examples do not say otherwise. No example
// gives the prior.
// The result is deterministic. It is an error if a score is not within 0 to 1.
func Calibrate(p *Predictor, examples []Example, h Hint) (Model, Report, error) {
	for i := range examples {
		if s := examples[i].Score; !(s >= 0 && s <= 1) {
			return Model{}, Report{}, fmt.Errorf("calibrate: example %d: score %v is not within 0 to 1", i, s)
		}
	}
	prior, from := p.Prior(h)
	fit := newRegression(p, prior.a, examples)
	fit.setWeights()
	c := Calibration{Format: calibrationFormat, Predictor: p.Version(), Hint: h, Graded: len(examples)}
	mean, covariance := fit.solve(func(int) bool { return true })
	c.Shift, c.Variance = float32(mean[columns]), float32(covariance[columns])
	c.Weights, c.Variances = make([]float32, columns), make([]float32, columns)
	for j := range columns {
		c.Weights[j], c.Variances[j] = float32(mean[j]), float32(covariance[j])
	}
	c.Length, c.Samples = fit.length, p.pack(examples)
	m, err := p.Calibrated(c)
	if err != nil {
		return Model{}, Report{}, err
	}
	r := Report{Graded: len(examples), Prior: from, Calibration: c}
	fit.report(p, m, examples, &r)
	return m, r, nil
}

// Calibrated returns the model that c describes. It is an error if c was made
// with another version of the predictor, whose embeddings differ, or is
// malformed.
func (p *Predictor) Calibrated(c Calibration) (Model, error) {
	if c.Format != calibrationFormat {
		return Model{}, fmt.Errorf("calibrated model: format %d, this program reads %d", c.Format, calibrationFormat)
	}
	if c.Predictor != p.Version() {
		return Model{}, fmt.Errorf("calibrated model: made with predictor version %q, this is %q; calibrate again", c.Predictor, p.Version())
	}
	if len(c.Weights) != columns || len(c.Variances) != columns {
		return Model{}, fmt.Errorf("calibrated model: %d weights and %d variances, want %d", len(c.Weights), len(c.Variances), columns)
	}
	l := &local{shift: c.Shift, shiftVariance: c.Variance, graded: c.Graded}
	copy(l.weights[:], c.Weights)
	copy(l.variances[:], c.Variances)
	if !l.sane() {
		return Model{}, errors.New("calibrated model: a number is not finite or a variance is negative")
	}
	var err error
	if l.traffic, err = p.unpack(c.Samples); err != nil {
		return Model{}, fmt.Errorf("calibrated model: %w", err)
	}
	prior, _ := p.Prior(c.Hint)
	a := *prior.a
	a.lengthBias += c.Length
	a.local = l
	return Model{&a}, nil
}

// local is what graded prompts of the operator's own traffic say of a model
// beyond its prior: a correction of the logit, linear in the embedding.
type local struct {
	shift         float32
	weights       [columns]float32
	shiftVariance float32
	variances     [columns]float32
	graded        int
	traffic       traffic
}

func (l *local) sane() bool {
	ok := func(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
	sane := ok(l.shift) && ok(l.shiftVariance) && l.shiftVariance >= 0
	for i := range l.weights {
		sane = sane && ok(l.weights[i]) && ok(l.variances[i]) && l.variances[i] >= 0
	}
	return sane
}

// correct returns the corrected logit and its variance at embedding e, where own
// of it is how the model differs from others on the prompt.
func (l *local) correct(e *[Dim]float32, own, logit float32) (corrected, variance float32) {
	variance = l.shiftVariance
	for i, v := range e {
		variance += float32(float32(v*v) * l.variances[i])
	}
	variance += float32(float32(own*own) * l.variances[Dim])
	return logit + l.shift + Dot(e[:], l.weights[:Dim]) + float32(own*l.weights[Dim]), variance
}
