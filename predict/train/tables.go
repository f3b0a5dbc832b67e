package train

import (
	"math"
	"slices"

	"wye/predict"
)

// fitResiduals fits, for each model and task, what its scores and lengths are
// beyond the item response model, shrunk towards zero, and how sure that is.
func (r *run) fitResiduals() {
	w := r.w
	tasks, axes, stride := len(w.Tasks), r.config.Axes, r.stride()
	type cell struct {
		logit []float32
		score []float32
		error float64
		n     float64
	}
	cells := make([]cell, len(w.Models)*tasks)
	out := make([]float32, stride)
	for i, x := range r.x {
		r.item.forward(x, out, nil)
		for _, o := range r.answers[i] {
			m := r.models.value[o.Model*stride:][:stride]
			c := &cells[o.Model*tasks+r.task[i]]
			c.logit = append(c.logit, out[0]+m[0]+dot32(m[1:1+axes], out[1:]))
			c.score = append(c.score, o.Score)
			if o.Tokens > 0 {
				c.error += math.Log(float64(o.Tokens)) - float64(out[1+axes]+m[1+axes]+dot32(m[2+axes:], out[2+axes:]))
				c.n++
			}
		}
	}
	w.Residual = make([]float32, len(cells))
	w.Variance = make([]float32, len(cells))
	w.LengthTask = make([]float32, len(cells))
	for i := range cells {
		c := &cells[i]
		mean, variance := posterior(c.logit, c.score, r.config.ResidualVar)
		w.Residual[i], w.Variance[i] = float32(mean), float32(variance)
		w.LengthTask[i] = float32(c.error / (c.n + 5))
	}
	w.TaskItem = make([]float32, tasks*(1+axes))
	count := make([]float32, tasks)
	for i, x := range r.x {
		r.item.forward(x, out, nil)
		axpy(1, out[:1+axes], w.TaskItem[r.task[i]*(1+axes):])
		count[r.task[i]]++
	}
	for t, n := range count {
		for k := range 1 + axes {
			w.TaskItem[t*(1+axes)+k] /= n
		}
	}
}

// posterior is the mode and the variance (Laplace) of a shift of the logits
// under a normal prior of mean 0 and variance prior.
func posterior(logits, scores []float32, prior float64) (shift, variance float64) {
	curvature := 1 / prior
	for range 12 {
		slope := -shift / prior
		curvature = 1 / prior
		for i, l := range logits {
			p := sigmoid(float64(l) + shift)
			slope += float64(scores[i]) - p
			curvature += p * (1 - p)
		}
		shift += min(max(slope/curvature, -1), 1)
	}
	return shift, 1 / curvature
}

// fitAverages finds each model's prompt-blind logit: the mean over tasks, each
// counting once, of what the model is above the prompt's level.
func (r *run) fitAverages() {
	w := r.w
	tasks, axes := len(w.Tasks), r.config.Axes
	var level float64
	w.Average = make([]float32, len(w.Models))
	for t := range tasks {
		level += float64(w.TaskItem[t*(1+axes)]) / float64(tasks)
	}
	w.Level = float32(level)
	for m := range w.Models {
		var sum float64
		for t := range tasks {
			d := float64(w.Bias[m]) + float64(w.Residual[m*tasks+t])
			for k := range axes {
				d += float64(w.Ability[m*axes+k]) * float64(w.TaskItem[t*(1+axes)+1+k])
			}
			sum += d
		}
		w.Average[m] = float32(sum / float64(tasks))
	}
}

// fitGuard places the trust ramp below the familiarity of training prompts.
func (r *run) fitGuard() {
	familiar := make([]float64, len(r.prompts))
	each(len(r.prompts), func(i int) {
		x := make([]float32, predict.Width)
		familiar[i] = float64(r.w.Encode(&predict.Input{User: []byte(r.data.Prompts[r.prompts[i]].Text)}, x))
	})
	slices.Sort(familiar)
	r.w.Guard = predict.Guard{
		Low:       float32(familiar[len(familiar)/500] * 0.5),
		High:      float32(familiar[len(familiar)/100] * 0.8),
		Threshold: 0.5, Spread: 0.5,
	}
}
