package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/router"
)

// shopGraded are graded prompts on two subjects, each of which one of two
// models masters.
func shopGraded(n int) (*Pool, *Graded) {
	p := &Pool{Models: []Model{{Name: "algebraist"}, {Name: "poet"}}}
	g := &Graded{}
	for i := range n {
		prompt := &Prompt{ID: fmt.Sprint(i), Task: "algebra", Text: fmt.Sprintf("solve the equation number %d", i)}
		score, tokens := []float64{1, 0}, []float64{100, 200}
		if i%2 == 1 {
			prompt.Task, prompt.Text = "verse", fmt.Sprintf("write a poem about winter %d", i)
			score, tokens = []float64{0, 1}, []float64{300, 400}
		}
		g.Prompts = append(g.Prompts, prompt)
		g.Score, g.Tokens = append(g.Score, score...), append(g.Tokens, tokens...)
	}
	return p, g
}

func TestBaselines(t *testing.T) {
	t.Parallel()
	p, g := shopGraded(100)
	algebra := &Prompt{Task: "algebra", Text: "please solve an equation"}
	unknown := &Prompt{Task: "cooking", Text: "zzz"}
	tests := []struct {
		name string
		// want are the qualities for algebra, each within 0.2.
		want [2]float64
		// guarded says whether an unknown prompt is recognised as such.
		guarded bool
		tokens  float32
	}{
		{"prompt-blind mean", [2]float64{0.5, 0.5}, false, 200},
		{"true task lookup", [2]float64{0.95, 0.05}, true, 109.09091},
		{"TF-IDF kNN", [2]float64{1, 0}, true, 100},
		{"TF-IDF ridge", [2]float64{0.9, 0.1}, false, 200},
	}
	if len(tests) != len(baselines) {
		t.Fatalf("%d baselines, %d tests", len(baselines), len(tests))
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if baselines[i].name != tt.name {
				t.Fatalf("baseline %q", baselines[i].name)
			}
			e := baselines[i].fit(p, g)
			out := make([]router.Estimate, 2)
			if e.Estimate(algebra, out) {
				t.Error("a prompt like the graded ones is guarded")
			}
			for k, w := range tt.want {
				if math.Abs(float64(out[k].Quality)-w) > 0.2 {
					t.Errorf("quality of model %d is %v, want about %v", k, out[k].Quality, w)
				}
			}
			if out[0].OutputTokens != tt.tokens {
				t.Errorf("%v output tokens, want %v", out[0].OutputTokens, tt.tokens)
			}
			if got := e.Estimate(unknown, out); got != tt.guarded {
				t.Errorf("guarded is %v for an unknown prompt, want %v", got, tt.guarded)
			}
			if math.Abs(float64(out[0].Quality)-0.5) > 1e-6 {
				t.Errorf("quality %v for an unknown prompt, want the mean 0.5", out[0].Quality)
			}
		})
	}
}

func TestBaselinesWithGaps(t *testing.T) {
	t.Parallel()
	p, g := shopGraded(40)
	for i := range g.Prompts {
		g.Score[2*i+1], g.Tokens[2*i+1] = math.NaN(), math.NaN()
		if i%4 == 0 {
			g.Score[2*i] = math.NaN()
		}
	}
	for _, b := range baselines {
		out := make([]router.Estimate, 2)
		b.fit(p, g).Estimate(g.Prompts[0], out)
		if q := out[1].Quality; math.Abs(float64(q)-0.5) > 1e-6 || out[1].OutputTokens != proxyTokens {
			t.Errorf("%s: a model without any score has %+v, want 0.5 and %d tokens", b.name, out[1], proxyTokens)
		}
		if q := out[0].Quality; !(q >= 0 && q <= 1) {
			t.Errorf("%s: quality %v", b.name, q)
		}
	}
}

