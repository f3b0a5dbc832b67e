package train

import (
	"math"
	"math/rand/v2"
	"sync"
)

// sparse is a matrix in compressed rows: row i has the columns
// column[start[i]:start[i+1]].
type sparse struct {
	start  []int
	column []uint16
	value  []float32
	width  int
}

func (a *sparse) rows() int { return len(a.start) - 1 }

// lanes is how many vectors a worker carries through the matrix at once. The
// split of the work does not depend on the number of processors, so neither
// does the result.
const lanes = 20

// times returns a·x for x with k columns, rows() x k.
func (a *sparse) times(x []float32, k int) []float32 {
	y := make([]float32, a.rows()*k)
	eachLane(k, func(from, to int) {
		for i := range a.rows() {
			out := y[i*k+from : i*k+to]
			for j := a.start[i]; j < a.start[i+1]; j++ {
				v := a.value[j]
				in := x[int(a.column[j])*k+from:][:len(out)]
				for c := range out {
					out[c] += float32(v * in[c])
				}
			}
		}
	})
	return y
}

// transposeTimes returns the transpose of a times x, width x k.
func (a *sparse) transposeTimes(x []float32, k int) []float32 {
	y := make([]float32, a.width*k)
	eachLane(k, func(from, to int) {
		for i := range a.rows() {
			in := x[i*k+from : i*k+to]
			for j := a.start[i]; j < a.start[i+1]; j++ {
				v := a.value[j]
				out := y[int(a.column[j])*k+from:][:len(in)]
				for c := range in {
					out[c] += float32(v * in[c])
				}
			}
		}
	})
	return y
}

// eachLane runs f for every range of lanes in 0..k, at the same time.
func eachLane(k int, f func(from, to int)) {
	var wg sync.WaitGroup
	for from := 0; from < k; from += lanes {
		wg.Go(func() { f(from, min(from+lanes, k)) })
	}
	wg.Wait()
}

// rightSingular returns the first k right singular vectors of a as columns of a
// width x k matrix, largest singular value first, by randomised subspace
// iteration with a few extra vectors.
func rightSingular(a *sparse, k, iterations int, rng *rand.Rand) []float32 {
	extra := k + lanes - k%lanes
	y := make([]float32, a.width*extra)
	for i := range y {
		y[i] = float32(rng.NormFloat64())
	}
	for range iterations {
		y = a.times(y, extra)
		orthonormalise(y, extra)
		y = a.transposeTimes(y, extra)
	}
	// y is the transpose of a times an orthonormal basis q of its range, so the
	// eigenvectors of yᵀy turn y's columns into right singular vectors, times the
	// singular values.
	gram := make([]float64, extra*extra)
	for i := 0; i < len(y); i += extra {
		row := y[i : i+extra]
		for r, v := range row {
			if v == 0 {
				continue
			}
			for c := r; c < extra; c++ {
				gram[r*extra+c] += float64(v) * float64(row[c])
			}
		}
	}
	for r := range extra {
		for c := range r {
			gram[r*extra+c] = gram[c*extra+r]
		}
	}
	values, vectors := eigen(gram, extra)
	out := make([]float32, a.width*k)
	for c := range k {
		if values[c] <= 1e-12*values[0] {
			break // a has no more dimensions
		}
		scale := 1 / math.Sqrt(values[c])
		for i := range a.width {
			var sum float64
			for r := range extra {
				sum += float64(y[i*extra+r]) * vectors[r*extra+c]
			}
			out[i*k+c] = float32(sum * scale)
		}
	}
	return out
}

// orthonormalise makes the k columns of y orthonormal in place, by modified
// Gram-Schmidt, twice for accuracy. A column in the span of earlier ones
// becomes zero.
func orthonormalise(y []float32, k int) {
	n := len(y) / k
	columns := make([][]float64, k)
	for c := range columns {
		columns[c] = make([]float64, n)
		for i := range n {
			columns[c][i] = float64(y[i*k+c])
		}
	}
	for c, v := range columns {
		before := math.Sqrt(inner(v, v))
		for range 2 {
			for _, u := range columns[:c] {
				d := inner(u, v)
				for i := range v {
					v[i] -= d * u[i]
				}
			}
		}
		norm := math.Sqrt(inner(v, v))
		scale := 0.0
		if norm > 1e-7*before {
			scale = 1 / norm
		}
		for i := range v {
			v[i] *= scale
		}
	}
	for c, v := range columns {
		for i := range n {
			y[i*k+c] = float32(v[i])
		}
	}
}

func inner(a, b []float64) float64 {
	var s0, s1 float64
	i := 0
	for ; i+2 <= len(a); i += 2 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
	}
	if i < len(a) {
		s0 += a[i] * b[i]
	}
	return s0 + s1
}

// eigen returns the eigenvalues of the symmetric n x n matrix m, which it
// destroys, largest first, and the eigenvectors as columns, by cyclic Jacobi
// rotations.
func eigen(m []float64, n int) (values, v []float64) {
	v = make([]float64, n*n)
	for i := range n {
		v[i*n+i] = 1
	}
	for range 30 {
		var off, diagonal float64
		for r := range n {
			diagonal += m[r*n+r] * m[r*n+r]
			for c := r + 1; c < n; c++ {
				off += m[r*n+c] * m[r*n+c]
			}
		}
		if off <= 1e-22*diagonal {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(m, v, n, p, q)
			}
		}
	}
	// Selection sort of the columns by eigenvalue.
	for i := range n {
		best := i
		for j := i + 1; j < n; j++ {
			if m[j*n+j] > m[best*n+best] {
				best = j
			}
		}
		m[i*n+i], m[best*n+best] = m[best*n+best], m[i*n+i]
		for r := range n {
			v[r*n+i], v[r*n+best] = v[r*n+best], v[r*n+i]
		}
		values = append(values, m[i*n+i])
	}
	return values, v
}

// rotate zeroes m[p][q] and accumulates the rotation in v.
func rotate(m, v []float64, n, p, q int) {
	if m[p*n+q] == 0 {
		return
	}
	theta := (m[q*n+q] - m[p*n+p]) / (2 * m[p*n+q])
	t := 1 / (math.Abs(theta) + math.Sqrt(theta*theta+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(t*t+1)
	s := t * c
	for k := range n {
		a, b := m[k*n+p], m[k*n+q]
		m[k*n+p], m[k*n+q] = c*a-s*b, s*a+c*b
	}
	for k := range n {
		a, b := m[p*n+k], m[q*n+k]
		m[p*n+k], m[q*n+k] = c*a-s*b, s*a+c*b
		a, b = v[k*n+p], v[k*n+q]
		v[k*n+p], v[k*n+q] = c*a-s*b, s*a+c*b
	}
}
