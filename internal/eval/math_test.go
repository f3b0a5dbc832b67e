package eval

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wye/router"
)

var near = cmpopts.EquateApprox(0, 1e-9)

func TestHull(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		give      []Point
		want      []Point
		cost      float64
		quality   float64
		atQuality float64
		wantCost  float64
	}{
		{
			name: "a dominated model and one under the mix leave",
			give: []Point{{4, 0.9}, {1, 0.3}, {2, 0.55}, {3, 0.5}, {3, 0.7}},
			want: []Point{{1, 0.3}, {2, 0.55}, {4, 0.9}},
			cost: 3, quality: 0.725, atQuality: 0.425, wantCost: 1.5,
		},
		{
			name: "of one cost the better stays",
			give: []Point{{1, 0.3}, {1, 0.5}, {2, 0.5}},
			want: []Point{{1, 0.5}},
			cost: 7, quality: 0.5, atQuality: 0.9, wantCost: 1,
		},
		{
			name: "points on the line between two leave",
			give: []Point{{1, 0.25}, {2, 0.5}, {3, 0.75}},
			want: []Point{{1, 0.25}, {3, 0.75}},
			cost: 0.5, quality: 0.25, atQuality: 0.05, wantCost: 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Hull(tt.give)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("hull (-want +got):\n%s", diff)
			}
			if q := qualityAt(got, tt.cost); math.Abs(q-tt.quality) > 1e-12 {
				t.Errorf("quality at %v is %v, want %v", tt.cost, q, tt.quality)
			}
			if c := costAt(got, tt.atQuality); math.Abs(c-tt.wantCost) > 1e-12 {
				t.Errorf("cost at %v is %v, want %v", tt.atQuality, c, tt.wantCost)
			}
		})
	}
}

func TestArea(t *testing.T) {
	t.Parallel()
	hull := []Point{{1, 0.2}, {math.E, 0.6}}
	// A curve that is 0.6 throughout lies above the hull by
	// ∫ 0.4 − 0.4·(eˣ−1)/(e−1) dx over 0 to 1.
	want := 0.4 - 0.4*(math.E-2)/(math.E-1)
	tests := []struct {
		name  string
		curve []Point
		want  float64
	}{
		{"the hull itself", hull, 0},
		{"the best quality for the least cost", []Point{{1, 0.6}}, want},
		{"a curve that starts late begins at the cheapest model", []Point{{math.E, 0.6}}, 0},
		{"below the hull", []Point{{0.5, 0.2}}, want - 0.4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := area(tt.curve, hull); math.Abs(got-tt.want) > 1e-4 {
				t.Errorf("area is %v, want %v", got, tt.want)
			}
		})
	}
	for _, h := range [][]Point{{{1, 0.5}}, {{0, 0.1}, {1, 0.2}}} {
		if got := area(hull, h); !math.IsNaN(got) {
			t.Errorf("area over %v is %v, want NaN", h, got)
		}
	}
}

func TestCheapestAt(t *testing.T) {
	t.Parallel()
	c := []Point{{1, 0.5}, {2, 0.4}, {4, 0.8}, {5, 0.6}}
	for quality, want := range map[float64]float64{0.4: 1, 0.5: 1, 0.6: 3, 0.8: 4} {
		if got := cheapestAt(c, quality); math.Abs(got-want) > 1e-12 {
			t.Errorf("cost of %v is %v, want %v", quality, got, want)
		}
	}
	if got := cheapestAt(c, 0.81); !math.IsNaN(got) {
		t.Errorf("cost of what is never reached is %v, want NaN", got)
	}
}

// cells makes a pool of given scores and its estimates; a row a prompt.
func cells(score, estimate [][]float64) (*Pool, *estimates) {
	p := &Pool{Models: make([]Model, len(score[0]))}
	es := &estimates{guarded: make([]bool, len(score))}
	for i, row := range score {
		p.Prompts = append(p.Prompts, &Prompt{})
		p.group = append(p.group, i)
		for k, v := range row {
			p.Score = append(p.Score, v)
			p.Cost = append(p.Cost, float64(k+1))
			es.candidates = append(es.candidates, router.Candidate{
				Model: router.ModelIndex(k), Cost: float64(k + 1),
				Estimate: router.Estimate{Quality: float32(estimate[i][k])},
			})
		}
	}
	p.groups = len(score)
	return p, es
}

