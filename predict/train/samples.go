package train

import (
	"slices"

	"wye/predict"
)

// samplesPerKind is how many training prompts of each kind the weights carry,
// so that a deployment's rates can be calibrated for its own models and prices.
const samplesPerKind = 64

// fitSamples draws the prompts that the weights carry. It needs their raw input,
// which r.x is no more.
func (r *run) fitSamples() {
	byKind := map[string][]int{}
	var kinds []string
	for i, p := range r.prompts {
		kind := predict.KindOf(r.data.Prompts[p].Task)
		if byKind[kind] == nil {
			kinds = append(kinds, kind)
		}
		byKind[kind] = append(byKind[kind], i)
	}
	slices.Sort(kinds)
	w, rng := r.w, r.rng(300)
	var raw [predict.Width]float32
	for _, kind := range kinds {
		of := byKind[kind]
		rng.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
		of = of[:min(len(of), samplesPerKind)]
		slices.Sort(of)
		for _, i := range of {
			p := &r.data.Prompts[r.prompts[i]]
			familiar := w.Encode(&predict.Input{User: []byte(p.Text)}, raw[:])
			w.Samples = append(append(w.Samples, raw[:]...), familiar)
			w.SampleTasks = append(w.SampleTasks, r.task[i])
			w.SampleTokens = append(w.SampleTokens, p.InputTokens)
		}
	}
}
