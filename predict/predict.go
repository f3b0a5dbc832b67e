package predict

import (
	"fmt"
	"slices"
	"sync"
)

// Predictor estimates models for prompts. It is immutable and safe for
// concurrent use.
type Predictor struct {
	w       *Weights
	encoder encoder
	models  map[string]*ability
	scratch sync.Pool

	kinds      []kind
	kindOfTask []int // by task, index into kinds
	sampleOnce sync.Once
	samples    []reading
	sampleKind []int // of each sample, index into Kinds

	typicalLength float32   // mean log output tokens of the trained models
	skillLevel    []float32 // by skill: mean level of the tasks that need it
}

// ability is what the predictor knows of one model; predictors and the values
// of Model share it.
type ability struct {
	name       string
	bias       float32
	axes       []float32
	average    float32 // prompt-blind logit relative to the level
	residual   []float32
	variance   []float32
	spread     float32 // extra standard deviation in logits
	lengthBias float32
	lengthAxes []float32
	lengthTask []float32
	local      *local // nil unless calibrated
}

// Model is a resolved model, cheap to copy. The zero Model is not valid; a
// Model belongs to the Predictor that made it.
type Model struct{ a *ability }

// Name is the model's name.
func (m Model) Name() string { return m.a.name }

// New builds a predictor from w, which the caller must not change afterwards.
func New(w *Weights) (*Predictor, error) {
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("new predictor: %w", err)
	}
	p := &Predictor{
		w:       w,
		encoder: encoder{rows: w.Rows, idf: w.IDF, scale: w.RowScale, idfUnit: w.IDFUnit},
		models:  make(map[string]*ability, len(w.Models)),
	}
	p.scratch.New = func() any { return new(scratch) }
	tasks := len(w.Tasks)
	for i, name := range w.Models {
		p.models[name] = &ability{
			name:       name,
			bias:       w.Bias[i],
			axes:       w.Ability[i*w.Axes:][:w.Axes],
			average:    w.Average[i],
			residual:   w.Residual[i*tasks:][:tasks],
			variance:   w.Variance[i*tasks:][:tasks],
			lengthBias: w.LengthBias[i],
			lengthAxes: w.LengthAxes[i*w.LengthAxesSize:][:w.LengthAxesSize],
			lengthTask: w.LengthTask[i*tasks:][:tasks],
		}
	}
	p.setKinds()
	p.summarise()
	return p, nil
}

// summarise derives what priors need from the weights.
func (p *Predictor) summarise() {
	w := p.w
	for _, l := range w.LengthBias {
		p.typicalLength += l / float32(len(w.LengthBias))
	}
	p.skillLevel = make([]float32, len(w.Skills))
	for k := range w.Skills {
		var sum, total float32
		for t := range w.Tasks {
			share := w.SkillOfTask[t*len(w.Skills)+k]
			sum += share * w.TaskItem[t*(1+w.Axes)]
			total += share
		}
		p.skillLevel[k] = w.Level
		if total > 0 {
			p.skillLevel[k] = sum / total
		}
	}
}

// Load decodes a weights file; see Weights.UnmarshalBinary for its errors. The
// predictor keeps views of b.
func Load(b []byte) (*Predictor, error) {
	var w Weights
	if err := w.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return New(&w)
}

// Version names the weights, as deployments pin them.
func (p *Predictor) Version() string { return p.w.Version }

// Models returns the names of the models in the training data, sorted.
func (p *Predictor) Models() []string {
	return slices.Sorted(slices.Values(p.w.Models))
}

// Model returns the model that was trained under name.
func (p *Predictor) Model(name string) (Model, bool) {
	a, ok := p.models[name]
	return Model{a}, ok
}

// scratch is the memory of one call.
type scratch struct {
	reading
	grams      grams
	part       [Dim]float32
	in         [Width]float32
	hidden     [maxHidden]float32
	taskLogits [maxTasks]float32
	familiar   float32
}

