package train

import (
	"math"
	"math/rand/v2"

	"wye/predict"
)

// adam is a parameter vector with its gradient and Adam's moments.
type adam struct {
	value, grad, first, second []float32
	decay                      float32 // pull towards zero a step, relative to the rate
	steps                      int
}

func newAdam(n int, decay float32) *adam {
	return &adam{value: make([]float32, n), grad: make([]float32, n), first: make([]float32, n), second: make([]float32, n), decay: decay}
}

// step applies and clears the gradient.
func (a *adam) step(rate float64) {
	const beta1, beta2 = 0.9, 0.999
	a.steps++
	scale := float32(rate * math.Sqrt(1-math.Pow(beta2, float64(a.steps))) / (1 - math.Pow(beta1, float64(a.steps))))
	shrink := 1 - float32(rate)*a.decay
	for i, g := range a.grad {
		m := float32(beta1*a.first[i]) + float32((1-beta1)*g)
		v := float32(beta2*a.second[i]) + float32(float32((1-beta2)*g)*g)
		a.first[i], a.second[i] = m, v
		a.value[i] = float32(a.value[i]*shrink) - float32(scale*m)/(float32(math.Sqrt(float64(v)))+1e-8)
		a.grad[i] = 0
	}
}

// mlp is a network with one hidden layer of rectified units; the layout of its
// layers is that of predict.Weights.
type mlp struct {
	in, hidden, out  int
	lower, upper     *adam
	dropout          float32
	active, activity []float32 // of the last forward pass
	back             []float32
}

func newMLP(in, hidden, out int, dropout, decay float32, rng *rand.Rand) *mlp {
	n := &mlp{
		in: in, hidden: hidden, out: out, dropout: dropout,
		lower: newAdam(hidden*(in+1), decay), upper: newAdam(out*(hidden+1), decay),
		active: make([]float32, hidden), activity: make([]float32, hidden), back: make([]float32, hidden),
	}
	for i := range hidden {
		for j := range in {
			n.lower.value[i*(in+1)+j] = float32(rng.NormFloat64() * math.Sqrt(2/float64(in)))
		}
	}
	for i := range out {
		for j := range hidden {
			n.upper.value[i*(hidden+1)+j] = float32(rng.NormFloat64() * math.Sqrt(1/float64(hidden)))
		}
	}
	return n
}

// forward computes y from x. With rng it drops hidden units at random and
// remembers which for backward.
func (n *mlp) forward(x, y []float32, rng *rand.Rand) {
	for i := range n.hidden {
		row := n.lower.value[i*(n.in+1):][:n.in+1]
		h := predict.Dot(x, row) + row[n.in]
		n.active[i] = 0
		if h > 0 {
			n.active[i] = 1
			if rng != nil && n.dropout > 0 {
				n.active[i] = 1 / (1 - n.dropout)
				if rng.Float32() < n.dropout {
					n.active[i] = 0
				}
			}
		}
		n.activity[i] = float32(h * n.active[i])
	}
	for i := range n.out {
		row := n.upper.value[i*(n.hidden+1):][:n.hidden+1]
		y[i] = predict.Dot(n.activity, row) + row[n.hidden]
	}
}

// backward adds the gradient of the last forward pass from x, given that of its
// output.
func (n *mlp) backward(x, dy []float32) {
	clear(n.back)
	for i, d := range dy {
		if d == 0 {
			continue
		}
		row := n.upper.value[i*(n.hidden+1):][:n.hidden+1]
		grad := n.upper.grad[i*(n.hidden+1):][:n.hidden+1]
		axpy(d, n.activity, grad)
		grad[n.hidden] += d
		axpy(d, row[:n.hidden], n.back)
	}
	for i, d := range n.back {
		if d = float32(d * n.active[i]); d == 0 {
			continue
		}
		grad := n.lower.grad[i*(n.in+1):][:n.in+1]
		axpy(d, x, grad)
		grad[n.in] += d
	}
}

func (n *mlp) step(rate float64) {
	n.lower.step(rate)
	n.upper.step(rate)
}

// axpy adds s·x to the first len(x) elements of y.
func axpy(s float32, x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += float32(s * v)
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
