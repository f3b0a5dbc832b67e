package eval_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/internal/eval"
)

func poolOf(t *testing.T, r *eval.Report, source string) *eval.PoolReport {
	t.Helper()
	for i := range r.Pools {
		if r.Pools[i].Source == source {
			return &r.Pools[i]
		}
	}
	t.Fatalf("no pool %q", source)
	return nil
}

func TestRunExpert(t *testing.T) {
	t.Parallel()
	p := poolOf(t, mustRun(t, config(shop(t), &fake{quality: expert})), "subjects")
	if p.Prompts != 78 || p.Best != "polymath" || p.CostBasis != eval.CostReported || p.Graded != 160 {
		t.Errorf("%d prompts, best %s, %s costs, %d graded; want 78, polymath, reported, 160", p.Prompts, p.Best, p.CostBasis, p.Graded)
	}
	left := map[string]string{}
	for _, l := range p.LeftOut {
		left[l.Model] = l.Why
	}
	want := map[string]string{"secret": "no price", "rare": "answered 40 of 80 prompts"}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	// Every choice of a specialist is as good as polymath and much cheaper.
	balanced := p.Wye.Modes[1]
	if balanced.Mode != "balanced" || balanced.OfBest.Value != 1 || balanced.SavedBest.Value < 0.8 || balanced.AboveHull.Low <= 0 {
		t.Errorf("balanced: %+v; want the best quality at over 80%% saved, above the hull", balanced)
	}
	if p.Wye.Area.Low < 0.5 || p.Wye.AreaPicked.Low < 0.5 {
		t.Errorf("area %v, over the picked hull %v; want most of the oracle's", p.Wye.Area, p.Wye.AreaPicked)
	}
	shares := map[string]float64{}
	for _, s := range balanced.Shares {
		shares[s.Model] = s.Share
	}
	if diff := cmp.Diff(map[string]float64{"algebraist": 38.0 / 78, "poet": 40.0 / 78}, shares); diff != "" {
		t.Errorf("shares (-want +got):\n%s", diff)
	}
	for _, m := range p.Models {
		if m.Model == "poet" && (math.Abs(m.Cost.Value-0.0004) > 1e-12 || m.WeakPrice || m.AUC.Value < 0.9) {
			t.Errorf("poet: %+v; want the reported cost 0.0004, a sound price, an AUC near 1", m)
		}
		if m.Model == "polymath" && !m.WeakPrice {
			t.Error("polymath's price is weak")
		}
	}
	var lookup eval.RouterReport
	for _, b := range p.Baselines {
		if b.Router == "true task lookup" {
			lookup = b
		}
	}
	if lookup.Area.Low < 0.5 {
		t.Errorf("area of the task lookup is %v, want most of the oracle's", lookup.Area)
	}
}

func TestRunBlind(t *testing.T) {
	t.Parallel()
	p := poolOf(t, mustRun(t, config(shop(t), &fake{quality: blind})), "subjects")
	for _, m := range p.Wye.Modes {
		if len(m.Shares) != 1 {
			t.Errorf("%s mode chose %v; one average each must choose one model", m.Mode, m.Shares)
		}
	}
	if q := p.Wye.Modes[0]; q.OfBest.Value != 1 || q.SavedBest.Value != 0 || q.AboveHull.Value != 0 {
		t.Errorf("quality mode: %+v; want exactly the best single model", q)
	}
	if math.Abs(p.Wye.Area.Value) > 0.05 || p.Wye.AUC.Value != 0.5 {
		t.Errorf("area %v, AUC %v; want about 0 and 0.5", p.Wye.Area, p.Wye.AUC)
	}
}

func TestRunProxyPair(t *testing.T) {
	t.Parallel()
	c := config(shop(t), &fake{quality: func(p *eval.Prompt, model string) float64 {
		if model == "poet" && strings.Contains(p.Text, "hard") {
			return 0.1
		}
		return 0.9
	}})
	p := poolOf(t, mustRun(t, c), "pair")
	if p.CostBasis != eval.CostProxy || !strings.Contains(strings.Join(p.Notes, " "), "256 tokens") {
		t.Errorf("%s costs, notes %q; want proxy costs and a note", p.CostBasis, p.Notes)
	}
	if p.Pair == nil || p.Pair.Strong != "polymath" || p.Pair.Weak != "poet" {
		t.Fatalf("pair %+v, want polymath over poet", p.Pair)
	}
	rows := map[string]eval.PairCurve{}
	for _, r := range p.Pair.Rows {
		rows[r.Router] = r
	}
	// All of the gain is in the hard half of the prompts.
	if w := rows["Wye"]; w.APGR.Value < 0.7 || w.CPT80.Value > 0.5 {
		t.Errorf("Wye: %+v", w)
	}
	if o := rows["oracle"]; o.APGR.Value < rows["Wye"].APGR.Value {
		t.Errorf("the oracle's APGR %v is below Wye's %v", o.APGR, rows["Wye"].APGR)
	}
	if len(rows) != 6 {
		t.Errorf("%d routers, want Wye, four baselines and the oracle", len(rows))
	}
}

