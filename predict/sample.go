package predict

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Evidence is what Predict made of a prompt as a whole. It is a value.
type Evidence struct {
	// Trust is how much the prompt is like the training data, 0 to 1.
	Trust float32
	tasks mixture
}

// Kinds names the kinds of prompts that the predictor tells apart when it comes
// to what quality is worth: the benchmarks of its training data.
func (p *Predictor) Kinds() []string { return slices.Clone(p.kinds) }

// Worth mixes worth, which is by kind, as e says that the prompt is of each.
func (p *Predictor) Worth(e *Evidence, worth []float64) float64 {
	var sum float64
	for i, t := range e.tasks.task[:e.tasks.n] {
		sum += float64(float64(e.tasks.share[i]) * worth[p.kindOfTask[t]])
	}
	return sum
}

// Sample is one training prompt as the predictor sees it, without its text.
type Sample struct {
	Kind         int // index into Kinds
	PromptTokens int
	Outputs      []Output // by model
}

// Samples runs over the prompts that the weights carry for calibration, with
// estimates for models. The slice of a Sample is overwritten by the next.
func (p *Predictor) Samples(models []Model) iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		p.sampleOnce.Do(p.readSamples)
		out := make([]Output, len(models))
		for i := range p.samples {
			s := &p.samples[i]
			for k, m := range models {
				out[k] = p.estimate(s, m.a)
			}
			task := p.w.SampleTasks[i]
			if !yield(Sample{Kind: p.kindOfTask[task], PromptTokens: p.w.SampleTokens[i], Outputs: out}) {
				return
			}
		}
	}
}

// readSamples prepares the samples once; it takes some milliseconds that a
// predictor without deployments need not spend.
func (p *Predictor) readSamples() {
	p.samples = make([]reading, len(p.w.SampleTasks))
	s := new(scratch)
	for i := range p.samples {
		raw := p.w.Samples[i*(Width+1):][:Width+1]
		copy(s.in[:], raw)
		copy(s.embedding[:], raw)
		s.familiar = raw[Width]
		p.think(s, false)
		p.samples[i] = s.reading
	}
}

// KindOf is the part of a task's name that says which kind it is of.
func KindOf(task string) string {
	kind, _, _ := strings.Cut(task, "/")
	return kind
}

// setKinds derives the kinds from the names of the tasks.
func (p *Predictor) setKinds() {
	for _, t := range p.w.Tasks {
		p.kinds = append(p.kinds, KindOf(t))
	}
	slices.Sort(p.kinds)
	p.kinds = slices.Compact(p.kinds)
	for _, t := range p.w.Tasks {
		kind, _ := slices.BinarySearch(p.kinds, KindOf(t))
		p.kindOfTask = append(p.kindOfTask, kind)
	}
}

// checkSamples reports what is wrong with the lists that go with the samples.
func (w *Weights) checkSamples() error {
	if len(w.SampleTasks) != len(w.SampleTokens) {
		return fmt.Errorf("%d tasks and %d lengths of samples", len(w.SampleTasks), len(w.SampleTokens))
	}
	for i, t := range w.SampleTasks {
		if t < 0 || t >= len(w.Tasks) || w.SampleTokens[i] < 0 {
			return fmt.Errorf("sample %d: task %d of %d, %d tokens", i, t, len(w.Tasks), w.SampleTokens[i])
		}
	}
	return nil
}
