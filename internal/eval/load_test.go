package eval_test

import (
	"bytes"
	"compress/gzip"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wye/internal/eval"
)

// folder is a data folder by file name.
type folder map[string]string

const (
	onePrompt  = `{"prompt_id":"a","source":"s","prompt":"hello"}` + "\n"
	oneOutcome = "prompt_id,model,score\na,m,1\n"
	onePrice   = "model,price_in_per_1m,price_out_per_1m,price_from\nm,1,2,RA\n"
)

// write makes the folder, with what a test does not care about filled in.
func (f folder) write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"prompts.jsonl": onePrompt, "outcomes.csv": oneOutcome, "models.csv": onePrice,
	} {
		_, plain := f[name]
		_, packed := f[name+".gz"]
		if !plain && !packed {
			writeFile(t, dir, name, []byte(content))
		}
	}
	for name, content := range f {
		if content != missing {
			writeFile(t, dir, name, []byte(content))
		}
	}
	return dir
}

// missing as a content keeps a file from being made.
const missing = "\x00missing"

func writeFile(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func packed(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := folder{
		"prompts.jsonl.gz": packed(t, `{"prompt_id":"a","source":"s","task":"t","system":"be brief","prompt":"hello","group":"g","split":"val","n_input_tokens":7,"task_fold":3}

{"prompt_id":"b","source":"s","prompt":"12345678","tools":"[{\"name\":\"f\"}]"}
{"prompt_id":"c","source":"s","prompt":"x","tools":[{"name":"f"},{"name":"g"}],"split":"train"}
{"prompt_id":"d","source":"s","prompt":"x","tools":""}
{"prompt_id":"e","source":"s","prompt":"x","tools":null}
`),
		"outcomes.csv": "score,model,prompt_id,cost_usd,output_tokens\n0.5,z,a,0.25,10\n1,b,a,,\n0,z,b,,\n",
		"models.csv":   "model,price_in_per_1m,price_out_per_1m,price_from\nz,1,2,L\nb,,,\nq,3,4,RA\n",
	}.write(t)
	got, err := eval.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	want := &eval.Data{
		Dir: dir,
		Prompts: []eval.Prompt{
			{ID: "a", Source: "s", Task: "t", System: "be brief", Text: "hello", InputTokens: 7, Group: "g", Split: "val"},
			{ID: "b", Source: "s", Task: "s", Text: "12345678", Tools: `[{"name":"f"}]`, ToolCount: 1, InputTokens: 6, Group: "b", Split: "test"},
			{ID: "c", Source: "s", Task: "s", Text: "x", Tools: `[{"name":"f"},{"name":"g"}]`, ToolCount: 2, InputTokens: 8, Group: "c", Split: "train"},
			{ID: "d", Source: "s", Task: "s", Text: "x", InputTokens: 1, Group: "d", Split: "test"},
			{ID: "e", Source: "s", Task: "s", Text: "x", InputTokens: 1, Group: "e", Split: "test"},
		},
		Models: []string{"b", "z"},
		Prices: map[string]eval.Price{"z": {Input: 1, Output: 2, From: "L"}, "q": {Input: 3, Output: 4, From: "RA"}},
		Outcomes: [][]eval.Outcome{
			{{Model: 1, Score: 0.5, Tokens: 10, Cost: 0.25}, {Model: 0, Score: 1, Tokens: nan, Cost: nan}},
			{{Model: 1, Score: 0, Tokens: nan, Cost: nan}},
			nil, nil, nil,
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if !got.Prices["z"].Weak() || got.Prices["q"].Weak() {
		t.Error("a price from memory is weak, a listed one is not")
	}
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	prompts := func(lines ...string) folder { return folder{"prompts.jsonl": strings.Join(lines, "\n")} }
	outcomes := func(rows ...string) folder { return folder{"outcomes.csv": strings.Join(rows, "\n")} }
	models := func(rows ...string) folder { return folder{"models.csv": strings.Join(rows, "\n")} }
	const good = `{"prompt_id":"a","source":"s","prompt":"p"}`
	const head = "prompt_id,model,score,output_tokens,cost_usd"
	const prices = "model,price_in_per_1m,price_out_per_1m"
	tests := []struct {
		name string
		folder
		want string
	}{
		{"no prompts file", folder{"prompts.jsonl": missing}, "has neither prompts.jsonl.gz nor prompts.jsonl"},
		{"no outcomes file", folder{"outcomes.csv": missing}, "has neither outcomes.csv.gz nor outcomes.csv"},
		{"no models file", folder{"models.csv": missing}, "has neither models.csv.gz nor models.csv"},
		{"not gzip", folder{"prompts.jsonl.gz": "plain"}, "prompts.jsonl.gz: "},
		{"cut prompts", folder{"prompts.jsonl.gz": packed(t, onePrompt)[:30]}, "prompts.jsonl.gz:1: unexpected EOF"},
		{"cut outcomes", folder{"outcomes.csv.gz": packed(t, oneOutcome)[:30]}, "outcomes.csv.gz: unexpected EOF"},
		{"bad JSON", prompts(good, `{"prompt_id":`), "prompts.jsonl:2: unexpected end of JSON"},
		{"no id", prompts(`{"source":"s","prompt":"p"}`), "prompts.jsonl:1: no prompt_id"},
		{"no source", prompts(`{"prompt_id":"a","prompt":"p"}`), "prompts.jsonl:1: no source"},
		{"no prompt", prompts(`{"prompt_id":"a","source":"s"}`), "prompts.jsonl:1: no prompt"},
		{"twice", prompts(good, good), `prompts.jsonl:2: prompt_id "a" appears twice`},
		{"bad split", prompts(`{"prompt_id":"a","source":"s","prompt":"p","split":"dev"}`), `prompts.jsonl:1: split is "dev"`},
		{"negative tokens", prompts(`{"prompt_id":"a","source":"s","prompt":"p","n_input_tokens":-1}`), "prompts.jsonl:1: n_input_tokens is -1"},
		{"too many tokens", prompts(`{"prompt_id":"a","source":"s","prompt":"p","n_input_tokens":1e300}`), "prompts.jsonl:1: n_input_tokens is 1e+300"},
		{"tools no list", prompts(`{"prompt_id":"a","source":"s","prompt":"p","tools":{"a":1}}`), "prompts.jsonl:1: tools: must be a list"},
		{"tools no list in text", prompts(`{"prompt_id":"a","source":"s","prompt":"p","tools":"{}"}`), "prompts.jsonl:1: tools: must be a list"},
		{"tools bad text", prompts(`{"prompt_id":"a","source":"s","prompt":"p","tools":"x"}`), "prompts.jsonl:1: tools: must be a list"},
		{"empty prompts", prompts(""), "prompts.jsonl: no prompts"},
		{"long line", prompts(good, strings.Repeat(" ", 17<<20)), "prompts.jsonl:2: bufio.Scanner: token too long"},
		{"empty outcomes", outcomes(""), "outcomes.csv:1: no header"},
		{"only a header", outcomes(head), "outcomes.csv: no outcomes"},
		{"no score column", outcomes("prompt_id,model", "a,m"), `outcomes.csv:1: no column "score"`},
		{"ragged", outcomes(head, "a,m,1"), "outcomes.csv:2: wrong number of fields"},
		{"bad quote", outcomes(head, `a,"m,1,,`), "outcomes.csv:2: "},
		{"bad header", outcomes(`"prompt_id`), "outcomes.csv:1: "},
		{"unknown prompt", outcomes(head, "zz,m,1,,"), `outcomes.csv:2: prompt_id "zz" is not among the prompts`},
		{"no model", outcomes(head, "a,,1,,"), "outcomes.csv:2: no model"},
		{"no score", outcomes(head, "a,m,,,"), `outcomes.csv:2: score is "", must be 0 to 1`},
		{"bad score", outcomes(head, "a,m,good,,"), `outcomes.csv:2: score is "good", must be a number`},
		{"NaN score", outcomes(head, "a,m,NaN,,"), `outcomes.csv:2: score is "NaN", must be a number`},
		{"high score", outcomes(head, "a,m,1.5,,"), `outcomes.csv:2: score is "1.5", must be 0 to 1`},
		{"negative score", outcomes(head, "a,m,-1,,"), "outcomes.csv:2: score is -1, must not be negative"},
		{"bad tokens", outcomes(head, "a,m,1,x,"), "outcomes.csv:2: output_tokens is \"x\""},
		{"infinite cost", outcomes(head, "a,m,1,,Inf"), "outcomes.csv:2: cost_usd is \"Inf\""},
		{"second outcome", outcomes(head, "a,m,1,,", "a,m,0,,"), `outcomes.csv:3: a second outcome of model "m" for prompt "a"`},
		{"price header", models("model,price_in_per_1m"), `models.csv:1: no column "price_out_per_1m"`},
		{"price model", models(prices, ",1,1"), "models.csv:2: no model"},
		{"price twice", models(prices, "m,1,1", "m,1,1"), `models.csv:3: model "m" appears twice`},
		{"one price", models(prices, "m,1,"), `models.csv:2: model "m" has one price`},
		{"bad input price", models(prices, "m,x,1"), "models.csv:2: price_in_per_1m is \"x\""},
		{"bad output price", models(prices, "m,1,-1"), "models.csv:2: price_out_per_1m is -1"},
		{"ragged prices", models(prices, "m"), "models.csv:2: wrong number of fields"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tt.write(t)
			_, err := eval.Load(dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), dir) {
				t.Errorf("error %v, want it to start with the folder and to contain %q", err, tt.want)
			}
		})
	}
	t.Run("no access", func(t *testing.T) {
		t.Parallel()
		dir := folder{"outcomes.csv": missing}.write(t)
		if err := os.Mkdir(filepath.Join(dir, "outcomes.csv"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := eval.Load(dir); err == nil || !strings.Contains(err.Error(), "outcomes.csv") {
			t.Errorf("error %v, want one about outcomes.csv", err)
		}
	})
}

// FuzzLoad checks that whatever the files hold, Load neither panics nor accepts
// a value that later code relies on not to see.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(onePrompt), []byte(oneOutcome), []byte(onePrice))
	f.Add([]byte(`{"prompt_id":"a","source":"s","prompt":"p","tools":"[1]","n_input_tokens":1e300}`), []byte("prompt_id,model,score\n\"a\",m,0x1p-2\n"), []byte(onePrice))
	f.Fuzz(func(t *testing.T, prompts, outcomes, prices []byte) {
		dir := t.TempDir()
		writeFile(t, dir, "prompts.jsonl", prompts)
		writeFile(t, dir, "outcomes.csv", outcomes)
		writeFile(t, dir, "models.csv", prices)
		d, err := eval.Load(dir)
		if err != nil {
			return
		}
		if len(d.Outcomes) != len(d.Prompts) {
			t.Fatalf("%d rows of outcomes for %d prompts", len(d.Outcomes), len(d.Prompts))
		}
		for i, row := range d.Outcomes {
			if d.Prompts[i].InputTokens < 0 {
				t.Errorf("prompt %d: %d input tokens", i, d.Prompts[i].InputTokens)
			}
			for _, o := range row {
				if !(o.Score >= 0 && o.Score <= 1) || o.Model >= len(d.Models) || o.Tokens < 0 || o.Cost < 0 {
					t.Errorf("prompt %d: outcome %+v", i, o)
				}
			}
		}
	})
}
