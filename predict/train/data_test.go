package train_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wye/predict/train"
)

const (
	twoPrompts = `{"prompt_id":"a","source":"s","task":"t","prompt":"one","split":"train"}
{"prompt_id":"b","source":"s","task":"t","prompt":"two","split":"val"}
`
	outcomeHeader = "prompt_id,model,score,output_tokens,cost_usd\n"
	priceHeader   = "model,price_in_per_1m,price_out_per_1m\n"
)

func TestReadData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "prompts.jsonl.gz", []byte(twoPrompts))
	write(t, dir, "outcomes.csv.gz", []byte(outcomeHeader+"b,zeta,1,,0.5\na,zeta,0.25,12,\na,alpha,0,,\n"))
	write(t, dir, "models.csv", []byte(priceHeader+"zeta,1,2\nalpha,,\n"))
	d, err := train.ReadData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Prompts) != 2 || len(d.Outcomes) != 3 || strings.Join(d.Models, " ") != "alpha zeta" {
		t.Fatalf("read %d prompts, %d outcomes, models %v", len(d.Prompts), len(d.Outcomes), d.Models)
	}
	for i, want := range []train.Outcome{{Prompt: 0, Model: 0, Score: 0}, {Prompt: 0, Model: 1, Score: 0.25}, {Prompt: 1, Model: 1, Score: 1}} {
		if got := d.Outcomes[i]; got.Prompt != want.Prompt || got.Model != want.Model || got.Score != want.Score {
			t.Errorf("outcome %d is %+v, want %+v", i, got, want)
		}
	}
	if d.Outcomes[1].Tokens != 12 || !math.IsNaN(d.Outcomes[1].Cost) || d.Outcomes[2].Cost != 0.5 {
		t.Errorf("tokens and costs: %+v", d.Outcomes)
	}
	if len(d.Prices) != 1 || d.Prices["zeta"] != (train.Price{Input: 1, Output: 2}) {
		t.Errorf("prices %v", d.Prices)
	}
	if len(d.Digest) != 64 {
		t.Errorf("digest %q", d.Digest)
	}
}

func TestReadDataRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, prompts, outcomes, prices, says string }{
		{"bad JSON", "{\n", "", "", "prompts.jsonl.gz: line 1"},
		{"twice the same prompt", twoPrompts + twoPrompts, "", "", "line 3"},
		{"no id", "{}\n", "", "", "line 1"},
		{"empty outcomes", twoPrompts, "\n", "", "header"},
		{"no column", twoPrompts, "prompt_id,model\n", "", `no column "score"`},
		{"unknown prompt", twoPrompts, outcomeHeader + "c,m,1,,\n", "", `line 2: no prompt "c"`},
		{"score above one", twoPrompts, outcomeHeader + "a,m,1.5,,\n", "", "line 2: score"},
		{"score that is none", twoPrompts, outcomeHeader + "a,m,NaN,,\n", "", "line 2: score"},
		{"negative tokens", twoPrompts, outcomeHeader + "a,m,1,-3,\n", "", "output_tokens"},
		{"infinite cost", twoPrompts, outcomeHeader + "a,m,1,,Inf\n", "", "cost_usd"},
		{"twice the same answer", twoPrompts, outcomeHeader + "a,m,1,,\na,m,0,,\n", "", "two outcomes"},
		{"ragged row", twoPrompts, outcomeHeader + "a,m\n", "", "wrong number of fields"},
		{"price", twoPrompts, outcomeHeader + "a,m,1,,\n", priceHeader + "m,cheap,1\n", "price_in_per_1m"},
		{"output price", twoPrompts, outcomeHeader + "a,m,1,,\n", priceHeader + "m,1,-1\n", "price_out_per_1m"},
		{"price columns", twoPrompts, outcomeHeader + "a,m,1,,\n", "model\n", "no column"},
		{"ragged prices", twoPrompts, outcomeHeader + "a,m,1,,\n", priceHeader + "m\n", "wrong number of fields"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "prompts.jsonl.gz", []byte(c.prompts))
			write(t, dir, "outcomes.csv.gz", []byte(c.outcomes))
			write(t, dir, "models.csv", []byte(c.prices))
			if _, err := train.ReadData(dir); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v does not say %q", err, c.says)
			}
		})
	}
	dir := t.TempDir()
	if _, err := train.ReadData(dir); err == nil || !strings.Contains(err.Error(), "prompts.jsonl.gz") {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "prompts.jsonl.gz"), []byte("not packed"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := train.ReadData(dir); err == nil || !strings.Contains(err.Error(), "gzip") {
		t.Errorf("a file that is not packed: %v", err)
	}
}
