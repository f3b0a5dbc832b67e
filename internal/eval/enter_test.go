package eval_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"wye/internal/eval"
	"wye/predict"
	"wye/router"
)

// TestEnter checks that models come in with as many graded prompts as were
// asked for, none of them evaluated, and that pools with fewer are spared.
func TestEnter(t *testing.T) {
	t.Parallel()
	var graded []int
	c := config(shop(t), &fake{quality: expert})
	c.Enter = []int{0, 20, 100, 1000}
	c.Newcomers = &fake{quality: blind, onGraded: func(g *eval.Graded) {
		graded = append(graded, len(g.Prompts))
		for _, p := range g.Prompts {
			if p.Split != eval.SplitTrain {
				t.Errorf("a graded prompt of the %s part", p.Split)
			}
		}
	}}
	r := mustRun(t, c)
	of := func(source string) (n []int) {
		for _, e := range poolOf(t, r, source).Enter {
			n = append(n, e.Graded)
			if e.Wye.AUC.Value != 0.5 {
				t.Errorf("%s, %d graded: AUC %v; the newcomers know averages only", source, e.Graded, e.Wye.AUC)
			}
		}
		return n
	}
	if got := of("subjects"); !slices.Equal(got, []int{0, 20, 100}) {
		t.Errorf("subjects: models come in with %v", got)
	}
	if got := of("pair"); !slices.Equal(got, []int{0, 20}) {
		t.Errorf("pair, of 60 prompts to learn from: models come in with %v", got)
	}
	if len(graded) != 3 {
		t.Errorf("%v graded prompts handed over, want three times some", graded)
	}

	c.Newcomers = &fake{quality: blind, bindErr: errors.New("boom")}
	if _, err := eval.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "with 0 graded prompts: boom") {
		t.Errorf("error %v, want what kept the models out", err)
	}
}

func TestNewcomersAreUntrained(t *testing.T) {
	t.Parallel()
	p, err := predict.Default()
	if err != nil {
		t.Fatal(err)
	}
	trained := p.Models()[0]
	models := []eval.Model{{Name: trained, Price: eval.Price{Input: 1, Output: 1}}, {Name: "unheard-of", Price: eval.Price{Input: 1, Output: 1}}}
	hints := map[string]predict.Hint{trained: {Like: trained}}
	e, from, err := eval.Newcomers(p, hints, router.Bands{}).Bind(models, nil)
	if err != nil {
		t.Fatal(err)
	}
	if from[0] != from[1] || !strings.Contains(from[0], "price") {
		t.Errorf("estimates from %q, want the price of both", from)
	}
	out := make([]router.Estimate, 2)
	e.Estimate(&eval.Prompt{Text: "What is 17 times 23?"}, out)
	if out[0] != out[1] {
		t.Errorf("%+v and %+v; a model that training knows has an advantage", out[0], out[1])
	}
}
