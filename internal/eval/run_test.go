package eval_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/internal/eval"
	"wye/router"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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

// expert knows which subject a prompt is about from its words, case and all.
func expert(p *eval.Prompt, model string) float64 {
	verse := strings.Contains(p.Text, "poem")
	switch {
	case model == "polymath", model == "poet" && verse, model == "algebraist" && !verse:
		return 0.9
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
			if len(rows) != 7 {
				t.Errorf("%d perturbations, want 7", len(rows))
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

func TestMarkdown(t *testing.T) {
	t.Parallel()
	write := func() []byte {
		c := config(shop(t), &fake{quality: expert})
		c.Robustness, c.Calibrate = true, 50
		var b bytes.Buffer
		if err := mustRun(t, c).WriteMarkdown(&b, "wye eval --data shop"); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	got := write()
	if !bytes.Equal(got, write()) {
		t.Error("the same data and seed gave two reports")
	}
	golden := filepath.Join("testdata", "report.md")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("report (-want +got), -update rewrites it:\n%s", diff)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(mustRun(t, config(shop(t), &fake{quality: expert})))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Pools []struct {
			Source string
			Wye    struct{ Area [3]*float64 }
		}
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Pools) != 2 || r.Pools[1].Source != "subjects" || r.Pools[1].Wye.Area[0] == nil {
		t.Errorf("JSON %+v", r)
	}
}

func TestPlots(t *testing.T) {
	t.Parallel()
	c := config(shop(t), &fake{quality: expert})
	c.Split = eval.SplitAll
	r := mustRun(t, c)
	dir := filepath.Join(t.TempDir(), "made", "here")
	if err := r.WritePlots(dir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		x := xml.NewDecoder(bytes.NewReader(b))
		for {
			if _, err := x.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", f.Name(), err)
			}
		}
		for _, s := range []string{"balanced", "polymath", "<polyline"} {
			if !bytes.Contains(b, []byte(s)) {
				t.Errorf("%s lacks %q", f.Name(), s)
			}
		}
		if bytes.Contains(b, []byte("NaN")) || bytes.Contains(b, []byte("Inf")) {
			t.Errorf("%s has a point that is no number", f.Name())
		}
	}
	if diff := cmp.Diff([]string{"_odd__.._name.svg", "pair.svg", "subjects.svg"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePlots(file); err == nil {
		t.Error("no error where the folder is a file")
	}
	blocked := t.TempDir()
	if err := os.Mkdir(filepath.Join(blocked, "pair.svg"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.WritePlots(blocked); err == nil {
		t.Error("no error where a file cannot be written")
	}
}