func TestAUC(t *testing.T) {
	t.Parallel()
	p, es := cells(
		[][]float64{{0, 1, 1}, {1, 1, 1}, {0.4, 0, 1}, {0.9, 0, 1}},
		[][]float64{{0.1, 0.5, 0}, {0.4, 0.5, 0}, {0.35, 0.5, 0}, {0.2, 0.4, 0}},
	)
	// Model 0: of the four pairs of right and wrong only 0.2 < 0.35 is amiss.
	// Model 1: one tie of two pairs each. Model 2 is always right.
	want := []float64{0.75, 0.75, math.NaN()}
	for k, w := range want {
		got := newRanking(p, es, k).auc([]float64{1, 1, 1, 1})
		if diff := cmp.Diff(w, got, cmpopts.EquateNaNs(), near); diff != "" {
			t.Errorf("model %d (-want +got):\n%s", k, diff)
		}
	}
	// Counting prompt 3 twice makes the wrong pair count twice.
	if got := newRanking(p, es, 0).auc([]float64{1, 1, 1, 2}); math.Abs(got-4.0/6) > 1e-9 {
		t.Errorf("weighted AUC %v, want 4/6", got)
	}
	all := []*ranking{newRanking(p, es, 0), newRanking(p, es, 2)}
	if got := meanAUC(all, []float64{1, 1, 1, 1}); got != 0.75 {
		t.Errorf("mean AUC %v, want that of the model that has one", got)
	}
	if got := meanAUC(all[1:], []float64{1, 1, 1, 1}); !math.IsNaN(got) {
		t.Errorf("mean AUC %v, want NaN", got)
	}
}

func TestECE(t *testing.T) {
	t.Parallel()
	var score, good, bad [][]float64
	for i := range 30 {
		v := float64(i % 2)
		score = append(score, []float64{v, v})
		good = append(good, []float64{v, v})
		bad = append(bad, []float64{0.8, 0.8})
	}
	p, es := cells(score, good)
	w := ones(30)
	if got := newReliability(p, es).ece(w); got != 0 {
		t.Errorf("ECE of perfect estimates is %v, want 0", got)
	}
	p, es = cells(score, bad)
	if got := newReliability(p, es).ece(w); math.Abs(got-0.3) > 1e-6 {
		t.Errorf("ECE of 0.8 for prompts that are right half the time is %v, want 0.3", got)
	}
}

func TestBootstrap(t *testing.T) {
	t.Parallel()
	const n = 400
	score := make([][]float64, n)
	for i := range score {
		score[i] = []float64{float64(i % 2), 0}
	}
	p, _ := cells(score, score)
	run := func(groupSize int, seed uint64) (mean, none Interval) {
		q := *p
		q.group = make([]int, n)
		for i := range q.group {
			q.group[i] = i / groupSize
			// Groups of one kind: a resample of groups varies more.
			q.Score[2*i] = float64(i / groupSize % 2)
		}
		q.groups = n / groupSize
		tr := q.single(0)
		var f figures
		f.add(func(w, out []float64) { out[0], out[1] = tr.mean(w).Quality, math.NaN() }, &mean, &none)
		f.run(&q, 500, seed)
		return mean, none
	}
	single, none := run(1, 1)
	again, _ := run(1, 1)
	other, _ := run(1, 2)
	grouped, _ := run(20, 1)
	if single != again {
		t.Errorf("the same seed gave %v, then %v", single, again)
	}
	if single == other {
		t.Error("another seed gave the same interval")
	}
	// Standard error of a share of one half over 400: 0.025.
	if w := single.High - single.Low; single.Value != 0.5 || math.Abs(w-4*0.025) > 0.02 {
		t.Errorf("interval %v, want 0.5 with a width of about 0.1", single)
	}
	if grouped.High-grouped.Low < 3*(single.High-single.Low) {
		t.Errorf("groups of 20 gave %v, singles %v: groups must widen it about 4.5 times", grouped, single)
	}
	if !math.IsNaN(none.Value) || !math.IsNaN(none.Low) || !math.IsNaN(none.High) {
		t.Errorf("an undefined figure is %v, want NaN", none)
	}
	if got := percentile([]float64{1, 2, 4}, 0.75); got != 3 {
		t.Errorf("percentile %v, want 3", got)
	}
}

func TestIntervalJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal([]Interval{{0.5, 0.25, 1}, undefined(), {1, math.Inf(-1), math.Inf(1)}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[[0.5,0.25,1],[null,null,null],[1,null,null]]"; string(b) != want {
		t.Errorf("JSON %s, want %s", b, want)
	}
}

func TestPairCurve(t *testing.T) {
	t.Parallel()
	// Model 1 is strong; it alone is right on prompts 0 and 1, model 0 on 4.
	p, es := cells(
		[][]float64{{0, 1}, {0, 1}, {1, 1}, {0, 0}, {1, 0}, {0, 1}},
		[][]float64{{0.1, 1}, {0.2, 1}, {0.9, 1}, {0.8, 0}, {1, 0.5}, {0.3, 1}},
	)
	r, ok := newPair(p)
	if !ok || r.strong != 1 {
		t.Fatalf("strong model %d, %v; want 1", r.strong, ok)
	}
	order := r.order(es)
	if diff := cmp.Diff([]int{0, 1, 5, 2, 4, 3}, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]int{0, 1, 5, 2, 3, 4}, r.oracleOrder()); diff != "" {
		t.Errorf("oracle's order (-want +got):\n%s", diff)
	}
	// Gain 2 of 6 prompts. After each sixth of calls the recovered share is
	// ½, 1, 1½, 1½, 1, 1; APGR is the area under it.
	apgr, least := r.curve(order, ones(6), 0.5, 0.8, 1.6)
	want := (0.25 + 0.75 + 1.25 + 1.5 + 1.25 + 1) / 6
	if math.Abs(apgr-want) > 1e-12 {
		t.Errorf("APGR %v, want %v", apgr, want)
	}
	if diff := cmp.Diff([]float64{1.0 / 6, 1.6 / 6, math.NaN()}, least, near, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("least calls (-want +got):\n%s", diff)
	}
	// A resample without the strong model's wins has no gain to recover.
	if apgr, _ := r.curve(order, []float64{0, 0, 1, 1, 1, 0}); !math.IsNaN(apgr) {
		t.Errorf("APGR without a gain is %v, want NaN", apgr)
	}
	even, _ := cells([][]float64{{1, 1}}, [][]float64{{1, 1}})
	if _, ok := newPair(even); ok {
		t.Error("equal models are no pair")
	}
	three, _ := cells([][]float64{{1, 0, 0}}, [][]float64{{1, 0, 0}})
	if _, ok := newPair(three); ok {
		t.Error("three models are no pair")
	}
}

func TestNearTies(t *testing.T) {
	t.Parallel()
	same := [][]float64{{0, 0}, {0, 0}, {0, 0}, {0, 0}}
	// The dear model costs a dollar more, of which 0.1 of quality is worth it:
	// it is just chosen, far from it, clearly chosen, and just not.
	_, es := cells(same, [][]float64{{0.697, 0.8}, {0.8, 0.8}, {0.5, 0.8}, {0.703, 0.8}})
	es.rates = map[router.Mode][]float64{router.ModeBalanced: {0.1, 0.1, 0.1, 0.1}}
	for i := range es.candidates {
		es.candidates[i].Cost = float64(i % 2)
	}
	chosen := es.choose(router.ModeBalanced)
	if diff := cmp.Diff(choices{1, 0, 1, 0}, chosen); diff != "" {
		t.Errorf("choices (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bool{true, false, false, true}, es.nearTies(chosen)); diff != "" {
		t.Errorf("near-ties (-want +got):\n%s", diff)
	}
}
