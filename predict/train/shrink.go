package train

import (
	"maps"
	"slices"

	"wye/predict"
)

// apart is what an answer to a prompt is predicted to be: a logit common to all
// answers to the prompt, and how the model differs from the others there, in
// parts that are not equally sure.
type apart struct {
	common float64
	parts  believed
	score  float64
}

// believed is a number for each part of a difference: on all prompts of a kind,
// on the prompt's task beyond that, and on the prompt itself beyond that.
type believed [3]float64

// Before there is evidence, differences are believed as far as they are. The
// evidence of a kind counts as if the share were drawn with shareVariance, and
// a score strayed from its probability with scoreVariance.
var fullBelief = believed{1, 1, 1}

const (
	shareVariance = 0.05
	scoreVariance = 0.15
)

// shrinkDifferences fits by kind how far predicted differences between models
// hold on prompts that the networks and the tables had not seen, and shrinks
// the tables to that. Choices hang on differences alone, and who picks the best
// of many estimates picks the luckiest errors, so what is too bold here costs
// more quality than the same error of a level.
func (r *run) shrinkDifferences(unseen []held, fold []int) {
	w := r.w
	residual, variance := w.Residual, w.Variance
	byKind := map[string][][]apart{}
	for f := range folds {
		// Tables without the fold, or answers would vouch for themselves.
		others := slices.Clone(unseen)
		for i := range others {
			if fold[i] == f {
				others[i] = held{}
			}
		}
		w.Residual, w.Variance = make([]float32, len(residual)), make([]float32, len(residual))
		r.fitResiduals(others)
		r.differences(unseen, func(i int) bool { return fold[i] == f && unseen[i].n > 0 }, byKind)
	}
	w.Residual, w.Variance = residual, variance
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		share := fitShares(byKind[kind])
		r.say("differences between models on %s hold by %.2f, those on a task by %.2f, those on a prompt by %.2f", kind, share[0], share[1], share[2])
		r.shrink(kind, share)
	}
}

// differences appends what is predicted of the prompts that use admits, prompt
// by prompt, to the lists of their kinds.
func (r *run) differences(unseen []held, use func(i int) bool, byKind map[string][][]apart) {
	w := r.w
	type cell struct {
		kind  string
		model int
	}
	sum, n := map[cell]float64{}, map[cell]float64{}
	onTasks := func(i, j int) float64 {
		return unseen[i].onTasks[j] + unseen[i].mixed(w.Residual[r.answers[i][j].Model*len(w.Tasks):])
	}
	for i := range unseen {
		if !use(i) {
			continue
		}
		for j, o := range r.answers[i] {
			c := cell{predict.KindOf(w.Tasks[r.task[i]]), o.Model}
			sum[c] += onTasks(i, j)
			n[c]++
		}
	}
	for i := range unseen {
		if !use(i) {
			continue
		}
		h := &unseen[i]
		kind := predict.KindOf(w.Tasks[r.task[i]])
		level := h.levelMean + h.mixed(w.WithinLevel)*(h.level-h.levelMean)
		within := h.mixed(w.Within)
		prompt := make([]apart, len(r.answers[i]))
		var mean believed
		for j, o := range r.answers[i] {
			c := cell{kind, o.Model}
			onKind := sum[c] / n[c]
			prompt[j] = apart{level, believed{onKind, onTasks(i, j) - onKind, within * h.beyond[j]}, float64(o.Score)}
			for k, v := range prompt[j].parts {
				mean[k] += v / float64(len(prompt))
			}
		}
		for j := range prompt {
			for k, v := range mean {
				prompt[j].parts[k] -= v
				prompt[j].common += v
			}
		}
		byKind[kind] = append(byKind[kind], prompt)
	}
}

// fitShares is the least squares, under a normal prior, of what scores differ
// from the mean of their prompt.
func fitShares(prompts [][]apart) believed {
	const prior = scoreVariance / shareVariance
	share := fullBelief
	for range 10 {
		var g believed
		var h [len(share)]believed
		for k := range share {
			g[k] = prior * (fullBelief[k] - share[k])
			h[k][k] = prior
		}
		for _, prompt := range prompts {
			addSquares(prompt, &share, &g, &h)
		}
		step := solve(h, g)
		for k := range share {
			share[k] = min(max(share[k]+step[k], 0), 1)
		}
	}
	return share
}

// addSquares adds a prompt's gradient and curvature of the squares.
func addSquares(prompt []apart, share, g *believed, h *[3]believed) {
	n := float64(len(prompt))
	miss, slope := make([]float64, len(prompt)), make([]believed, len(prompt))
	var missMean float64
	var slopeMean believed
	for j := range prompt {
		a := &prompt[j]
		z := a.common
		for k, v := range a.parts {
			z += share[k] * v
		}
		q := sigmoid(z)
		miss[j] = a.score - q
		missMean += miss[j] / n
		for k, v := range a.parts {
			slope[j][k] = q * (1 - q) * v
			slopeMean[k] += slope[j][k] / n
		}
	}
	for j := range prompt {
		for k := range g {
			x := slope[j][k] - slopeMean[k]
			g[k] += x * (miss[j] - missMean)
			for l := range g {
				h[k][l] += x * (slope[j][l] - slopeMean[l])
			}
		}
	}
}

// shrink moves what the tables say of models on the tasks of a kind towards
// their mean on the kind, and that towards the mean of the kind's models.
func (r *run) shrink(kind string, share believed) {
	w := r.w
	tasks := len(w.Tasks)
	prompts, graded := make([]float64, tasks), make([]bool, len(w.Models))
	var all, models float64
	for i, t := range r.task {
		if predict.KindOf(w.Tasks[t]) != kind {
			continue
		}
		prompts[t]++
		all++
		for _, o := range r.answers[i] {
			graded[o.Model] = true
		}
	}
	for _, ok := range graded {
		if ok {
			models++
		}
	}
	common := make([]float64, tasks)
	onKind := make([]float64, len(w.Models))
	for t, n := range prompts {
		if n == 0 {
			continue
		}
		for m := range w.Models {
			if graded[m] {
				common[t] += r.onTask(m, t) / models
			}
		}
		for m := range w.Models {
			onKind[m] += n / all * (r.onTask(m, t) - common[t])
		}
	}
	for t, n := range prompts {
		if n == 0 {
			continue
		}
		for m := range w.Models {
			d := r.onTask(m, t) - common[t]
			w.Residual[m*tasks+t] += float32(share[0]*onKind[m] + share[1]*(d-onKind[m]) - d)
		}
		w.Within[t] *= float32(share[2])
	}
}

// onTask is what the weights say of a model on a task, in logits above the
// task's level.
func (r *run) onTask(m, t int) float64 {
	w := r.w
	item := w.TaskItem[t*(1+w.Axes):][1 : 1+w.Axes]
	return float64(w.Bias[m] + w.Residual[m*len(w.Tasks)+t] + predict.Dot(w.Ability[m*w.Axes:][:w.Axes], item))
}

// rebase moves the residuals from the networks that they were fitted on, whose
// mean logits by model and task are onTasks, to those that ship: what a model
// does on a task must not count twice where the latter learned more of it.
func (r *run) rebase(onTasks []float64) {
	w := r.w
	tasks := len(w.Tasks)
	for m := range w.Models {
		for t := range tasks {
			ships := float64(w.TaskItem[t*(1+w.Axes)]) + r.onTask(m, t) - float64(w.Residual[m*tasks+t])
			w.Residual[m*tasks+t] += float32(onTasks[m*tasks+t] - ships)
		}
	}
}
