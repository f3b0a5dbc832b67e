package eval

import (
	"math"
	"testing"

	"wye/router"
)

// TestAreas checks each definition on two prompts and three models, of which the
// middle one lies below the mix of the others.
func TestAreas(t *testing.T) {
	t.Parallel()
	p := &Pool{
		Models: make([]Model, 3), Prompts: []*Prompt{{}, {}}, group: []int{0, 1}, groups: 2,
		Score: []float64{0, 0.4, 1, 1, 0.4, 1}, Cost: []float64{1, 2, 4, 1, 2, 4},
	}
	// The estimates are the truth, but for costs: the second prompt's good
	// cheap answer is taken to be dear.
	truth := &estimates{guarded: make([]bool, 2)}
	for at, q := range p.Score {
		c := router.Candidate{Model: router.ModelIndex(at % 3), Estimate: router.Estimate{Quality: float32(q)}, Cost: p.Cost[at]}
		if at == 3 {
			c.Cost = 8
		}
		truth.candidates = append(truth.candidates, c)
	}
	var report PoolReport
	m := newMeasure(p, nil, &report)
	rows := m.areas(truth, nil)
	m.figures.run(p, 1, 1)
	m.resample(ones(2))
	// The rule that is misled gets along with the dear model alone. The one that
	// knows costs is the oracle.
	want := map[string]float64{"rule told each model's mean cost": 1, "rule told each answer's cost": 1}
	for _, r := range rows {
		if !math.IsNaN(r.Lookup.Value) {
			t.Errorf("%s: lookup %v without a lookup", r.Definition, r.Lookup.Value)
		}
		if w, ok := want[r.Definition]; ok {
			if math.Abs(r.Wye.Value-w) > 1e-9 {
				t.Errorf("%s: %v, want %v", r.Definition, r.Wye.Value, w)
			}
		} else if !(r.Wye.Value < 0.9) {
			t.Errorf("%s: %v, want less than the oracle's", r.Definition, r.Wye.Value)
		}
	}
	if a, b := rows[0].Wye.Value, m.share(curve(p.traces(truth.sweep()), ones(2))); a != b {
		t.Errorf("the first definition gives %v, the summary %v", a, b)
	}
}

// TestDefinitionsDiffer checks the geometry on a curve that a mix improves and
// on a candidate that is dearer than the best.
func TestDefinitionsDiffer(t *testing.T) {
	t.Parallel()
	m := &measure{
		points: []Point{{1, 0.2}, {math.E, 0.6}, {math.E * math.E, 0.5}},
		hull:   []Point{{1, 0.2}, {math.E, 0.6}}, oracleCurve: []Point{{0.9, 0.6}},
	}
	m.oracleArea = area(m.oracleCurve, m.hull)
	// 0.2 up to √e, then 0.6: the mix of its ends is the hull.
	dip := []Point{{1, 0.2}, {math.Sqrt(math.E), 0.2}, {math.E, 0.6}}
	over := []Point{{1, 0.2}, {math.E, 0.6}, {5, 0.8}}
	got := map[string][2]float64{}
	for _, d := range definitions {
		got[d.name] = [2]float64{d.area(m, dip), d.area(m, over)}
	}
	if v := got["as in the summary"]; !(v[0] < -0.1) || math.Abs(v[1]) > 1e-9 {
		t.Errorf("summary: %v, want a loss and nothing", v)
	}
	if v := got["random mixes of rates"]; math.Abs(v[0]) > 1e-9 {
		t.Errorf("mixes: %v, want no loss", v)
	}
	if v := got["cheapest to dearest candidate"]; !(v[0] < -0.1 && v[1] > 0.1) {
		t.Errorf("whole range: %v, want a loss and a gain", v)
	}
	// Per unit of cost the hull is straight and the dip is a triangle of height
	// 0.4·(√e−1)/(e−1); the oracle's area is one of height 0.4.
	want := -0.4 * (math.Sqrt(math.E) - 1) / (math.E - 1) / 0.4
	if v := got["over cost, not its logarithm"]; math.Abs(v[0]-want) > 1e-3 {
		t.Errorf("over cost: %v, want %v", v[0], want)
	}
}
