package predict

import (
	"cmp"
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
	level float32 // how easy the prompt is, in logits
}

// kind is a kind of prompt that the predictor tells apart when it comes to what
// quality is worth, in two halves: how a deployment should spend on the hard
// prompts of a benchmark says little of its easy ones.
type kind struct {
	name  string
	level [2]float32 // mean logits of the hard and of the easy half of its samples
}

// easy is how much a prompt of that level belongs to the easy half, 0 to 1.
func (k *kind) easy(level float32) float64 {
	const apart = 1e-3 // all samples may be alike
	return float64(min(max((level-k.level[0])/max(k.level[1]-k.level[0], apart), 0), 1))
}

// Kinds names the kinds of prompts: the benchmarks of the training data, hard
// and easy.
func (p *Predictor) Kinds() []string {
	var names []string
	for i := range p.kinds { // not by value: the levels may be on their way
		name := p.kinds[i].name
		names = append(names, name+", hard", name+", easy")
	}
	return names
}

// Worth mixes worth, which is by kind, as e says that the prompt is of each.
func (p *Predictor) Worth(e *Evidence, worth []float64) float64 {
	p.sampleOnce.Do(p.readSamples)
	var sum float64
	for i, t := range e.tasks.task[:e.tasks.n] {
		k := p.kindOfTask[t]
		easy := p.kinds[k].easy(e.level)
		mixed := float64((1-easy)*worth[2*k]) + float64(easy*worth[2*k+1])
		sum += float64(float64(e.tasks.share[i]) * mixed)
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
			if !yield(Sample{Kind: p.sampleKind[i], PromptTokens: p.w.SampleTokens[i], Outputs: out}) {
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
	p.halve()
}

// KindOf is the part of a task's name that says which kind it is of.
func KindOf(task string) string {
	kind, _, _ := strings.Cut(task, "/")
	return kind
}

// ownKind is how many samples a task needs to be a kind of its own.
const ownKind = 40

// setKinds derives the kinds from the names of the tasks and their samples.
func (p *Predictor) setKinds() {
	samples := make([]int, len(p.w.Tasks))
	for _, t := range p.w.SampleTasks {
		samples[t]++
	}
	kindOf := make([]string, len(p.w.Tasks))
	for t, task := range p.w.Tasks {
		kindOf[t] = KindOf(task)
		if samples[t] >= ownKind {
			kindOf[t] = task
		}
	}
	names := slices.Compact(slices.Sorted(slices.Values(kindOf)))
	for _, name := range names {
		p.kinds = append(p.kinds, kind{name: name})
	}
	for _, name := range kindOf {
		k, _ := slices.BinarySearch(names, name)
		p.kindOfTask = append(p.kindOfTask, k)
	}
}

// halve splits the samples of each kind by their levels.
func (p *Predictor) halve() {
	byKind := make([][]int, len(p.kinds))
	for i, t := range p.w.SampleTasks {
		byKind[p.kindOfTask[t]] = append(byKind[p.kindOfTask[t]], i)
	}
	p.sampleKind = make([]int, len(p.samples))
	for k, of := range byKind {
		slices.SortStableFunc(of, func(a, b int) int { return cmp.Compare(p.samples[a].item[0], p.samples[b].item[0]) })
		middle := len(of) / 2
		for half, of := range [2][]int{of[:middle], of[middle:]} {
			for _, i := range of {
				p.sampleKind[i] = 2*k + half
				p.kinds[k].level[half] += p.samples[i].item[0] / float32(len(of))
			}
		}
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
