package train

import (
	"math"

	"wye/predict"
)

// observation is one graded answer as a table cell sees it.
type observation struct{ logit, score, weight float64 }

// posterior is the mode and the variance (Laplace) of a shift of the logits
// under a normal prior.
func posterior(obs []observation, mean, prior float64) (shift, variance float64) {
	shift = mean
	curvature := 1 / prior
	for range 12 {
		slope := (mean - shift) / prior
		curvature = 1 / prior
		for _, o := range obs {
			p := sigmoid(o.logit + shift)
			slope += o.weight * (o.score - p)
			curvature += o.weight * p * (1 - p)
		}
		step := min(max(slope/curvature, -1), 1)
		shift += step
		if math.Abs(step) < 1e-9 {
			break
		}
	}
	return shift, 1 / curvature
}

// fitTables fits, on prompts that the networks had not seen, what they leave
// over: by task, how far a prompt may differ from its task; by model and task,
// what the model does beyond the item response model, shrunk towards what it
// does on that family of tasks, and how sure that is.
func (r *run) fitTables(unseen []held) {
	w := r.w
	tasks := len(w.Tasks)
	w.Residual = make([]float32, len(w.Models)*tasks)
	w.Variance = make([]float32, len(w.Models)*tasks)
	w.LengthTask = make([]float32, len(w.Models)*tasks)
	w.WithinLevel, w.Within = make([]float32, tasks), make([]float32, tasks)
	for t := range tasks {
		w.WithinLevel[t], w.Within[t] = 1, 1
	}
	for range 3 {
		r.fitResiduals(unseen)
		r.fitWithin(unseen)
	}
	r.fitResiduals(unseen)
	r.fitLengths(unseen)
}

// mixed is the mean of table over the tasks of h.
func (h *held) mixed(table []float32) float64 {
	var sum float64
	for k := range h.n {
		sum += h.shares[k] * float64(table[h.tasks[k]])
	}
	return sum
}

// base is the logit of the j-th answer without residuals.
func (r *run) base(h *held, j int) float64 {
	return h.levelMean + h.mixed(r.w.WithinLevel)*(h.level-h.levelMean) + h.onTasks[j] + h.mixed(r.w.Within)*h.beyond[j]
}

// fitResiduals counts each answer towards the tasks its prompt looks like, as
// estimates will be mixed.
func (r *run) fitResiduals(unseen []held) {
	w := r.w
	tasks := len(w.Tasks)
	families := map[string]int{}
	familyOf := make([]int, tasks)
	for t, name := range w.Tasks {
		f, ok := families[predict.KindOf(name)]
		if !ok {
			f = len(families)
			families[predict.KindOf(name)] = f
		}
		familyOf[t] = f
	}
	cells := make([][]observation, len(w.Models)*tasks)
	wide := make([][]observation, len(w.Models)*len(families))
	for i := range unseen {
		h := &unseen[i]
		if h.n == 0 {
			continue // left out
		}
		for j, o := range r.answers[i] {
			z := r.base(h, j)
			for k := range h.n {
				if h.shares[k] < 0.02 {
					continue
				}
				t := h.tasks[k]
				obs := observation{z, float64(o.Score), h.shares[k]}
				cells[o.Model*tasks+t] = append(cells[o.Model*tasks+t], obs)
				f := o.Model*len(families) + familyOf[t]
				wide[f] = append(wide[f], obs)
			}
		}
	}
	shift, variance := make([]float64, len(wide)), make([]float64, len(wide))
	each(len(wide), func(i int) { shift[i], variance[i] = posterior(wide[i], 0, r.config.FamilyVar) })
	each(len(cells), func(i int) {
		f := i/tasks*len(families) + familyOf[i%tasks]
		mean, v := posterior(cells[i], shift[f], r.config.ResidualVar)
		w.Residual[i], w.Variance[i] = float32(mean), float32(v+variance[f]*v/r.config.ResidualVar)
	})
}