// reading is all that estimates need to know of a prompt.
type reading struct {
	embedding [Dim]float32
	item      [maxItemOut]float32 // level, demands, length and its demands
	tasks     mixture
	trust     float32
}

// Predict writes an estimate for models[i] to out[i]; out must be at least as
// long as models. It allocates nothing, and the same input gives the same bits
// on every architecture.
func (p *Predictor) Predict(in *Input, models []Model, out []Output) Evidence {
	s := p.scratch.Get().(*scratch)
	p.read(in, s)
	for i, m := range models {
		out[i] = p.estimate(&s.reading, m.a)
	}
	e := Evidence{Trust: s.trust, tasks: s.tasks, level: s.item[0]}
	p.scratch.Put(s)
	return e
}

// Shares of the parts of a conversation in its embedding, relative to the last
// user turn. Small, so that a long system prompt cannot drown the question.
const (
	systemShare  = 0.02
	historyShare = 0.25
	toolsShare   = 0.25
)

// read turns the prompt into everything about it that estimates need.
func (p *Predictor) read(in *Input, s *scratch) {
	p.encoder.raw(in, s)
	p.think(s, in.strange())
}

// think runs the networks over the raw input in s. A strange prompt is one of
// a kind that cannot be in the training data.
func (p *Predictor) think(s *scratch, strange bool) {
	w := p.w
	short := s.in[Dim] < shortText
	for i := range s.in {
		v := float32((s.in[i] - w.Mean[i]) * w.InvStd[i])
		s.in[i] = min(max(v, -InputClip), InputClip)
	}
	layer(w.TaskHidden, s.in[:], s.hidden[:w.Hidden])
	relu(s.hidden[:w.Hidden])
	logits := s.taskLogits[:len(w.Tasks)]
	layer(w.TaskOut, s.hidden[:w.Hidden], logits)
	s.tasks.softTop(logits)
	layer(w.ItemHidden, s.in[:], s.hidden[:w.ItemHiddenSize])
	relu(s.hidden[:w.ItemHiddenSize])
	layer(w.ItemOut, s.hidden[:w.ItemHiddenSize], s.item[:2+w.Axes+w.LengthAxesSize])
	p.shrinkToTask(s)
	if short {
		s.item[0] = max(s.item[0], w.Level)
	}
	s.trust = 0
	if !strange {
		s.trust = p.believe(s)
	}
}

// shortText is the first fact, the logarithm of the length, of a text so short that
// no benchmark has the like: a greeting or a small sum. The networks make what
// they like of it, but it is not taken to be harder than other prompts.
const shortText = 4.1 // 16 bytes

// shrinkToTask moves the level and the demands towards those of the tasks.
func (p *Predictor) shrinkToTask(s *scratch) {
	w := p.w
	n := 1 + w.Axes
	var level, demand float32
	for i, t := range s.tasks.task[:s.tasks.n] {
		level += float32(s.tasks.share[i] * w.WithinLevel[t])
		demand += float32(s.tasks.share[i] * w.Within[t])
	}
	within := level
	for k := range n {
		var mean float32
		for i, t := range s.tasks.task[:s.tasks.n] {
			mean += float32(s.tasks.share[i] * w.TaskItem[t*n+k])
		}
		s.item[k] = mean + float32(within*(s.item[k]-mean))
		within = demand
	}
}

// raw writes the networks' input before standardisation to s.in, with the
// embedding and familiarity it has on the way.
func (e *encoder) raw(in *Input, s *scratch) {
	g := &s.grams
	g.readUser(in.User)
	s.familiar = e.embed(g, &s.embedding)
	g.facts(s.in[Dim:])
	e.mix(s, head(in.System, maxSystem), systemShare)
	e.mix(s, tail(in.History, maxHistory), historyShare)
	e.mix(s, head(in.Tools, maxTools), toolsShare)
	copy(s.in[:Dim], s.embedding[:])
}

