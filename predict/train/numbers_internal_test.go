package train

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestRightSingular recovers the factors of a matrix of rank three.
func TestRightSingular(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	const rows, width, rank = 60, 40, 3
	dense := make([]float64, rows*width)
	for f := range rank {
		u, v := make([]float64, rows), make([]float64, width)
		for i := range u {
			u[i] = rng.NormFloat64()
		}
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		for i := range u {
			for j := range v {
				dense[i*width+j] += float64(rank-f) * u[i] * v[j]
			}
		}
	}
	a := &sparse{start: []int{0}, width: width}
	for i := range rows {
		for j := range width {
			a.column = append(a.column, uint16(j))
			a.value = append(a.value, float32(dense[i*width+j]))
		}
		a.start = append(a.start, len(a.value))
	}
	v := rightSingular(a, rank, 3, rng)
	for c := range rank {
		for d := range rank {
			var sum float64
			for i := range width {
				sum += float64(v[i*rank+c]) * float64(v[i*rank+d])
			}
			want := 0.0
			if c == d {
				want = 1
			}
			if math.Abs(sum-want) > 1e-3 {
				t.Errorf("columns %d and %d have inner product %v", c, d, sum)
			}
		}
	}
	// Projecting onto the vectors and back loses nothing.
	for i := range rows {
		for j := range width {
			var back float64
			for c := range rank {
				var p float64
				for k := range width {
					p += dense[i*width+k] * float64(v[k*rank+c])
				}
				back += p * float64(v[j*rank+c])
			}
			if math.Abs(back-dense[i*width+j]) > 1e-3 {
				t.Fatalf("row %d, column %d: %v, want %v", i, j, back, dense[i*width+j])
			}
		}
	}
}

func TestRightSingularOfLowRank(t *testing.T) {
	t.Parallel()
	a := &sparse{start: []int{0, 2}, column: []uint16{1, 3}, value: []float32{3, 4}, width: 5}
	v := rightSingular(a, 2, 2, rand.New(rand.NewPCG(1, 1)))
	for i, want := range []float64{0, 0.6, 0, 0.8, 0} {
		if math.Abs(math.Abs(float64(v[i*2]))-want) > 1e-5 || v[i*2+1] != 0 {
			t.Errorf("row %d is %v", i, v[i*2:i*2+2])
		}
	}
}

// TestBackward compares the gradient with finite differences.
func TestBackward(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	n := newMLP(5, 7, 3, 0, 0, rng)
	x, target := []float32{0.3, -1, 0.5, 2, -0.7}, []float32{1, -1, 0.5}
	out := make([]float32, 3)
	loss := func() float64 {
		n.forward(x, out, nil)
		var sum float64
		for i, v := range out {
			sum += float64(v-target[i]) * float64(v-target[i]) / 2
		}
		return sum
	}
	loss()
	d := make([]float32, 3)
	for i := range d {
		d[i] = out[i] - target[i]
	}
	n.backward(x, d)
	for name, layer := range map[string]*adam{"lower": n.lower, "upper": n.upper} {
		for i := range layer.value {
			const h = 1e-2
			was := layer.value[i]
			layer.value[i] = was + h
			up := loss()
			layer.value[i] = was - h
			down := loss()
			layer.value[i] = was
			if want := (up - down) / (2 * h); math.Abs(want-float64(layer.grad[i])) > 2e-2*(1+math.Abs(want)) {
				t.Errorf("%s gradient %d is %v, want %v", name, i, layer.grad[i], want)
			}
		}
	}
}

func TestPosterior(t *testing.T) {
	t.Parallel()
	shift, variance := posterior(nil, 0.4, 0.25)
	if shift != 0.4 || variance != 0.25 {
		t.Errorf("without observations %v, %v; want the prior", shift, variance)
	}
	var obs []observation
	for i := range 4000 {
		obs = append(obs, observation{logit: -1, score: float64(i % 4 / 3), weight: 1}) // a quarter right
	}
	shift, variance = posterior(obs, 0, 100)
	if want := math.Log(1.0/3) + 1; math.Abs(shift-want) > 1e-3 {
		t.Errorf("shift %v, want %v", shift, want)
	}
	if want := 1 / (4000 * 0.25 * 0.75); math.Abs(variance-want) > 1e-5 {
		t.Errorf("variance %v, want %v", variance, want)
	}
}

