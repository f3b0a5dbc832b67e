package train_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wye/predict"
	"wye/predict/train"
)

// kind is a made-up kind of task: its words, and how likely each model is to do
// it well.
type kind struct {
	name, category string
	words          []string
	quality        map[string]float64
	tokens         int
}

var kinds = []kind{
	{"sums/add", "math-word", strings.Fields("add the numbers and give their sum total plus twelve apples carry digit"), map[string]float64{"abacus": 0.95, "poet": 0.3, "clerk": 0.7}, 40},
	{"sums/divide", "math-word", strings.Fields("divide the cake among children quotient remainder share equal parts fraction"), map[string]float64{"abacus": 0.9, "poet": 0.2, "clerk": 0.6}, 60},
	{"verse/rhyme", "writing", strings.Fields("write a rhyme about the moon with four lines stanza metre sorrow night"), map[string]float64{"abacus": 0.15, "poet": 0.9, "clerk": 0.6}, 300},
	{"verse/haiku", "writing", strings.Fields("compose haiku syllables autumn frog pond silence leaves river evening mist"), map[string]float64{"abacus": 0.2, "poet": 0.95, "clerk": 0.5}, 200},
}

// fixture writes a data folder of n prompts a kind and returns its path.
func fixture(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	rng := rand.New(rand.NewPCG(7, 7))
	var prompts, outcomes bytes.Buffer
	outcomes.WriteString("prompt_id,model,score,output_tokens,cost_usd,est,latency_s\n")
	for k, task := range kinds {
		for i := range n {
			var words []string
			for range 12 {
				words = append(words, task.words[rng.IntN(len(task.words))])
			}
			split := "train"
			if i%5 == 0 {
				split = "val"
			}
			id := fmt.Sprintf("%s:%d", task.name, i)
			line, err := json.Marshal(train.Prompt{
				ID: id, Source: strings.Split(task.name, "/")[0] + "set", Task: task.name, Category: task.category,
				Text: strings.Join(words, " "), InputTokens: 15, Group: id, Split: split, Fold: k % 2,
			})
			if err != nil {
				tb.Fatal(err)
			}
			prompts.Write(append(line, '\n'))
			for _, model := range []string{"poet", "abacus", "clerk"} {
				score := 0
				if rng.Float64() < task.quality[model] {
					score = 1
				}
				tokens := task.tokens + rng.IntN(20)
				length := strconv.Itoa(tokens)
				if rng.IntN(10) == 0 {
					length = "" // many sources do not know
				}
				fmt.Fprintf(&outcomes, "%s,%s,%d,%s,%g,1,\n", id, model, score, length, float64(tokens)*1e-6)
			}
		}
	}
	write(tb, dir, "prompts.jsonl.gz", prompts.Bytes())
	write(tb, dir, "outcomes.csv.gz", outcomes.Bytes())
	write(tb, dir, "models.csv", []byte("model,price_in_per_1m,price_out_per_1m,price_from\nabacus,1,1,L\npoet,1,1,L\nclerk,0.2,0.2,L\nghost,,,\n"))
	return dir
}

// write writes a file, packed if its name ends in .gz.
func write(tb testing.TB, dir, name string, content []byte) {
	tb.Helper()
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(content); err != nil {
			tb.Fatal(err)
		}
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
		content = b.Bytes()
	}
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		tb.Fatal(err)
	}
}

func small() train.Config {
	c := train.DefaultConfig()
	c.Version, c.SVDIterations = "test", 2
	c.TaskHidden, c.ItemHidden, c.Axes, c.LengthAxes = 16, 16, 4, 2
	c.CrossEpochs = 20
	c.TaskEpochs, c.ItemEpochs, c.LearnRate, c.Batch = 20, 20, 0.01, 16
	return c
}

func fit(tb testing.TB, d *train.Data, c train.Config, table *predict.Weights) (*predict.Weights, []byte) {
	tb.Helper()
	w, err := train.Fit(d, c, table, io.Discard)
	if err != nil {
		tb.Fatal(err)
	}
	b, err := w.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return w, b
}

