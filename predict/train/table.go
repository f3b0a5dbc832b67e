package train

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"

	"wye/predict"
)

// each runs f for 0..n-1 on all processors; f must write only what belongs to
// its index.
func each(n int, f func(i int)) {
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// fitTable fits the n-gram table of w: inverse document frequencies and the
// projection onto the leading singular vectors of the weighted texts. balance
// scales each text, so that a task with many prompts does not own every axis.
func fitTable(w *predict.Weights, texts []string, balance []float64, iterations int, rng *rand.Rand) {
	buckets, weights := make([][]uint16, len(texts)), make([][]float32, len(texts))
	each(len(texts), func(i int) { buckets[i], weights[i] = predict.Grams([]byte(texts[i])) })
	frequency := make([]int, predict.Buckets)
	for _, row := range buckets {
		for _, b := range row {
			frequency[b]++
		}
	}
	smallTalk(frequency, len(texts))
	most := math.Log(float64(1+len(texts))) + 1
	w.IDFUnit = float32(most / 255)
	w.IDF = make([]byte, predict.Buckets)
	for b, n := range frequency {
		idf := math.Log(float64(1+len(texts))/float64(1+n)) + 1
		w.IDF[b] = byte(math.Round(idf / most * 255))
	}
	a := &sparse{start: []int{0}, width: predict.Buckets}
	for i, row := range buckets {
		var norm float64
		from := len(a.value)
		for j, b := range row {
			v := weights[i][j] * float32(w.IDF[b]) * w.IDFUnit
			norm += float64(v) * float64(v)
			a.column = append(a.column, b)
			a.value = append(a.value, v)
		}
		scale := float32(balance[i] / math.Sqrt(max(norm, 1e-12)))
		for j := from; j < len(a.value); j++ {
			a.value[j] *= scale
		}
		a.start = append(a.start, len(a.value))
		buckets[i], weights[i] = nil, nil
	}
	quantise(w, rightSingular(a, predict.Dim, iterations, rng))
}

// smallTalk counts the n-grams of polite phrases as if a tenth of the texts had
// each: benchmarks have hardly any, and what is rare weighs much.
func smallTalk(frequency []int, texts int) {
	for _, phrase := range slices.Concat(openings, closings) {
		buckets, _ := predict.Grams([]byte(" " + phrase + " "))
		for _, b := range buckets {
			frequency[b] = min(frequency[b]+texts/10, texts)
		}
	}
}

// quantise stores the projection, Buckets x Dim, as bytes with one step size a
// column. The step covers all but the largest two in ten thousand values, which
// are clipped.
func quantise(w *predict.Weights, v []float32) {
	w.Rows = make([]byte, len(v))
	w.RowScale = make([]float32, predict.Dim)
	size := make([]float64, predict.Buckets)
	for c := range predict.Dim {
		for b := range size {
			v[b*predict.Dim+c] *= float32(w.IDF[b]) * w.IDFUnit
			size[b] = math.Abs(float64(v[b*predict.Dim+c]))
		}
		slices.Sort(size)
		step := max(size[len(size)-1-len(size)/5000]/127, 1e-12)
		w.RowScale[c] = float32(step / 16)
		for b := range size {
			q := math.Round(float64(v[b*predict.Dim+c]) / step)
			w.Rows[b*predict.Dim+c] = byte(int(min(max(q, -127), 127)) + 128)
		}
	}
}