func TestRunSkips(t *testing.T) {
	t.Parallel()
	r := mustRun(t, config(shop(t), &fake{quality: expert}))
	want := []eval.Skipped{
		{Source: "tiny", Why: "1 prompts that every candidate answered, at least 20 are needed"},
		{Source: "unpriced", Why: "1 models with a usable cost, at least 2 are needed"},
	}
	if diff := cmp.Diff(want, r.Skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	// Splits cut groups of two apart nowhere, and the verse repeats nothing.
	if l := r.Leakage; l.Evaluated != 138 || l.Learnt != 220 || len(l.SharedGroups) != 0 {
		t.Errorf("leakage %+v", l)
	}
}

func TestRunModels(t *testing.T) {
	t.Parallel()
	c := config(shop(t), &fake{quality: expert})
	c.Models = []string{"rare", "poet", "secret"}
	p := poolOf(t, mustRun(t, c), "subjects")
	// Asked for by name, a model that answered half the prompts is a candidate,
	// on the prompts it answered.
	if len(p.Models) != 2 || p.Models[1].Model != "rare" || p.Prompts != 40 {
		t.Errorf("%d prompts, models %+v; want 40, poet and rare", p.Prompts, p.Models)
	}
}

func TestRunCalibrate(t *testing.T) {
	t.Parallel()
	d := shop(t)
	tests := []struct {
		name, split string
		prompts     int
		of          string
	}{
		{"from the train part", eval.SplitVal, 78, "train part of shop"},
		{"from a slice without a train part", eval.SplitAll, 0, "slice of the pool that is not evaluated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []*eval.Prompt
			f := &fake{quality: expert, onGraded: func(g *eval.Graded) {
				if strings.HasPrefix(g.Prompts[0].ID, "subjects") {
					got = g.Prompts
				}
				if len(g.Score) == 0 || len(g.Score) != len(g.Tokens) || len(g.Score)%len(g.Prompts) != 0 {
					t.Errorf("%d scores and %d lengths of %d prompts", len(g.Score), len(g.Tokens), len(g.Prompts))
				}
			}}
			c := config(d, f)
			c.Split, c.Calibrate = tt.split, 50
			r := mustRun(t, c)
			p := poolOf(t, r, "subjects")
			if len(got) != 50 || p.GradedOf != tt.of {
				t.Errorf("%d graded prompts from %q, want 50 from %q", len(got), p.GradedOf, tt.of)
			}
			if n := len(r.Leakage.SharedGroups); n != 0 {
				t.Errorf("%d groups are both calibrated on and evaluated", n)
			}
			if tt.prompts > 0 && p.Prompts != tt.prompts {
				t.Errorf("%d prompts evaluated, want %d", p.Prompts, tt.prompts)
			}
			if tt.split == eval.SplitAll && (p.Prompts >= 200 || len(r.Notes) == 0) {
				t.Errorf("%d prompts evaluated, notes %q; want the slice left out and a warning", p.Prompts, r.Notes)
			}
		})
	}
}

// TestRunCalibrateSmallPool checks that a slice leaves half of a pool.
func TestRunCalibrateSmallPool(t *testing.T) {
	t.Parallel()
	c := config(shop(t), &fake{quality: expert})
	c.Split, c.Calibrate = eval.SplitAll, 1000
	if p := poolOf(t, mustRun(t, c), "pair"); p.Prompts != 60 || p.Graded != 60 {
		t.Errorf("%d prompts evaluated, %d graded; want 60 of each", p.Prompts, p.Graded)
	}
}

func TestRunLearnsElsewhere(t *testing.T) {
	t.Parallel()
	d, other := shop(t), shop(t)
	other.Dir = "elsewhere"
	c := config(d, &fake{quality: expert})
	c.Split, c.Learn = eval.SplitAll, other
	r := mustRun(t, c)
	p := poolOf(t, r, "subjects")
	if p.Graded != 160 || p.GradedOf != "train part of elsewhere" {
		t.Errorf("%d graded prompts from %q", p.Graded, p.GradedOf)
	}
	// The same prompts are on both sides, and that must be reported.
	if len(r.Leakage.SharedGroups) == 0 || r.Leakage.SharedTexts == 0 {
		t.Errorf("leakage %+v; want the shared groups found", r.Leakage)
	}
}