func TestUpperHull(t *testing.T) {
	t.Parallel()
	hull := upperHull([]point{{4, 0.8}, {1, 0.5}, {2, 0.6}, {3, 0.4}, {2, 0.7}, {5, 0.8}, {1, 0.4}})
	want := curve{{1, 0.5}, {2, 0.7}, {4, 0.8}}
	if len(hull) != len(want) {
		t.Fatalf("hull %v, want %v", hull, want)
	}
	for i := range want {
		if hull[i] != want[i] {
			t.Fatalf("hull %v, want %v", hull, want)
		}
	}
	for cost, quality := range map[float64]float64{0.5: 0, 1: 0.5, 1.5: 0.6, 3: 0.75, 9: 0.8} {
		if got := hull.qualityAt(cost); math.Abs(got-quality) > 1e-12 {
			t.Errorf("quality at cost %v is %v, want %v", cost, got, quality)
		}
	}
	for quality, cost := range map[float64]float64{0.3: 1, 0.5: 1, 0.6: 1.5, 0.75: 3, 0.9: 4} {
		if got := hull.costOf(quality); math.Abs(got-cost) > 1e-9 {
			t.Errorf("cost of quality %v is %v, want %v", quality, got, cost)
		}
	}
	if got := areaAbove([]point{{1, 0.5}, {2, 0.7}, {4, 0.8}}, hull, 1, 4); math.Abs(got) > 1e-12 {
		t.Errorf("the hull is %v above itself", got)
	}
	if got := areaAbove([]point{{1, 0.8}}, hull, 1, 4); got <= 0.05 {
		t.Errorf("the best quality at the lowest cost is %v above the hull", got)
	}
}

func TestMeanAUC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pairs [][2]float64
		want  float64
	}{
		{[][2]float64{{0.1, 0}, {0.9, 1}}, 1},
		{[][2]float64{{0.9, 0}, {0.1, 1}}, 0},
		{[][2]float64{{0.5, 0}, {0.5, 1}}, 0.5},
		{[][2]float64{{0.2, 0.5}, {0.8, 0.5}}, 0.5},
		{[][2]float64{{0.1, 0}, {0.3, 1}, {0.5, 0}, {0.7, 1}}, 0.75},
	} {
		if got := meanAUC(map[int][][2]float64{3: c.pairs}); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("AUC of %v is %v, want %v", c.pairs, got, c.want)
		}
	}
}

func TestSolve(t *testing.T) {
	t.Parallel()
	h := [3][3]float64{{0, 2, 0}, {1, 0, 4}, {3, 1, 0}}
	x := [3]float64{1, 2, 3}
	var g [3]float64
	for r := range h {
		for c := range h[r] {
			g[r] += h[r][c] * x[c]
		}
	}
	for i, v := range solve(h, g) {
		if math.Abs(v-x[i]) > 1e-12 {
			t.Errorf("solution %d is %v, want %v", i, v, x[i])
		}
	}
}

func TestAugmentKeepsTheQuestion(t *testing.T) {
	t.Parallel()
	const text = "How many apples are left?"
	var system, changed bool
	for seed := range uint64(40) {
		in := augment(text, "another prompt", rand.New(rand.NewPCG(seed, 0)))
		system = system || len(in.System) > 0
		changed = changed || string(in.User) != text
		if len(in.User) < len(text)-5 {
			t.Errorf("seed %d: %q", seed, in.User)
		}
	}
	if !system || !changed {
		t.Errorf("of 40 draws, some with a system prompt: %v, some changed: %v", system, changed)
	}
	if got := mistype("Größe 12 km", 0, rand.New(rand.NewPCG(1, 1))); got != "Größe 12 km" {
		t.Errorf("no typing errors make %q", got)
	}
}