// TestRidgeSolvesItsEquations checks the solver against the equations.
func TestRidgeSolvesItsEquations(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	const rows, terms, width = 30, 12, 3
	x := make([][]term, rows)
	target := make([]float64, rows*width)
	for i := range x {
		for id := range int32(terms) {
			if rng.IntN(3) == 0 {
				x[i] = append(x[i], term{id, rng.NormFloat64()})
			}
		}
		target[i*width], target[i*width+2] = rng.NormFloat64(), rng.NormFloat64() // column 1 is zero
	}
	scratch := make([]float64, terms*width)
	a := solve(x, target, width, scratch)
	transposed(x, a, width, scratch)
	var off, size float64
	for i, row := range x {
		for k := range width {
			v := ridgePenalty * a[i*width+k]
			for _, t := range row {
				v += t.weight * scratch[int(t.id)*width+k]
			}
			off += (v - target[i*width+k]) * (v - target[i*width+k])
			size += target[i*width+k] * target[i*width+k]
		}
	}
	if math.Sqrt(off/size) > 2*ridgeTolerance {
		t.Errorf("relative residual %v, want at most %v", math.Sqrt(off/size), 2*ridgeTolerance)
	}
}

func TestVocabulary(t *testing.T) {
	t.Parallel()
	long := &Prompt{Text: strings.Repeat("x ", maxTermBytes) + "tail"}
	v := newVocabulary([]*Prompt{
		{Text: "Red apple, red pear"}, {System: "RED", Text: "apple only"}, {Text: "green pear"}, {Text: "green"}, {Text: "x"}, long,
	})
	var got []string
	for _, s := range []string{"red", "apple", "red apple", "pear", "green", "only", "x", "tail"} {
		if _, ok := v.ids[s]; ok {
			got = append(got, s)
		}
	}
	if diff := cmp.Diff([]string{"red", "apple", "red apple", "pear", "green", "x"}, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	norm := 0.0
	for _, term := range v.vector(&Prompt{Text: "red red apple"}) {
		norm += term.weight * term.weight
	}
	if math.Abs(norm-1) > 1e-12 {
		t.Errorf("squared norm %v, want 1", norm)
	}
	if got := v.vector(&Prompt{Text: "nothing known"}); len(got) != 0 {
		t.Errorf("vector of unknown words is %v", got)
	}
}

func TestPriceFit(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	tests := []struct {
		name string
		rows [][3]float64 // input tokens, output tokens, cost
		want Price
		ok   bool
	}{
		{"both prices", [][3]float64{{100, 50, 100*2e-6 + 50*8e-6}, {10, 400, 10*2e-6 + 400*8e-6}, {7, 7, 7e-5}}, Price{2, 8, impliedPrice}, true},
		{"output alone where the fit has a negative price", [][3]float64{{100, 100, 8e-4}, {200, 100, 7e-4}, {300, 100, 6e-4}}, Price{0, 7, impliedPrice}, true},
		{"input alone where lengths are unknown", [][3]float64{{100, nan, 3e-4}, {200, nan, 6e-4}}, Price{3, 0, impliedPrice}, true},
		{"nothing to go by", [][3]float64{{100, 50, nan}}, Price{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f priceFit
			for _, r := range tt.rows {
				f.add(r[0], &Outcome{Tokens: r[1], Cost: r[2]})
			}
			got, ok := f.price()
			if diff := cmp.Diff(tt.want, got, near); diff != "" || ok != tt.ok {
				t.Errorf("price, %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestPerturbations(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("Please Compute the sum of 12 and 30, then explain.\n", 40)
	p := &Prompt{ID: "a", System: "S.", Text: text, InputTokens: 500}
	fold := func(s string) string { return strings.Join(strings.Fields(strings.ToLower(s)), " ") }
	for i := range perturbations {
		v := &perturbations[i]
		got, again := v.perturbed(p, 7), v.perturbed(p, 7)
		if *got != *again {
			t.Errorf("%s: the same seed gave two texts", v.name)
		}
		if got.Text == p.Text && got.System == p.System {
			t.Errorf("%s: nothing changed", v.name)
		}
		if p.Text != text || got.ID != "a" || got.InputTokens < 1 {
			t.Errorf("%s: the prompt itself changed", v.name)
		}
		switch v.name {
		case "lower case", "upper case", "whitespace", "trailing whitespace":
			if fold(got.Text) != fold(text) {
				t.Errorf("%s: more than case and whitespace changed", v.name)
			}
		case "typos":
			same := len(strings.Fields(text)) == len(strings.Fields(got.Text))
			changed := 0
			for k, w := range strings.Fields(text) {
				if g := strings.Fields(got.Text); k >= len(g) || g[k] != w {
					changed++
				}
			}
			if share := float64(changed) / 400; same && (share < 0.02 || share > 0.3) {
				t.Errorf("typos in %v of the words", share)
			}
			if strings.Count(got.Text, "12") != 40 {
				t.Error("typos: a digit changed, and with it the question")
			}
		case "politeness":
			if !strings.Contains(got.Text, text) || got.InputTokens <= p.InputTokens {
				t.Error("politeness: the text is not kept whole, or its length not counted")
			}
		case "synonyms":
			if len(strings.Fields(got.Text)) != len(strings.Fields(text)) || strings.Count(got.Text, "calculate")+strings.Count(got.Text, "total")+strings.Count(got.Text, "describe") < 20 {
				t.Errorf("synonyms: %.60q", got.Text)
			}
		default: // the system prompt
			if n := len(got.System) - len(p.System); n < 1900 || n > 2200 || got.Text != text || !strings.HasSuffix(got.System, "S.") {
				t.Errorf("%s: %d bytes more", v.name, n)
			}
			if v.unpriced != (got.InputTokens == p.InputTokens) || !v.unpriced && got.InputTokens < p.InputTokens+450 {
				t.Errorf("%s: %d tokens", v.name, got.InputTokens)
			}
		}
	}
}

func TestLeakage(t *testing.T) {
	t.Parallel()
	learnt := []*Prompt{{Source: "s", Group: "1", Text: "What is  Go?"}, {Source: "s", Group: "2", Text: "B"}}
	evaluated := []*Prompt{
		{Source: "s", Group: "1", Text: "other words"},
		{Source: "s", Group: "3", Text: "what is go?\n"},
		{Source: "s", Group: "4", Text: "what is Go?"},
		{Source: "r", Group: "5", Text: "what is go?"},
		{Source: "s", Group: "6", Text: "what is go?", Tools: "[1]"},
	}
	want := Leakage{SharedGroups: []string{"1"}, SharedTexts: 3, Duplicates: 1, Evaluated: 5, Learnt: 2}
	if diff := cmp.Diff(want, leakage(evaluated, learnt)); diff != "" {
		t.Errorf("leakage (-want +got):\n%s", diff)
	}
}

func TestDraw(t *testing.T) {
	t.Parallel()
	d := &Data{}
	var rows []int
	for i := range 90 {
		d.Prompts = append(d.Prompts, Prompt{Group: fmt.Sprint(i / 3)})
		rows = append(rows, i)
	}
	drawn, rest := d.draw(rows, 10, 1)
	if len(drawn) != 12 || len(rest) != 78 {
		t.Fatalf("drew %d and left %d, want whole groups: 12 and 78", len(drawn), len(rest))
	}
	in := map[string]bool{}
	for _, i := range drawn {
		in[d.Prompts[i].Group] = true
	}
	for _, i := range rest {
		if in[d.Prompts[i].Group] {
			t.Errorf("group %s is on both sides", d.Prompts[i].Group)
		}
	}
	other, _ := d.draw(rows, 10, 2)
	if cmp.Equal(drawn, other) {
		t.Error("another seed drew the same prompts")
	}
	if none, all := d.draw(rows, 0, 1); len(none) != 0 || len(all) != 90 {
		t.Errorf("drawing none drew %d", len(none))
	}
}