func TestRunRobustness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		quality func(p *eval.Prompt, model string) float64
		upper   float64 // share of decisions that upper case changes
	}{
		{"blind to words", blind, 0},
		{"sensitive to case", expert, 40.0 / 78},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config(shop(t), &fake{quality: tt.quality})
			c.Robustness = true
			rows := map[string]eval.RobustnessRow{}
			for _, row := range poolOf(t, mustRun(t, c), "subjects").Robust {
				rows[row.Perturbation] = row
			}
			if len(rows) != 9 {
				t.Errorf("%d perturbations, want 9", len(rows))
			}
			upper := rows["upper case"]
			if math.Abs(upper.Changed.Value-tt.upper) > 1e-12 {
				t.Errorf("upper case changed %v, want %v", upper.Changed, tt.upper)
			}
			if tt.upper > 0 && (upper.Quality.High >= 0 || upper.Clear.Value != upper.Changed.Value) {
				t.Errorf("%+v; want a loss of quality and no near-ties", upper)
			}
			if v := rows["trailing whitespace"].Changed; v.Value != 0 || v.High != 0 {
				t.Errorf("trailing whitespace changed %v", v)
			}
		})
	}
}

func TestRunErrors(t *testing.T) {
	t.Parallel()
	d := shop(t)
	broken := errors.New("broken")
	tests := []struct {
		name string
		edit func(c *eval.Config)
		want string
	}{
		{"bad split", func(c *eval.Config) { c.Split = "dev" }, `split is "dev", must be val, test, train or all`},
		{"unknown model", func(c *eval.Config) { c.Models = []string{"nobody"} }, `no outcomes of model "nobody"`},
		{"negative calibrate", func(c *eval.Config) { c.Calibrate = -1 }, "calibrate is -1"},
		{"negative enter", func(c *eval.Config) { c.Enter, c.Newcomers = []int{20, -1}, c.Predictor }, "enter is -1"},
		{"nobody for models that come in", func(c *eval.Config) { c.Enter = []int{0} }, "no predictor for models that come in"},
		{"no rounds", func(c *eval.Config) { c.Rounds = 0 }, "0 bootstrap rounds"},
		{"balanced band", func(c *eval.Config) { c.Bands.Balanced = 2 }, "balanced band is 2"},
		{"cost band", func(c *eval.Config) { c.Bands.Cost = math.NaN() }, "cost band is NaN"},
		{"predictor", func(c *eval.Config) { c.Predictor = &fake{quality: expert, bindErr: broken} }, "pair: broken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := config(d, &fake{quality: expert})
			tt.edit(&c)
			_, err := eval.Run(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	t.Run("empty split", func(t *testing.T) {
		t.Parallel()
		one, err := eval.Load(folder{}.write(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := eval.Run(t.Context(), config(one, &fake{quality: expert})); err == nil || !strings.Contains(err.Error(), "no prompts in split val") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		c := config(d, &fake{quality: expert})
		c.Progress = func(string) { cancel() }
		if _, err := eval.Run(ctx, c); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	})
}

// TestRunCosts checks where the cost of an answer comes from when a source
// reports some costs, some lengths and some of neither.
func TestRunCosts(t *testing.T) {
	t.Parallel()
	var prompts, outcomes strings.Builder
	outcomes.WriteString("prompt_id,model,score,output_tokens,cost_usd\n")
	for i := range 40 {
		fmt.Fprintf(&prompts, `{"prompt_id":"p%d","source":"mixed","prompt":"x","split":"val","n_input_tokens":%d}`+"\n", i, 100+i)
		length, hidden := "50", "50"
		if i == 0 {
			length = ""
		}
		if i%10 == 0 {
			hidden = ""
		}
		fmt.Fprintf(&outcomes, "p%d,billed,1,%d,%v\np%d,listed,%d,%s,\np%d,hidden,1,%s,\n",
			i, 10+i%3, float64(100+i)*3e-6+float64(10+i%3)*9e-6, i, i%2, length, i, hidden)
	}
	d, err := eval.Load(folder{
		"prompts.jsonl": prompts.String(), "outcomes.csv": outcomes.String(),
		"models.csv": "model,price_in_per_1m,price_out_per_1m\nlisted,1,2\nhidden,1,2\n",
	}.write(t))
	if err != nil {
		t.Fatal(err)
	}
	p := poolOf(t, mustRun(t, config(d, &fake{quality: blind})), "mixed")
	if len(p.LeftOut) != 1 || p.LeftOut[0].Why != "cost unknown for 4 of 40 outcomes" {
		t.Errorf("left out %+v, want the model whose costs are unknown", p.LeftOut)
	}
	billed, listed := p.Models[0], p.Models[1]
	if billed.PriceFrom != "implied by reported costs" || math.Abs(billed.Cost.Value-(119.5*3+10.975*9)/1e6) > 1e-9 {
		t.Errorf("billed: %+v; want the mean of its bills, and a price from them", billed)
	}
	// 39 answers of 50 tokens after 101 to 139; the 40th costs their mean.
	if math.Abs(listed.Cost.Value-(120+2*50)/1e6) > 1e-9 {
		t.Errorf("listed: %+v; want tokens times price", listed.Cost)
	}
	notes := strings.Join(p.Notes, " ")
	for _, want := range []string{"1 unknown costs were filled in", "1 candidates have no listed price"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes %q lack %q", notes, want)
		}
	}
}
