package train

import (
	"math"
	"slices"

	"wye/predict"
)

// fitGuard learns how far a prompt is to be believed, from prompts of tasks and
// of whole benchmarks that the networks had not seen beside prompts of tasks that
// they had.
func (r *run) fitGuard(unseenPrompts, unseenTasks, unseenKinds []held) {
	g := &r.w.Guard
	g.Level = float32(r.fitLevel(unseenTasks))
	g.Weights = r.fitTrust(unseenPrompts, unseenTasks, unseenKinds)
	g.Spread = float32(r.fitSpread(unseenTasks))
	g.Threshold = 0.5
	familiar := slices.Sorted(slices.Values(r.familiar))
	g.Familiar = familiar[len(familiar)/100]
	g.Strange = familiar[0] / 2
}

// seenWeight is how many times as much a prompt of a task that was seen counts
// as one of a task that was not. It states what traffic is expected: prompts
// of known kinds for the most part.
const seenWeight = 3

// trustTerm is one answer in the terms of trust: the logit is rest at none, and
// rest+swing at full trust.
type trustTerm struct {
	prompt      int // index into a list of signals
	rest, swing float64
	score       float64
	weight      float64
}

// fitTrust fits trust, a logistic function of the signals, so that estimates
// mixed by it have the least loss on both kinds of prompts:
// it is high where what the networks say of the differences between models
// holds, and not just where a prompt looks known. It returns the weights of
// the signals, the last a constant.
func (r *run) fitTrust(seen []held, unseen ...[]held) (w [predict.Signals + 1]float32) {
	const n = predict.Signals + 1
	var signals [][n]float64
	var terms []trustTerm
	for kind, hs := range append([][]held{seen}, unseen...) {
		for i := range hs {
			h := &hs[i]
			if h.n == 0 {
				continue // its fold has all tasks
			}
			var x [n]float64
			copy(x[:], h.signals[:])
			x[n-1] = 1
			signals = append(signals, x)
			scale := r.weight[i] / math.Sqrt(float64(len(r.answers[i])))
			if kind == 0 {
				scale *= seenWeight
			}
			for j, o := range r.answers[i] {
				level := h.blindLevel + float64(r.w.Guard.Level)*(h.level-h.blindLevel)
				full := r.base(h, j)
				for k := range h.n {
					full += h.shares[k] * float64(r.w.Residual[o.Model*len(r.w.Tasks)+h.tasks[k]])
				}
				rest := level + h.average[j]
				terms = append(terms, trustTerm{len(signals) - 1, rest, full - rest, float64(o.Score), scale})
			}
		}
	}
	b := [n]float64{n - 1: 1}
	last := math.Inf(1)
	damping := 1.0
	best := b
	for range 40 {
		var g [n]float64
		var h [n][n]float64
		var loss float64
		trust := make([]float64, len(signals))
		for i := range signals {
			var z float64
			for j, v := range signals[i] {
				z += b[j] * v
			}
			trust[i] = sigmoid(z)
		}
		for _, t := range terms {
			tau := trust[t.prompt]
			p := sigmoid(t.rest + tau*t.swing)
			loss += t.weight * crossEntropy(p, t.score)
			slope := t.swing * tau * (1 - tau)
			e, c := t.weight*(t.score-p)*slope, t.weight*p*(1-p)*slope*slope
			x := &signals[t.prompt]
			for j := range n {
				g[j] += e * x[j]
				for k := range n {
					h[j][k] += c * x[j] * x[k]
				}
			}
		}
		// A weak normal prior keeps the weights of useless signals small.
		for j := range n {
			loss += 0.05 * b[j] * b[j]
		}
		if loss < last {
			last, best, damping = loss, b, damping/3
		} else {
			b, damping = best, damping*10
		}
		for j := range n {
			g[j] -= 0.1 * best[j]
			h[j][j] += 0.1 + damping*(1+h[j][j])
		}
		if loss > last {
			continue // try a shorter step from the best
		}
		step := solve(h, g)
		for j := range n {
			b[j] += min(max(step[j], -4), 4)
			// Less known must never mean more trusted.
			if j < predict.Signals {
				b[j] = max(b[j], 0)
			}
		}
	}
	for j := range n {
		w[j] = float32(best[j])
	}
	return w
}

// solve is Gaussian elimination with pivots for a small system.
func solve[V ~[3]float64](h [3]V, g V) V {
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

// fitLevel fits how much of the predicted level's difference from the mean
// holds on unseen tasks, where models differ by their averages alone.
func (r *run) fitLevel(unseen []held) float64 {
	level := 0.5
	for range 20 {
		const prior = 0.01 // weak
		g, h := -prior*level, prior
		for i := range unseen {
			u := &unseen[i]
			c := r.weight[i] / math.Sqrt(float64(max(len(r.answers[i]), 1)))
			for j := range u.onTasks {
				x := u.level - u.blindLevel
				p := sigmoid(u.blindLevel + u.average[j] + level*x)
				g += c * (float64(r.answers[i][j].Score) - p) * x
				h += c * p * (1 - p) * x * x
			}
		}
		level += min(max(g/h, -0.5), 0.5)
	}
	return min(max(level, 0), 1)
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
			z := h.blindLevel + h.average[j] + float64(g.Level)*(h.level-h.blindLevel)
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
