package predict_test

import (
	"bytes"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/predict"
)

const arithmetic = "A farmer has 17 sheep and buys 5 more each week for 6 weeks. How many sheep does she have? Explain your steps."

func predictAll(p *predict.Predictor, in predict.Input, ms []predict.Model) []predict.Output {
	out := make([]predict.Output, len(ms))
	p.Predict(&in, ms, out)
	return out
}

func TestPredictIgnoresWhatDoesNotMatter(t *testing.T) {
	t.Parallel()
	p := load(t)
	ms := models(t, p, 40)
	want := predictAll(p, predict.Input{User: []byte(arithmetic)}, ms)
	for name, text := range map[string]string{
		"trailing white space": arithmetic + " \n\t ",
		"leading white space":  "\n  " + arithmetic,
		"doubled blanks":       strings.ReplaceAll(arithmetic, " ", "  "),
		"line breaks":          strings.ReplaceAll(arithmetic, " ", "\n"),
		"upper case":           strings.ToUpper(arithmetic),
		"other digits":         strings.ReplaceAll(arithmetic, "17", "83"),
	} {
		if diff := cmp.Diff(want, predictAll(p, predict.Input{User: []byte(text)}, ms)); diff != "" {
			t.Errorf("%s changes the estimate:\n%s", name, diff)
		}
	}
	other := predictAll(p, predict.Input{User: []byte("Write a Python function that parses a CSV line with quotes.")}, ms)
	if cmp.Equal(want, other) {
		t.Error("another question has the same estimates")
	}
}

func TestPredictRanges(t *testing.T) {
	t.Parallel()
	p := load(t)
	ms := models(t, p, len(p.Models()))
	prior, _ := p.Prior(predict.Hint{})
	ms = append(ms, prior)
	for name, in := range map[string]predict.Input{
		"nothing":       {},
		"prose":         {User: prose(500)},
		"long":          {User: prose(200000), System: prose(50000), History: prose(50000), Tools: prose(50000)},
		"not UTF-8":     {User: bytes.Repeat([]byte{0xff, 0x00, 0x80}, 3000)},
		"one byte":      {User: []byte("x")},
		"one word, big": {User: bytes.Repeat([]byte("x"), 5000)},
		"odd counts":    {User: prose(50), Bytes: -1, Turns: -5, ToolCount: 1 << 30, Images: 1 << 30},
	} {
		for i, o := range predictAll(p, in, ms) {
			if !(o.Quality > 0 && o.Quality < 1) || !(o.Uncertainty > 0 && o.Uncertainty <= 0.5) || !(o.OutputTokens >= 1 && o.OutputTokens <= 65536) {
				t.Errorf("%s, model %s: %+v is out of range", name, ms[i].Name(), o)
			}
		}
	}
}

func TestPredictIsConcurrent(t *testing.T) {
	t.Parallel()
	p := load(t)
	ms := models(t, p, 12)
	inputs := []predict.Input{{User: prose(3000)}, {User: []byte(arithmetic)}, {System: prose(400), User: prose(100)}, {}}
	var want [][]predict.Output
	for _, in := range inputs {
		want = append(want, predictAll(p, in, ms))
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 20 {
				i := (n + g) % len(inputs)
				if diff := cmp.Diff(want[i], predictAll(p, inputs[i], ms)); diff != "" {
					t.Errorf("input %d: another result beside other calls:\n%s", i, diff)
				}
			}
		})
	}
	wg.Wait()
}

func TestGuardMarksWhatTrainingNeverSaw(t *testing.T) {
	t.Parallel()
	p := load(t)
	ms := models(t, p, 1)
	for name, c := range map[string]struct {
		in   predict.Input
		want bool
	}{
		"word problem": {predict.Input{User: []byte(arithmetic)}, false},
		"gibberish":    {predict.Input{User: []byte("zxqj vvkpw qqzzt jjxw kqvz wwzzx pqkj xxvq zzkjw qpvx jwkz")}, true},
		"tools":        {predict.Input{User: []byte(arithmetic), ToolCount: 2}, true},
		"an image":     {predict.Input{User: []byte(arithmetic), Images: 1}, true},
		"no text":      {predict.Input{}, true},
	} {
		if got := predictAll(p, c.in, ms)[0].Guarded; got != c.want {
			t.Errorf("%s: guarded is %v, want %v", name, got, c.want)
		}
	}
}

