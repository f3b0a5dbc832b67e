package eval_test

import (
	"math"
	"strings"
	"testing"

	"wye/internal/eval"
	"wye/predict"
	"wye/router"
)

// TestWye checks that models enter the built-in predictor as deployments have
// them enter it.
func TestWye(t *testing.T) {
	t.Parallel()
	p, err := predict.Default()
	if err != nil {
		t.Fatal(err)
	}
	trained := p.Models()[0]
	models := []eval.Model{
		{Name: trained, Price: eval.Price{Input: 1, Output: 1}},
		{Name: "never-seen", Price: eval.Price{Input: 1, Output: 1}},
		{Name: "look-alike", Price: eval.Price{Input: 1, Output: 1}},
	}
	hints := map[string]predict.Hint{"look-alike": {Like: trained}}
	w := eval.Wye(p, hints, router.Bands{Balanced: 0.015, Cost: 0.055})
	if w.Version() != p.Version() {
		t.Errorf("version %q, want %q", w.Version(), p.Version())
	}
	prompt := &eval.Prompt{System: "Be brief.", Text: "What is 17 times 23?", InputTokens: 12}

	e, from, err := w.Bind(models, nil)
	if err != nil {
		t.Fatal(err)
	}
	if from[0] != "trained" || from[1] == "" || from[1] == "trained" || !strings.Contains(from[2], trained) {
		t.Errorf("estimates from %q", from)
	}
	plain := make([]router.Estimate, 3)
	e.Estimate(prompt, plain)
	model, _ := p.Model(trained)
	want := make([]predict.Output, 1)
	p.Predict(&predict.Input{
		System: []byte(prompt.System), User: []byte(prompt.Text),
		Bytes: len(prompt.System) + len(prompt.Text), Turns: 2, PromptTokens: 12,
	}, []predict.Model{model}, want)
	if got := plain[0]; got.Quality != want[0].Quality || got.Uncertainty != want[0].Uncertainty || got.OutputTokens != want[0].OutputTokens {
		t.Errorf("estimate %+v, want what the predictor says: %+v", got, want[0])
	}

	// Declared tools are unlike anything in the training data.
	if !e.Estimate(&eval.Prompt{Text: "Weather in Oslo?", Tools: `[{"name":"weather"}]`, ToolCount: 1}, plain) {
		t.Error("a prompt with tools is not guarded")
	}
}

func TestWyeCalibrates(t *testing.T) {
	t.Parallel()
	p, err := predict.Default()
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	models := []eval.Model{{Name: "good"}, {Name: "bad"}}
	g := &eval.Graded{}
	for range 60 {
		g.Prompts = append(g.Prompts, &eval.Prompt{Text: "What is 17 times 23?", InputTokens: 12})
		g.Score = append(g.Score, 1, 0)
		g.Tokens = append(g.Tokens, 50, nan)
	}
	// A prompt without a score teaches nothing.
	g.Prompts = append(g.Prompts, &eval.Prompt{Text: "Name a colour", InputTokens: 3})
	g.Score, g.Tokens = append(g.Score, nan, 0), append(g.Tokens, nan, nan)

	e, from, err := eval.Wye(p, nil, router.Bands{}).Bind(models, g)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(from[0], "calibrated on 60 graded prompts") || !strings.HasSuffix(from[1], "calibrated on 61 graded prompts") {
		t.Errorf("estimates from %q", from)
	}
	out := make([]router.Estimate, 2)
	e.Estimate(g.Prompts[0], out)
	if out[0].Quality < 0.8 || out[1].Quality > 0.2 {
		t.Errorf("estimates %+v for a prompt that one model always and the other never got right", out)
	}
	g.Score[0] = 2
	if _, _, err := eval.Wye(p, nil, router.Bands{}).Bind(models, g); err == nil || !strings.Contains(err.Error(), `model "good"`) {
		t.Errorf("error %v, want one about model good", err)
	}
}
