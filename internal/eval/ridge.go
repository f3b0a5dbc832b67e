package eval

import (
	"math"

	"wye/router"
)

// ridge is linear regression of each model's score on TF-IDF.
type ridge struct {
	means   *means
	words   *vocabulary
	weights []float64 // terms × models
}

const (
	ridgePenalty = 1.0
	// The solver stops at this relative residual or after so many steps.
	ridgeTolerance = 1e-3
	ridgeSteps     = 60
)

func newRidge(p *Pool, g *Graded) *ridge {
	width := len(p.Models)
	r := &ridge{means: newMeans(p, g), words: newVocabulary(g.Prompts)}
	x := make([][]term, len(g.Prompts))
	for i, prompt := range g.Prompts {
		x[i] = r.words.vector(prompt)
	}
	target := make([]float64, len(g.Score))
	for i, v := range g.Score {
		if !math.IsNaN(v) { // an unknown score counts as the mean
			target[i] = v - r.means.score[i%width]
		}
	}
	r.weights = make([]float64, len(r.words.idf)*width)
	dual := solve(x, target, width, r.weights)
	transposed(x, dual, width, r.weights)
	return r
}

// Estimate implements Estimator.
func (r *ridge) Estimate(p *Prompt, out []router.Estimate) bool {
	r.means.Estimate(p, out)
	width := len(out)
	for _, t := range r.words.vector(p) {
		for k := range out {
			out[k].Quality += float32(t.weight * r.weights[int(t.id)*width+k])
		}
	}
	for k := range out {
		out[k].Quality = min(max(out[k].Quality, 0), 1)
	}
	return false
}

// solve returns the dual coefficients a of (x xᵀ + penalty) a = target, one
// column a model, by conjugate gradients on all columns at once. scratch holds
// terms × width values.
func solve(x [][]term, target []float64, width int, scratch []float64) []float64 {
	a := make([]float64, len(target))
	residual := append([]float64(nil), target...)
	direction := append([]float64(nil), target...)
	product := make([]float64, len(target))
	norm := columnDots(residual, residual, width)
	stop := make([]float64, width)
	for k, v := range norm {
		stop[k] = v * ridgeTolerance * ridgeTolerance
	}
	for range ridgeSteps {
		transposed(x, direction, width, scratch)
		for i, row := range x {
			out := product[i*width:][:width]
			for k := range out {
				out[k] = ridgePenalty * direction[i*width+k]
			}
			for _, t := range row {
				for k, v := range scratch[int(t.id)*width:][:width] {
					out[k] += t.weight * v
				}
			}
		}
		curvature := columnDots(direction, product, width)
		step := make([]float64, width)
		for k := range step {
			if norm[k] > stop[k] {
				step[k] = norm[k] / curvature[k]
			}
		}
		for i := range a {
			a[i] += step[i%width] * direction[i]
			residual[i] -= step[i%width] * product[i]
		}
		next := columnDots(residual, residual, width)
		done := true
		for k := range next {
			done = done && next[k] <= stop[k]
		}
		if done {
			break
		}
		for i := range direction {
			if k := i % width; norm[k] > stop[k] {
				direction[i] = residual[i] + next[k]/norm[k]*direction[i]
			}
		}
		norm = next
	}
	return a
}

// transposed writes xᵀ v to out.
func transposed(x [][]term, v []float64, width int, out []float64) {
	clear(out)
	for i, row := range x {
		for _, t := range row {
			for k, c := range v[i*width:][:width] {
				out[int(t.id)*width+k] += t.weight * c
			}
		}
	}
}

// columnDots returns the dot product of each column of a and b.
func columnDots(a, b []float64, width int) []float64 {
	out := make([]float64, width)
	for i := range a {
		out[i%width] += a[i] * b[i]
	}
	return out
}
