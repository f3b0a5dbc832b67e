package train

import "wye/predict"

// Sampled says which prompts of d the weights of a run would carry.
func Sampled(d *Data, config Config) ([]bool, error) {
	r := &run{config: config, data: d, w: &predict.Weights{}}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	r.drawSamples()
	out := make([]bool, len(d.Prompts))
	for i, p := range r.prompts {
		out[p] = r.sampled[i]
	}
	return out, nil
}