// fitWithin fits by task how far prompts' levels and demands are to be believed
// beyond the task's own, on the answers whose prompt is of the task.
func (r *run) fitWithin(unseen []held) {
	w := r.w
	type term struct{ rest, level, beyond, score, weight float64 }
	terms := make([][]term, len(w.Tasks))
	for i := range unseen {
		h := &unseen[i]
		weight := 1 / math.Sqrt(float64(len(r.answers[i])))
		for j, o := range r.answers[i] {
			rest := h.levelMean + h.onTasks[j]
			for k := range h.n {
				rest += h.shares[k] * float64(w.Residual[o.Model*len(w.Tasks)+h.tasks[k]])
			}
			terms[r.task[i]] = append(terms[r.task[i]], term{rest, h.level - h.levelMean, h.beyond[j], float64(o.Score), weight})
		}
	}
	each(len(terms), func(t int) {
		// Newton's method in two dimensions under a normal prior.
		a, b := 0.8, 0.8
		prior := r.config.WithinVar
		for range 12 {
			ga, gb := (0.8-a)/prior, (0.8-b)/prior
			haa, hbb, hab := 1/prior, 1/prior, 0.0
			for _, x := range terms[t] {
				p := sigmoid(x.rest + a*x.level + b*x.beyond)
				e, c := x.weight*(x.score-p), x.weight*p*(1-p)
				ga += e * x.level
				gb += e * x.beyond
				haa += c * x.level * x.level
				hbb += c * x.beyond * x.beyond
				hab += c * x.level * x.beyond
			}
			det := haa*hbb - hab*hab
			a += min(max((hbb*ga-hab*gb)/det, -0.5), 0.5)
			b += min(max((haa*gb-hab*ga)/det, -0.5), 0.5)
		}
		w.WithinLevel[t] = float32(min(max(a, 0), 1.5))
		w.Within[t] = float32(min(max(b, 0), 1.5))
	})
}

// fitLengths fits what log lengths are beyond the network's, by model and task.
func (r *run) fitLengths(unseen []held) {
	w := r.w
	tasks := len(w.Tasks)
	sum, n := make([]float64, len(w.LengthTask)), make([]float64, len(w.LengthTask))
	for i := range unseen {
		h := &unseen[i]
		for j, o := range r.answers[i] {
			if !(o.Tokens > 0) {
				continue
			}
			e := math.Log(float64(o.Tokens)) - h.length[j]
			for k := range h.n {
				sum[o.Model*tasks+h.tasks[k]] += h.shares[k] * e
				n[o.Model*tasks+h.tasks[k]] += h.shares[k]
			}
		}
	}
	for i := range sum {
		w.LengthTask[i] = float32(sum[i] / (n[i] + 5))
	}
}

// fitAverages finds each model's prompt-blind logit: the mean over tasks, each
// counting once, of what the model is above the prompt's level.
func (r *run) fitAverages() {
	w := r.w
	tasks, width := len(w.Tasks), 1+w.Axes
	w.Average = make([]float32, len(w.Models))
	var level float64
	for t := range tasks {
		level += float64(w.TaskItem[t*width]) / float64(tasks)
	}
	w.Level = float32(level)
	for m := range w.Models {
		var sum float64
		for t := range tasks {
			sum += float64(w.Bias[m] + w.Residual[m*tasks+t] + predict.Dot(w.Ability[m*w.Axes:][:w.Axes], w.TaskItem[t*width+1:]))
		}
		w.Average[m] = float32(sum / float64(tasks))
	}
}

// fitPrices fits the trend of averages over log prices.
func (r *run) fitPrices() {
	w := r.w
	var n, sx, sy, sxx, sxy, all, allSquare float64
	low, high := math.Inf(1), math.Inf(-1)
	priced := map[int]float64{}
	for m, name := range w.Models {
		y := float64(w.Average[m])
		all += y
		allSquare += y * y
		price, ok := r.data.Prices[name]
		if !ok {
			continue
		}
		x := math.Log(max((3*price.Input+price.Output)/4, 1e-3))
		priced[m] = x
		low, high = min(low, x), max(high, x)
		n++
		sx += x
		sy += y
		sxx += x * x
		sxy += x * y
	}
	count := float64(len(w.Models))
	mean := all / count
	w.Price = predict.Trend{Mean: float32(mean), MeanSpread: float32(math.Sqrt(max(allSquare/count-mean*mean, 0.01)))}
	w.Price.Intercept, w.Price.Spread = w.Price.Mean, w.Price.MeanSpread
	if det := n*sxx - sx*sx; n >= 3 && det > 1e-9 {
		slope := (n*sxy - sx*sy) / det
		intercept := (sy - slope*sx) / n
		var square float64
		for m := range w.Models {
			if x, ok := priced[m]; ok {
				e := float64(w.Average[m]) - intercept - slope*x
				square += e * e
			}
		}
		w.Price.Slope, w.Price.Intercept = float32(slope), float32(intercept)
		w.Price.Low, w.Price.High = float32(low), float32(high)
		w.Price.Spread = float32(math.Sqrt(square / max(n-2, 1)))
	}
}