func TestDemandAndTasks(t *testing.T) {
	t.Parallel()
	p := load(t)
	for text, want := range map[string]string{
		arithmetic: "math",
		"Write a function to find the n'th lucas number. Your code should satisfy these tests:\nassert find_lucas(9) == 76": "code",
		"Who wrote the novel The Old Man and the Sea, and in which year was it published?":                                  "knowledge",
	} {
		in := predict.Input{User: []byte(text)}
		d := p.Demand(&in)
		var sum float64
		for i, s := range d {
			sum += float64(s.Share)
			if i > 0 && s.Share > d[i-1].Share {
				t.Errorf("demands are not in order: %v", d)
			}
		}
		if math.Abs(sum-1) > 1e-4 {
			t.Errorf("shares sum to %v: %v", sum, d)
		}
		if len(d) == 0 || d[0].Skill != want {
			t.Errorf("%q asks for %v, want %s first", text, d, want)
		}
		in.ToolCount = 1
		if d := p.Demand(&in); d[0].Skill != "tool_use" {
			t.Errorf("with a tool it asks for %v, want tool_use first", d)
		}
		sum = 0
		for _, s := range p.Tasks(&in) {
			sum += float64(s.Share)
		}
		if math.Abs(sum-1) > 1e-4 {
			t.Errorf("task shares sum to %v", sum)
		}
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	p := load(t)
	if _, ok := p.Model("no-such-model"); ok {
		t.Error("a model that was never trained is found")
	}
	names := p.Models()
	for i, n := range names {
		if m, ok := p.Model(n); !ok || m.Name() != n {
			t.Errorf("model %q is listed, and Model gives %v", n, ok)
		}
		if i > 0 && names[i-1] >= n {
			t.Errorf("models are not sorted: %q before %q", names[i-1], n)
		}
	}
	if p.Version() == "" {
		t.Error("no version")
	}
}

// TestBetterModelsScoreHigher holds the estimates to what is beyond dispute.
func TestBetterModelsScoreHigher(t *testing.T) {
	t.Parallel()
	p := load(t)
	strong, _ := p.Model("gpt-4o-2024-05-13")
	weak, _ := p.Model("llama-2-7b-hf")
	for _, text := range []string{
		arithmetic,
		"Which of the following is a polar molecule?\nA. CO2\nB. H2O\nC. CH4\nD. N2\nAnswer with the letter.",
		"A contract was signed under duress. Which remedy is open to the promisor?\nA. Rescission\nB. Specific performance\nC. None",
	} {
		out := predictAll(p, predict.Input{User: []byte(text)}, []predict.Model{strong, weak})
		if out[0].Quality < out[1].Quality+0.1 {
			t.Errorf("%q: strong %.3f, weak %.3f", text, out[0].Quality, out[1].Quality)
		}
	}
}

func FuzzPredict(f *testing.F) {
	f.Add([]byte(arithmetic), []byte("You are helpful."), []byte("hi"), 0)
	f.Add([]byte{0xff, 0xfe, ' ', 'a', ')', '?'}, []byte{}, []byte{0}, 3)
	p := load(f)
	ms := models(f, p, 3)
	f.Fuzz(func(t *testing.T, user, system, history []byte, tools int) {
		in := predict.Input{User: user, System: system, History: history, ToolCount: tools}
		a, b := predictAll(p, in, ms), predictAll(p, in, ms)
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("the same input gives two results:\n%s", diff)
		}
		for _, o := range a {
			if !(o.Quality > 0 && o.Quality < 1) || !(o.OutputTokens >= 1) {
				t.Errorf("out of range: %+v", o)
			}
		}
	})
}

// TestShortPromptsAreNotHard: a greeting is not taken for a riddle.
func TestShortPromptsAreNotHard(t *testing.T) {
	t.Parallel()
	p := load(t)
	ms := models(t, p, 20)
	mean := func(text string) (sum float32) {
		for _, o := range predictAll(p, predict.Input{User: []byte(text)}, ms) {
			sum += o.Quality / float32(len(ms))
		}
		return sum
	}
	hard := mean("Find the number of ordered pairs of integers $(a, b)$ with $1 \\le a < b \\le 1000$ such that $\\gcd(a, b)$ divides $\\lfloor \\sqrt{ab} \\rfloor$, and prove that your answer is right.")
	for _, text := range []string{"hi", "2+2", "thanks", "hello!", "ok", "who are you?"} {
		if q := mean(text); q < hard || q < 0.4 {
			t.Errorf("%q is predicted to be answered well with %.3f, a competition problem with %.3f", text, q, hard)
		}
	}
}

// TestToolsAreRead: what declared tools say is part of what calibrated models are
// told apart by.
func TestToolsAreRead(t *testing.T) {
	t.Parallel()
	p := load(t)
	in := predict.Input{User: []byte("What is next?"), ToolCount: 1, Tools: []byte("get_weather: current weather of a city")}
	other := in
	other.Tools = []byte("run_sql: runs a query against the warehouse and returns rows")
	var examples []predict.Example
	for i := range 400 {
		e := predict.Example{Input: in, Score: 1}
		if i%2 == 1 {
			e = predict.Example{Input: other}
		}
		examples = append(examples, e)
	}
	m, _, err := predict.Calibrate(p, examples, predict.Hint{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := predictAll(p, in, []predict.Model{m})[0], predictAll(p, other, []predict.Model{m})[0]
	if a.Quality < b.Quality+0.3 {
		t.Errorf("quality %.3f with tools that always went well, %.3f with tools that never did", a.Quality, b.Quality)
	}
}
