package predict_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"wye/predict"
)

// TestSamplesFallInHalves: each kind with samples has a hard and an easy half of
// the same size, but for one, and models do better in the latter.
func TestSamplesFallInHalves(t *testing.T) {
	t.Parallel()
	p := load(t)
	ms := models(t, p, 3)
	kinds := p.Kinds()
	n, quality := make([]int, len(kinds)), make([]float64, len(kinds))
	for s := range p.Samples(ms) {
		n[s.Kind]++
		for _, o := range s.Outputs {
			quality[s.Kind] += float64(o.Quality)
		}
	}
	seen := 0
	for k := 0; k < len(kinds); k += 2 {
		hard, easy := kinds[k], kinds[k+1]
		if strings.TrimSuffix(hard, ", hard") != strings.TrimSuffix(easy, ", easy") || hard == easy {
			t.Errorf("kinds %q and %q are no halves", hard, easy)
		}
		if d := n[k+1] - n[k]; d < 0 || d > 1 {
			t.Errorf("%d samples of %s, %d of %s", n[k], hard, n[k+1], easy)
		}
		if n[k] < 8 {
			continue
		}
		seen++
		if quality[k]/float64(n[k]) >= quality[k+1]/float64(n[k+1]) {
			t.Errorf("models are predicted better on %s than on %s", hard, easy)
		}
	}
	if seen < 5 {
		t.Errorf("%d kinds with enough samples", seen)
	}
}

// TestWorthMixesKinds: what quality is worth on a prompt lies within what it is
// worth on the kinds, follows the benchmark that the prompt looks like, and
// does not depend on whether samples were asked for before.
func TestWorthMixesKinds(t *testing.T) {
	t.Parallel()
	p := load(t)
	kinds := p.Kinds()
	worth := make([]float64, len(kinds))
	for k, name := range kinds {
		if strings.HasPrefix(name, "mmlu_pro,") {
			worth[k] = 1
		}
	}
	var out [1]predict.Output
	ms := models(t, p, 1)
	of := func(text string) float64 {
		e := p.Predict(&predict.Input{User: []byte(text)}, ms, out[:])
		return p.Worth(&e, worth)
	}
	law := "Question: Which of the following best describes the doctrine of respondeat superior in tort law?\nOptions:\nA. The employer is liable for torts of an employee within the scope of employment\nB. The employee alone is liable\nC. The landlord is liable\nD. No one is liable\nE. The state is liable\nF. The victim is liable\nG. The insurer is liable\nH. The court is liable\nI. The parent is liable\nJ. None of the above"
	game := "Sort these words in descending order using ASCII ordering: dog, Cat, bird"
	before := of(law)
	if before <= of(game) {
		t.Errorf("worth %v on a law question, %v on a puzzle", before, of(game))
	}
	for range p.Samples(ms) {
	}
	if after := of(law); after != before {
		t.Errorf("worth %v before samples were asked for, %v after", before, after)
	}
	worth = slices.Repeat([]float64{3}, len(kinds))
	if w := of(game); math.Abs(w-3) > 1e-5 {
		t.Errorf("worth %v where it is 3 on every kind", w)
	}
}
