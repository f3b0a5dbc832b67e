package eval_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"wye/internal/eval"
	"wye/router"
)

// shop is a data folder with a pool of every kind: subjects (three models, two
// of which each master one of two subjects, with token counts), pair (two
// models, nothing known of lengths), tiny (too small), unpriced (one price
// only) and <odd> (a name that must not reach a file system).
func shop(t *testing.T) *eval.Data {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	var prompts, outcomes strings.Builder
	outcomes.WriteString("prompt_id,model,score,output_tokens,cost_usd\n")
	add := func(source string, i int, split, task, text string, rows ...string) {
		id := fmt.Sprintf("%s-%d", source, i)
		line, err := json.Marshal(map[string]any{
			"prompt_id": id, "source": source, "task": task, "prompt": text, "split": split,
			"n_input_tokens": 20 + i%7, "group": fmt.Sprintf("%s-%d", source, i/2),
		})
		if err != nil {
			t.Fatal(err)
		}
		prompts.Write(append(line, '\n'))
		for _, r := range rows {
			outcomes.WriteString(id + "," + r + "\n")
		}
	}
	for i := range 240 {
		split := "train"
		if i%6 >= 4 {
			split = "val"
		}
		task, maths, verse := "algebra", 1, 0
		text := fmt.Sprintf("Solve the equation %d x = %d", i, 3*i)
		if i%2 == 1 {
			task, maths, verse = "verse", 0, 1
			text = fmt.Sprintf("Write a poem about winter night %d", i)
		}
		if rng.IntN(10) == 0 {
			maths, verse = 0, 0
		}
		odd := []string{
			fmt.Sprintf("algebraist,%d,100,", maths), fmt.Sprintf("poet,%d,200,0.0004", verse),
			fmt.Sprintf("polymath,%d,150,", max(maths, verse)), "secret,1,,",
		}
		if i%40 != 0 {
			odd = append(odd, fmt.Sprintf("novice,%d,80,", rng.IntN(2)))
		}
		if i%2 == 0 {
			odd = append(odd, "rare,1,90,")
		}
		add("subjects", i, split, task, text, odd...)
	}
	for i := range 120 {
		split := []string{"train", "val"}[i/2%2]
		hard := i % 4 / 2
		add("pair", i, split, "quiz", fmt.Sprintf("Question %d is %s", i, []string{"easy", "hard"}[i%2]),
			fmt.Sprintf("poet,%d,,", 1-i%2), fmt.Sprintf("polymath,%d,,", max(1-i%2, hard)))
	}
	for i := range 30 {
		add("<odd>/../name", i, "test", "", "Anything", fmt.Sprintf("poet,%d,10,", i%2), fmt.Sprintf("polymath,%d,10,", i%3/2))
		add("unpriced", i, "val", "", "Anything", "poet,1,10,", "secret,1,10,")
	}
	add("tiny", 0, "val", "", "Anything", "poet,1,10,", "polymath,1,10,")
	dir := folder{
		"prompts.jsonl": prompts.String(), "outcomes.csv": outcomes.String(),
		"models.csv": "model,price_in_per_1m,price_out_per_1m,price_from\nalgebraist,1,1,RA\nnovice,0.1,0.1,size\n" +
			"polymath,10,20,L\npoet,1,2,RA\nrare,1,1,RA\nsecret,,,\n",
	}.write(t)
	d, err := eval.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.Dir = "shop" // the same on every machine
	return d
}

// fake is a predictor of the test's own.
type fake struct {
	quality  func(p *eval.Prompt, model string) float64
	bindErr  error
	onGraded func(g *eval.Graded)
}

func (f *fake) Version() string { return "fake.1" }

func (f *fake) Bind(models []eval.Model, g *eval.Graded) (eval.Estimator, []string, error) {
	if g != nil && f.onGraded != nil {
		f.onGraded(g)
	}
	from := make([]string, len(models))
	for k := range from {
		from[k] = "trained"
	}
	return estimator{f, models}, from, f.bindErr
}

type estimator struct {
	*fake
	models []eval.Model
}

func (e estimator) Estimate(p *eval.Prompt, out []router.Estimate) bool {
	for k, m := range e.models {
		out[k] = router.Estimate{Quality: float32(e.quality(p, m.Name)), OutputTokens: 100}
	}
	return strings.Contains(p.Text, "night 1")
}

// Rate is what a deployment would say: hardly anything but quality counts.
func (estimator) Rate(mode router.Mode) float64 {
	return map[router.Mode]float64{router.ModeBalanced: 1, router.ModeCost: 1e6}[mode]
}

// expert knows which subject a prompt is about from its words, case and all.
func expert(p *eval.Prompt, model string) float64 {
	verse := strings.Contains(p.Text, "poem")
	switch {
	case model == "poet" && verse, model == "algebraist" && !verse:
		return 0.9
	case model == "polymath":
		return 0.85
	case model == "novice":
		return 0.5
	}
	return 0.05
}

// blind knows each model's average.
func blind(_ *eval.Prompt, model string) float64 {
	return map[string]float64{"polymath": 0.9, "poet": 0.45, "algebraist": 0.45, "novice": 0.5}[model]
}

func config(d *eval.Data, p eval.Predictor) eval.Config {
	return eval.Config{
		Data: d, Split: eval.SplitVal, Predictor: p, Rounds: 50, Seed: 1,
		Bands: router.Bands{Balanced: 0.015, Cost: 0.5},
	}
}

func mustRun(t *testing.T, c eval.Config) *eval.Report {
	t.Helper()
	r, err := eval.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
