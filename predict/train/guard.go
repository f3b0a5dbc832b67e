package train

import (
	"math"

	"wye/predict"
)

// fitGuard learns, from prompts of tasks that networks had not seen beside
// prompts of tasks that they had, to tell the two apart, and how far the
// prompt is to be believed on the former.
func (r *run) fitGuard(unseenPrompts, unseenTasks []held) {
	g := &r.w.Guard
	g.Weights = r.fitTrust(unseenPrompts, unseenTasks)
	level, deviation := r.fitFloor(unseenTasks)
	g.Level, g.Deviation = float32(level), float32(deviation)
	g.Spread = float32(r.fitSpread(unseenTasks))
	g.Threshold = 0.5
}

// fitTrust is a logistic regression of whether the task was seen on the
// signals; its weights, the last a constant.
func (r *run) fitTrust(seen, unseen []held) (w [predict.Signals + 1]float32) {
	const n = predict.Signals + 1
	type sample struct {
		x [n]float64
		y float64
		c float64
	}
	var samples []sample
	for i := range r.x {
		for y, hs := range [][]held{unseen, seen} {
			if len(hs[i].onTasks) == 0 {
				continue // no fold without it
			}
			s := sample{y: float64(y), c: r.weight[i]}
			copy(s.x[:], hs[i].signals[:])
			s.x[n-1] = 1
			samples = append(samples, s)
		}
	}
	var b [n]float64
	for range 25 {
		var g [n]float64
		var h [n][n]float64
		for j := range n {
			g[j], h[j][j] = -0.01*b[j], 0.01
		}
		for i := range samples {
			s := &samples[i]
			var z float64
			for j := range n {
				z += b[j] * s.x[j]
			}
			p := sigmoid(z)
			for j := range n {
				g[j] += s.c * (s.y - p) * s.x[j]
				for k := range n {
					h[j][k] += s.c * p * (1 - p) * s.x[j] * s.x[k]
				}
			}
		}
		step := solve(h, g)
		for j := range n {
			b[j] += min(max(step[j], -3), 3)
		}
	}
	for j := range n {
		w[j] = float32(b[j])
	}
	return w
}

// solve is Gaussian elimination with pivots for a small system.
func solve[V [predict.Signals + 1]float64](h [predict.Signals + 1]V, g V) V {
	n := len(g)
	for c := range n {
		p := c
		for r := c + 1; r < n; r++ {
			if math.Abs(h[r][c]) > math.Abs(h[p][c]) {
				p = r
			}
		}
		h[c], h[p] = h[p], h[c]
		g[c], g[p] = g[p], g[c]
		for r := c + 1; r < n; r++ {
			f := h[r][c] / h[c][c]
			for k := c; k < n; k++ {
				h[r][k] -= f * h[c][k]
			}
			g[r] -= f * g[c]
		}
	}
	for c := n - 1; c >= 0; c-- {
		for k := c + 1; k < n; k++ {
			g[c] -= h[c][k] * g[k]
		}
		g[c] /= h[c][c]
	}
	return g
}

// fitFloor fits how much of the predicted level and of the models' predicted
// differences holds on unseen tasks: logit = blind level + level·(its
// difference) + average + deviation·(its difference), each task counting alike.
func (r *run) fitFloor(unseen []held) (level, deviation float64) {
	level, deviation = 0.5, 0.5
	for range 20 {
		const prior = 0.01 // weak
		ga, gb, haa, hbb, hab := 0.0, 0.0, prior, prior, 0.0
		for i := range unseen {
			h := &unseen[i]
			for j := range h.onTasks {
				o := &r.answers[i][j]
				x := h.level - h.blindLevel
				d := h.onTasks[j] + h.beyond[j] - h.average[j]
				p := sigmoid(h.blindLevel + h.average[j] + level*x + deviation*d)
				c := r.weight[i] / math.Sqrt(float64(len(r.answers[i])))
				e := c * (float64(o.Score) - p)
				c *= p * (1 - p)
				ga += e * x
				gb += e * d
				haa += c * x * x
				hbb += c * d * d
				hab += c * x * d
			}
		}
		det := haa*hbb - hab*hab
		level += min(max((hbb*ga-hab*gb)/det, -0.5), 0.5)
		deviation += min(max((haa*gb-hab*ga)/det, -0.5), 0.5)
	}
	return min(max(level, 0), 1), min(max(deviation, 0), 1)
}

// fitSpread is the standard deviation, over models and unseen tasks, of the
// logit that an estimate at the floor of trust misses beyond the level.
func (r *run) fitSpread(unseen []held) float64 {
	g := &r.w.Guard
	tasks := len(r.w.Tasks)
	cells := make([][]observation, len(r.w.Models)*tasks)
	byTask := make([][]observation, tasks)
	for i := range unseen {
		h := &unseen[i]
		for j := range h.onTasks {
			o := &r.answers[i][j]
			z := h.blindLevel + h.average[j] + float64(g.Level)*(h.level-h.blindLevel) +
				float64(g.Deviation)*(h.onTasks[j]+h.beyond[j]-h.average[j])
			obs := observation{z, float64(o.Score), 1}
			byTask[r.task[i]] = append(byTask[r.task[i]], obs)
			cells[o.Model*tasks+r.task[i]] = append(cells[o.Model*tasks+r.task[i]], obs)
		}
	}
	common := make([]float64, tasks)
	for t := range tasks {
		common[t], _ = posterior(byTask[t], 0, 4)
	}
	var sum, n float64
	for i, obs := range cells {
		if len(obs) < 10 {
			continue
		}
		shift, variance := posterior(obs, common[i%tasks], 4)
		sum += (shift-common[i%tasks])*(shift-common[i%tasks]) - variance
		n++
	}
	return math.Sqrt(max(sum/max(n, 1), 0.04))
}