// TestFit is a whole training run on data of known structure. It must beat what
// knows the models and not the prompt, and give the same bytes on one processor.
func TestFit(t *testing.T) {
	d, err := train.ReadData(fixture(t, 150))
	if err != nil {
		t.Fatal(err)
	}
	w, b := fit(t, d, small(), nil)
	p, err := predict.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	pools := train.Measure(p, d, train.SplitVal)
	if len(pools) != 2 {
		t.Fatalf("%d pools, want 2", len(pools))
	}
	for _, pool := range pools {
		if pool.LogLoss > pool.Blind+0.08 {
			t.Errorf("%s: log loss %.4f, each model's mean in the source %.4f", pool.Source, pool.LogLoss, pool.Blind)
		}
		if pool.Prompts != 60 || pool.Models != 3 {
			t.Errorf("%s: %d prompts, %d models, want 60 and 3", pool.Source, pool.Prompts, pool.Models)
		}
	}
	// Over both sources, a constant choice is right at most half of the time:
	// the mean over the models' means is what a prompt-blind router has.
	var loss, blind float64
	for _, pool := range pools {
		loss += pool.LogLoss / 2
	}
	blind = blindLoss(p, d)
	if loss > blind-0.1 {
		t.Errorf("log loss %.4f does not beat the prompt-blind %.4f", loss, blind)
	}
	abacus, _ := p.Model("abacus")
	poet, _ := p.Model("poet")
	sums, verse := means(p, d, "sumsset", abacus, poet), means(p, d, "verseset", abacus, poet)
	if sums[0].Quality < sums[1].Quality+0.3 || sums[0].OutputTokens > 100 {
		t.Errorf("sums: abacus %+v, poet %+v", sums[0], sums[1])
	}
	if verse[1].Quality < verse[0].Quality+0.3 || verse[1].OutputTokens < 150 {
		t.Errorf("verse: abacus %+v, poet %+v", verse[0], verse[1])
	}

	var card bytes.Buffer
	if err := train.WriteCard(&card, w, small(), d, pools); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"predictor test", "480 prompts with 1440 graded answers of 3 models", "sumsset, verseset", "120 validation prompts", w.Data} {
		if !strings.Contains(card.String(), want) {
			t.Errorf("the card does not say %q:\n%s", want, card.String())
		}
	}

	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if _, again := fit(t, d, small(), nil); !bytes.Equal(b, again) {
		t.Error("the same data and seed give other bytes on one processor")
	}
	other := small()
	other.Seed = 2
	reused, different := fit(t, d, other, w)
	if bytes.Equal(b, different) {
		t.Error("another seed gives the same bytes")
	}
	if !bytes.Equal(reused.Rows, w.Rows) {
		t.Error("the n-gram table is not reused")
	}
}

// means are two models' mean estimates on the validation prompts of a source.
func means(p *predict.Predictor, d *train.Data, source string, a, b predict.Model) (mean [2]predict.Output) {
	var n float32
	for i := range d.Prompts {
		if d.Prompts[i].Source != source || d.Prompts[i].Split != train.SplitVal {
			continue
		}
		var out [2]predict.Output
		p.Predict(&predict.Input{User: []byte(d.Prompts[i].Text)}, []predict.Model{a, b}, out[:])
		n++
		for k := range mean {
			mean[k].Quality += (out[k].Quality - mean[k].Quality) / n
			mean[k].OutputTokens += (out[k].OutputTokens - mean[k].OutputTokens) / n
		}
	}
	return mean
}

// blindLoss is the log loss on validation prompts of each model's mean score
// over all training prompts.
func blindLoss(p *predict.Predictor, d *train.Data) float64 {
	copied := *d
	copied.Prompts = append([]train.Prompt(nil), d.Prompts...)
	for i := range copied.Prompts {
		copied.Prompts[i].Source = "all"
	}
	return train.Measure(p, &copied, train.SplitVal)[0].Blind
}

// TestSamplesAreUnseen: the networks that ship do not learn from the prompts that
// the weights carry.
func TestSamplesAreUnseen(t *testing.T) {
	t.Parallel()
	d, err := train.ReadData(fixture(t, 40))
	if err != nil {
		t.Fatal(err)
	}
	sampled, err := train.Sampled(d, small())
	if err != nil {
		t.Fatal(err)
	}
	w, _ := fit(t, d, small(), nil)
	n := 0
	for _, ok := range sampled {
		if ok {
			n++
		}
	}
	if want := 2 * (64 / 8); n != want || len(w.SampleTasks) != want {
		t.Fatalf("%d samples, %d in the weights, want %d", n, len(w.SampleTasks), want)
	}
	for i := range d.Outcomes {
		if sampled[d.Outcomes[i].Prompt] {
			d.Outcomes[i].Score = 1 - d.Outcomes[i].Score
		}
	}
	again, _ := fit(t, d, small(), nil)
	if !slices.Equal(w.ItemOut, again.ItemOut) {
		t.Error("the networks depend on the scores of samples")
	}
	if slices.Equal(w.Residual, again.Residual) {
		t.Error("the tables do not depend on the scores of samples")
	}
}

func TestFitRefuses(t *testing.T) {
	t.Parallel()
	d, err := train.ReadData(fixture(t, 5))
	if err != nil {
		t.Fatal(err)
	}
	bad := small()
	bad.Batch = 0
	if _, err := train.Fit(d, bad, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "batch") {
		t.Errorf("batch of 0: %v", err)
	}
	for i := range d.Prompts {
		d.Prompts[i].Split = train.SplitVal
	}
	if _, err := train.Fit(d, small(), nil, io.Discard); err == nil || !strings.Contains(err.Error(), "no graded prompt") {
		t.Errorf("no training prompt: %v", err)
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	c, err := train.ParseConfig([]byte(`{"version": "mine", "seed": 9}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Version != "mine" || c.Seed != 9 || c.Axes != train.DefaultConfig().Axes {
		t.Errorf("parsed %+v", c)
	}
	for text, says := range map[string]string{
		`{`:                 "EOF",
		`{"sede": 1}`:       "sede",
		`{"version": ""}`:   "version",
		`{"dropout": 1}`:    "dropout",
		`{"axes": 100}`:     "axes",
		`{"task_hidden":0}`: "task_hidden",
		`{"augment": 2}`:    "augment",
	} {
		if _, err := train.ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v does not say %q", text, err, says)
		}
	}
}
