package predict

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
)

// Whatever an architecture has instead of the plain loops must give the same
// bits: decisions are replayed elsewhere.

func TestDotIsPlain(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		a, b := floats(random, n), floats(random, n+random.IntN(3))
		if got, want := Dot(a, b), dotPlain(a, b); !sameBits(got, want) {
			t.Errorf("%d elements: %v, want %v", n, got, want)
		}
	}
}

func TestLayerIsPlain(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 20 {
		for rows := range 14 {
			w, in := floats(random, rows*(n+1)), floats(random, n)
			got, want := make([]float32, rows), make([]float32, rows)
			layer(w, in, got)
			layerPlain(w, in, want)
			for i := range want {
				if !sameBits(got[i], want[i]) {
					t.Errorf("%d inputs, row %d of %d: %v, want %v", n, i, rows, got[i], want[i])
				}
			}
		}
	}
}

func TestLayerRefusesShortWeights(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("weights that are too short were read past their end")
		}
	}()
	layer(make([]float32, 4*9-1), make([]float32, 8), make([]float32, 4))
}

func TestSumRowsIsPlain(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	e := randomTable(random)
	for _, n := range []int{0, 1, 2, 7, 255, flushRows} {
		for _, slack := range []int{0, ahead} {
			buckets := make([]uint16, n, n+slack)
			for i := range buckets {
				buckets[i] = uint16(random.Uint32())
			}
			if n > 1 {
				buckets[0], buckets[n-1] = 0, Buckets-1
			}
			var got, want [Dim]uint16
			got[3] = 99 // must be overwritten
			squares, wantSquares := e.sumRows(buckets, &got), e.sumRowsPlain(buckets, &want)
			if got != want || squares != wantSquares {
				t.Errorf("%d rows, slack %d: %v %d, want %v %d", n, slack, got, squares, want, wantSquares)
			}
		}
	}
}

// The sum of a text's rows, class by class and lane by lane, is what the
// definition says: each row times the weight of its count.
func TestSumIsTheDefinition(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	e := randomTable(random)
	g := new(grams)
	text := make([]byte, maxUserHead)
	for i := range text {
		text[i] = "aab c"[random.IntN(5)]
	}
	copy(text[600:], "some words that occur only once, and 12345 digits")
	g.readUser(text)
	var got, want [Dim]int32
	energy := e.sum(g, &got)
	var squares float64
	for _, b := range g.buckets[:g.distinct] {
		weight := classWeight[countClass[g.count[b]]]
		for j := range want {
			want[j] += (int32(e.rows[int(b)*Dim+j]) - rowBias) * weight
		}
		squares += math.Pow(float64(weight)*float64(e.idf[b]), 2)
	}
	if got != want {
		t.Errorf("sum %v, want %v", got, want)
	}
	if math.Abs(float64(energy)/squares-1) > 1e-6 {
		t.Errorf("energy %v, want %v", energy, squares)
	}
}

func FuzzKernels(f *testing.F) {
	random := rand.New(rand.NewPCG(9, 10))
	e := randomTable(random)
	f.Add([]byte("some bytes that are read as numbers of all kinds"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, inputs uint8) {
		buckets := make([]uint16, 0, flushRows+ahead)
		var numbers []float32
		for ; len(data) >= 4; data = data[4:] {
			v := math.Float32frombits(binary.LittleEndian.Uint32(data))
			if v != v || math.IsInf(float64(v), 0) || math.Abs(float64(v)) > 1e15 {
				v = 1 // weights are finite; which NaN comes of two is undefined
			}
			numbers = append(numbers, v)
			if len(buckets) < flushRows {
				buckets = append(buckets, binary.LittleEndian.Uint16(data))
			}
		}
		var got, want [Dim]uint16
		if e.sumRows(buckets, &got) != e.sumRowsPlain(buckets, &want) || got != want {
			t.Fatalf("sum of rows %v differs", buckets)
		}
		n := int(inputs) % (len(numbers) + 1)
		in, w := numbers[:n], numbers
		if rows := len(w) / (n + 1); rows > 0 {
			a, b := make([]float32, rows), make([]float32, rows)
			layer(w, in, a)
			layerPlain(w, in, b)
			for i := range a {
				if !sameBits(a[i], b[i]) {
					t.Fatalf("layer of %d inputs: row %d is %v, want %v", n, i, a[i], b[i])
				}
			}
		}
		if !sameBits(Dot(in, w), dotPlain(in, w)) {
			t.Fatalf("Dot of %d", n)
		}
	})
}

func randomTable(random *rand.Rand) *encoder {
	e := &encoder{rows: make([]byte, Buckets*Dim), idf: make([]byte, Buckets), scale: make([]float32, Dim), idfUnit: 1}
	for i := range e.rows {
		e.rows[i] = byte(random.Uint32())
	}
	for i := range e.idf {
		e.idf[i] = byte(random.Uint32())
	}
	return e
}

func floats(random *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(random.NormFloat64() * math.Pow(10, float64(random.IntN(9)-4)))
	}
	return x
}

func sameBits(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }
