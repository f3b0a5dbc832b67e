package predict

import (
	"math"
	"testing"
)

func TestExp32(t *testing.T) {
	t.Parallel()
	for x := -80.0; x <= 80; x += 0.0137 {
		got, want := float64(exp32(float32(x))), math.Exp(float64(float32(x)))
		if math.Abs(got-want) > 2e-6*want {
			t.Fatalf("exp32(%v) = %v, want %v", x, got, want)
		}
	}
	if a, b := exp32(-1000), exp32(1000); a != exp32(-80) || b != exp32(80) {
		t.Errorf("exp32 is not clamped: %v, %v", a, b)
	}
}

func TestLog2(t *testing.T) {
	t.Parallel()
	before := float32(-1)
	for n := range 5000 {
		got := log2(n)
		if got <= before {
			t.Fatalf("log2(%d) = %v is not above %v", n, got, before)
		}
		if math.Abs(float64(got)-math.Log2(float64(n+1))) > 0.09 {
			t.Fatalf("log2(%d) = %v", n, got)
		}
		before = got
	}
}

func TestDot(t *testing.T) {
	t.Parallel()
	a, b := make([]float32, 11), make([]float32, 12)
	var want float32
	for i := range a {
		a[i], b[i] = float32(i+1), float32(i*i)
		want += a[i] * b[i]
	}
	b[11] = 1e9 // beyond a
	for n := range len(a) + 1 {
		var want float32
		for i := range n {
			want += a[i] * b[i]
		}
		if got := Dot(a[:n], b); got != want {
			t.Errorf("dot of %d numbers = %v, want %v", n, got, want)
		}
	}
}

func TestSoftTop(t *testing.T) {
	t.Parallel()
	logits := make([]float32, 30)
	for i := range logits {
		logits[i] = float32((i*7)%30) / 10
	}
	var m mixture
	m.softTop(logits)
	if m.n != TopTasks {
		t.Fatalf("%d entries, want %d", m.n, TopTasks)
	}
	var sum float32
	for i := range m.n {
		sum += m.share[i]
		if want := float32(29-i) / 10; logits[m.task[i]] != want {
			t.Errorf("entry %d has logit %v, want %v", i, logits[m.task[i]], want)
		}
	}
	if math.Abs(float64(sum)-1) > 1e-5 {
		t.Errorf("shares sum to %v", sum)
	}
	m.softTop([]float32{1, 3})
	if m.n != 2 || m.task[0] != 1 {
		t.Errorf("of two logits: %+v", m)
	}
}

// TestSumMatchesPlainArithmetic checks the packed sums against one addition a
// number, past the point where a lane would overflow.
func TestSumMatchesPlainArithmetic(t *testing.T) {
	t.Parallel()
	e := encoder{rows: make([]byte, Buckets*Dim), idf: make([]byte, Buckets), scale: make([]float32, Dim), idfUnit: 1}
	state := uint32(1)
	for i := range e.rows {
		state = state*1664525 + 1013904223
		e.rows[i] = byte(state >> 24)
	}
	for i := range e.idf {
		e.idf[i] = byte(i)
	}
	g := new(grams)
	for i := range 3000 {
		for range 1 + i%12 {
			g.add(uint16(i * 21))
		}
	}
	// A bucket of only the highest values in each class must not overflow.
	for i := range 600 {
		b := uint16(65000 - i)
		for j := range Dim {
			e.rows[int(b)*Dim+j] = 255
		}
		g.add(b)
	}
	var got, want [Dim]int32
	energy := e.sum(g, &got)
	var wantEnergy float64
	for _, b := range g.buckets[:g.distinct] {
		weight := classWeight[countClass[g.count[b]]]
		for j := range want {
			want[j] += weight * (int32(e.rows[int(b)*Dim+j]) - rowBias)
		}
		wantEnergy += math.Pow(float64(weight)*float64(e.idf[b]), 2)
	}
	if got != want {
		t.Errorf("sums differ:\n got %v\nwant %v", got, want)
	}
	if math.Abs(float64(energy)-wantEnergy) > 1e-5*wantEnergy {
		t.Errorf("energy %v, want %v", energy, wantEnergy)
	}
}

func TestGramsCountEachTextAlone(t *testing.T) {
	t.Parallel()
	g := new(grams)
	g.read([]byte("a long first text, full of n-grams, 123"), nil)
	g.read([]byte("two  Words"), nil)
	fresh := new(grams)
	fresh.read([]byte("TWO words"), nil)
	if g.distinct != fresh.distinct || g.count != fresh.count {
		t.Error("the counts of a reused memory differ from those of a fresh one")
	}
	if got := string(g.text[:g.length]); got != "two words" {
		t.Errorf("normal form %q", got)
	}
	// Two words, one pair with the start and one with each other, and 3-, 4-
	// and 5-grams at the first seven bytes.
	total := 0
	for _, b := range g.buckets[:g.distinct] {
		total += int(g.count[b])
	}
	if want := 2 + 2 + 3*7; total != want {
		t.Errorf("%d n-grams, want %d", total, want)
	}
}
