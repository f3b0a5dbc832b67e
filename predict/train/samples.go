package train

import (
	"maps"
	"slices"

	"wye/predict"
)

// samplesPerSource is how many training prompts of each source the weights
// carry, so that a deployment's rates can be calibrated for its own models and
// prices; no more than one in samplesShare of the source's.
const (
	samplesPerSource = 128
	samplesShare     = 8
)

// drawSamples draws the prompts that the weights carry. The networks that ship
// must not learn from them: what these promise on prompts that they have seen
// is more than they keep on others.
func (r *run) drawSamples() {
	bySource := map[string][]int{}
	for i, p := range r.prompts {
		source := r.data.Prompts[p].Source
		bySource[source] = append(bySource[source], i)
	}
	r.sampled = make([]bool, len(r.prompts))
	rng := r.rng(300)
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		of := bySource[source]
		rng.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
		for _, i := range of[:min(len(of)/samplesShare, samplesPerSource)] {
			r.sampled[i] = true
		}
	}
}

// fitSamples stores the drawn prompts. It needs their raw input, which r.x is no
// more.
func (r *run) fitSamples() {
	w := r.w
	var raw [predict.Width]float32
	for i, ok := range r.sampled {
		if !ok {
			continue
		}
		p := &r.data.Prompts[r.prompts[i]]
		familiar := w.Encode(&predict.Input{User: []byte(p.Text)}, raw[:])
		w.Samples = append(append(w.Samples, raw[:]...), familiar)
		w.SampleTasks = append(w.SampleTasks, r.task[i])
		w.SampleTokens = append(w.SampleTokens, p.InputTokens)
	}
}