// Encode writes the networks' input for in, before standardisation, to x, which
// has length Width, and returns how familiar the prompt's n-grams are to the
// table, a number of at least zero to compare with others. Only the n-gram table of w is used. For training.
func (w *Weights) Encode(in *Input, x []float32) (familiar float32) {
	e := encoder{rows: w.Rows, idf: w.IDF, scale: w.RowScale, idfUnit: w.IDFUnit}
	s := encodeScratch.Get().(*scratch)
	defer encodeScratch.Put(s)
	e.raw(in, s)
	copy(x, s.in[:])
	return s.familiar
}

var encodeScratch = sync.Pool{New: func() any { return new(scratch) }}

// InputClip bounds the standardised input of the networks.
const InputClip = 4

// mix adds a share of text's embedding to the prompt's.
func (e *encoder) mix(s *scratch, text []byte, share float32) {
	if len(text) == 0 {
		return
	}
	s.grams.read(text, nil)
	if e.embed(&s.grams, &s.part) == 0 {
		return
	}
	var norm float32
	for i, v := range s.part {
		s.embedding[i] += float32(v * share)
		norm += float32(s.embedding[i] * s.embedding[i])
	}
	if norm > 0 {
		inv := 1 / sqrt32(norm)
		for i := range s.embedding {
			s.embedding[i] = float32(s.embedding[i] * inv)
		}
	}
}

// believe says how much the prompt is like the training data, 0 to 1.
func (p *Predictor) believe(s *scratch) float32 {
	w, g := p.w, &p.w.Guard
	var near float32
	for i, t := range s.tasks.task[:s.tasks.n] {
		near += float32(s.tasks.share[i] * Nearness(Dot(s.embedding[:], w.TaskCentre[t*Dim:]), w.TaskNear[2*t:]))
	}
	known := sigmoid(float32(g.Weights[0]*near) + float32(g.Weights[1]*s.tasks.share[0]) + g.Weights[Signals])
	fade := (s.familiar - g.Strange) / max(g.Familiar-g.Strange, 1e-6)
	return float32(known * min(max(fade, 0), 1))
}

// Nearness is how near a prompt with that cosine to a task's centre is, in
// standard deviations of the task's own prompts, whose mean cosine and
// reciprocal deviation are in task. For training.
func Nearness(cosine float32, task []float32) float32 {
	return min(max(float32((cosine-task[0])*task[1]), -6), 2)
}

// estimate mixes what is known of one model for the prompt that s was read
// from.
func (p *Predictor) estimate(s *reading, a *ability) Output {
	out, _ := p.estimateOwn(s, a)
	return out
}

// estimateOwn also returns what the logit owes to how the model differs from the
// others on this prompt more than on average.
func (p *Predictor) estimateOwn(s *reading, a *ability) (out Output, own float32) {
	w := p.w
	level := s.item[0]
	theta := s.item[1:][:w.Axes]
	deviation := a.bias + Dot(a.axes, theta)
	length := a.lengthBias + s.item[1+w.Axes] + Dot(a.lengthAxes, s.item[2+w.Axes:])
	var variance float32
	for i, t := range s.tasks.task[:s.tasks.n] {
		share := s.tasks.share[i]
		deviation += float32(share * a.residual[t])
		variance += float32(share * a.variance[t])
		length += float32(share * a.lengthTask[t])
	}
	doubt := 1 - s.trust
	byLevel := s.trust + float32(doubt*w.Guard.Level)
	own = float32(s.trust * (deviation - a.average))
	logit := w.Level + float32(byLevel*(level-w.Level)) + a.average + own
	variance += float32(doubt*float32(w.Guard.Spread*w.Guard.Spread)) + float32(a.spread*a.spread)
	if a.local != nil {
		logit, variance = a.local.correct(&s.embedding, own, logit)
	}
	q := sigmoid(logit)
	return Output{
		Quality:      q,
		Uncertainty:  min(float32(float32(q*(1-q))*sqrt32(variance)), 0.5),
		OutputTokens: min(max(exp32(length), 1), maxOutputTokens),
		Guarded:      s.trust < w.Guard.Threshold && a.local == nil,
	}, own
}

// maxOutputTokens bounds the expected length of an answer.
const maxOutputTokens = 65536
