package predict

import "math"

// columns is how many coefficients a calibration has beside its shift: one for
// each number of the embedding, and one for how the model differs from others.
const columns = Dim + 1

// regression is a Bayesian logistic regression with offsets: of scores on the
// embedding and a constant.
type regression struct {
	x      [][columns + 1]float64 // the last column is 1
	offset []float64              // logits of the prior
	score  []float64
	prior  [columns + 1]float64 // variances
	centre [columns + 1]float64 // means
	length float32              // shrunk mean of the log of actual over predicted tokens
	before float64              // mean predicted quality without the examples
}

func newRegression(p *Predictor, a *ability, examples []Example) *regression {
	r := &regression{}
	r.prior[Dim] = ownVariance
	if len(examples) > 0 {
		r.centre[Dim] = -1
	}
	r.prior[columns] = shiftVariance + float64(a.spread*a.spread)
	s := p.scratch.Get().(*scratch)
	defer p.scratch.Put(s)
	var log, n float64
	for i := range examples {
		e := &examples[i]
		p.read(&e.Input, s)
		out, own := p.estimateOwn(&s.reading, a)
		var x [columns + 1]float64
		for j, v := range s.embedding {
			x[j] = float64(v)
		}
		x[Dim] = float64(own)
		x[columns] = 1
		q := min(max(float64(out.Quality), 1e-6), 1-1e-6)
		r.x = append(r.x, x)
		r.offset = append(r.offset, math.Log(q/(1-q)))
		r.score = append(r.score, e.Score)
		r.before += q / float64(len(examples))
		if e.OutputTokens > 0 {
			log += math.Log(e.OutputTokens / float64(out.OutputTokens))
			n++
		}
	}
	r.length = float32(log / (n + 5))
	return r
}

// setWeights sets the prior variance of the embedding weights.
func (r *regression) setWeights() {
	set := func(variance float64) {
		for j := range Dim {
			r.prior[j] = variance
		}
	}
	set(boldVariance)
	bold := r.evidence()
	if set(weightVariance); bold > r.evidence()+boldEvidence*float64(len(r.x)) {
		set(boldVariance)
	}
}

// evidence is the logarithm of the examples' likelihood under the prior
// (Laplace), up to a constant.
func (r *regression) evidence() float64 {
	mean, h := r.mode(func(int) bool { return true })
	var e float64
	for i := range r.x {
		e -= logLoss(r.predict(&mean, i), r.score[i])
	}
	for j, v := range r.prior {
		off := mean[j] - r.centre[j]
		e -= off*off/(2*v) + math.Log(v)/2 + math.Log(h[j][j])
	}
	return e
}

// solve returns the mode and the diagonal of the covariance (Laplace) of the
// coefficients, from the examples that use admits.
func (r *regression) solve(use func(i int) bool) (mean, variance [columns + 1]float64) {
	mean, h := r.mode(use)
	for j := range variance {
		var unit [columns + 1]float64
		unit[j] = 1
		variance[j] = solveCholesky(h, unit)[j]
	}
	return mean, variance
}

// mode returns the mode of the coefficients and the Cholesky factor of the
// curvature there.
func (r *regression) mode(use func(i int) bool) (mean [columns + 1]float64, h *[columns + 1][columns + 1]float64) {
	mean = r.centre
	h = new([columns + 1][columns + 1]float64)
	for range 15 {
		var g [columns + 1]float64
		*h = [columns + 1][columns + 1]float64{}
		for j, v := range r.prior {
			g[j] = (r.centre[j] - mean[j]) / v
			h[j][j] = 1 / v
		}
		for i := range r.x {
			if !use(i) {
				continue
			}
			q := r.predict(&mean, i)
			slope, curve := r.score[i]-q, max(q*(1-q), 1e-4)
			for j, xj := range r.x[i] {
				g[j] += slope * xj
				row := &h[j]
				for k := range j + 1 {
					row[k] += curve * xj * r.x[i][k]
				}
			}
		}
		cholesky(h)
		step := solveCholesky(h, g)
		var size float64
		for j := range mean {
			mean[j] += step[j]
			size += step[j] * step[j]
		}
		if size < 1e-12 {
			break
		}
	}
	return mean, h
}

func (r *regression) predict(mean *[columns + 1]float64, i int) float64 {
	z := r.offset[i]
	for j, v := range r.x[i] {
		z += v * mean[j]
	}
	return 1 / (1 + math.Exp(-z))
}

// cholesky factors the lower triangle of the positive definite h in place.
func cholesky(h *[columns + 1][columns + 1]float64) {
	for i := range h {
		for j := range i + 1 {
			sum := h[i][j]
			for k := range j {
				sum -= h[i][k] * h[j][k]
			}
			if i == j {
				h[i][i] = math.Sqrt(sum)
			} else {
				h[i][j] = sum / h[j][j]
			}
		}
	}
}

// solveCholesky solves h·x = b from h's factor.
func solveCholesky(h *[columns + 1][columns + 1]float64, b [columns + 1]float64) [columns + 1]float64 {
	for i := range b {
		for k := range i {
			b[i] -= h[i][k] * b[k]
		}
		b[i] /= h[i][i]
	}
	for i := len(b) - 1; i >= 0; i-- {
		for k := i + 1; k < len(b); k++ {
			b[i] -= h[k][i] * b[k]
		}
		b[i] /= h[i][i]
	}
	return b
}

// report measures m, fitted to all examples, and the fit left out by folds.
func (r *regression) report(p *Predictor, m Model, examples []Example, out *Report) {
	if len(examples) == 0 {
		return
	}
	n := float64(len(examples))
	out.Before = r.before
	for i := range examples {
		var o [1]Output
		p.Predict(&examples[i].Input, []Model{m}, o[:])
		out.MeanScore += r.score[i] / n
		out.After += float64(o[0].Quality) / n
		out.Uncertainty += float64(o[0].Uncertainty) / n
		out.LogLossBefore += logLoss(1/(1+math.Exp(-r.offset[i])), r.score[i]) / n
	}
	const folds = 5
	for f := range folds {
		mean, _ := r.solve(func(i int) bool { return i%folds != f })
		for i := f; i < len(examples); i += folds {
			out.LogLossAfter += logLoss(r.predict(&mean, i), r.score[i]) / n
		}
	}
}

// logLoss is the cross entropy of a score under a predicted quality, in nats.
func logLoss(q, score float64) float64 {
	q = min(max(q, 1e-9), 1-1e-9)
	return -score*math.Log(q) - (1-score)*math.Log(1-q)
}
