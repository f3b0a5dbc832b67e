package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// evalFolder makes a data folder with one source and two models.
func evalFolder(t *testing.T) string {
	t.Helper()
	var prompts, outcomes strings.Builder
	outcomes.WriteString("prompt_id,model,score,output_tokens\n")
	for i := range 60 {
		split := []string{"train", "val"}[i%2]
		fmt.Fprintf(&prompts, `{"prompt_id":"p%d","source":"quiz","prompt":"What is %d plus %d?","split":%q}`+"\n", i, i, i, split)
		fmt.Fprintf(&outcomes, "p%d,small,%d,20\np%d,large,1,40\n", i, i%3/2, i)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"prompts.jsonl": prompts.String(), "outcomes.csv": outcomes.String(),
		"models.csv": "model,price_in_per_1m,price_out_per_1m\nsmall,1,1\nlarge,5,5\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runEval runs the command and returns what it printed.
func runEval(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := newEvalCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var out, progress bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	cmd.SetArgs(append(args, "--rounds", "20"))
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestEval(t *testing.T) {
	t.Parallel()
	data, out := evalFolder(t), t.TempDir()
	file, plots := filepath.Join(out, "report.md"), filepath.Join(out, "plots")
	stdout, err := runEval(t, "--data", data, "--baselines", data, "--models", "small,large", "--calibrate", "10",
		"--robustness", "--enter", "0,10", "--json", "--markdown", file, "--plots", plots)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Pools []struct {
			Source     string
			Prompts    int
			Enter      []struct{ Graded int }
			Robustness []any
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	if p := report.Pools; len(p) != 1 || p[0].Source != "quiz" || p[0].Prompts != 30 || len(p[0].Robustness) == 0 || len(p[0].Enter) != 2 {
		t.Errorf("report %+v", report)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	command := "`wye eval --data " + data + " --split val --baselines " + data + " --models small,large --calibrate 10 " +
		"--balanced-band 0.015 --cost-band 0.055 --rounds 20 --seed 1 --robustness --enter 0,10 --markdown " + file + "`"
	if !strings.Contains(string(b), command) {
		t.Errorf("the report does not say that it was made by %s", command)
	}
	if _, err := os.Stat(filepath.Join(plots, "quiz.svg")); err != nil {
		t.Error(err)
	}

	stdout, err = runEval(t, "--data", data)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stdout, "# Evaluation of the predictor\n") {
		t.Errorf("without --json or --markdown standard output begins with %.40q", stdout)
	}
}

func TestEvalErrors(t *testing.T) {
	t.Parallel()
	data := evalFolder(t)
	foreign := filepath.Join(t.TempDir(), "foreign.wye")
	if err := os.WriteFile(foreign, []byte("not weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(data, "nowhere")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no data flag", nil, `required flag(s) "data" not set`},
		{"no folder", []string{"--data", nowhere}, nowhere},
		{"no baselines", []string{"--data", data, "--baselines", nowhere}, nowhere},
		{"no predictor", []string{"--data", data, "--predictor", nowhere}, nowhere},
		{"foreign predictor", []string{"--data", data, "--predictor", foreign}, foreign + ": "},
		{"bad split", []string{"--data", data, "--split", "dev"}, `split is "dev"`},
		{"no place for the report", []string{"--data", data, "--markdown", filepath.Join(nowhere, "r.md")}, "r.md"},
		{"no place for plots", []string{"--data", data, "--plots", foreign}, "plots: "},
		{"argument", []string{"--data", data, "extra"}, "extra"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := runEval(t, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestCatalogHints(t *testing.T) {
	t.Parallel()
	hints, err := catalogHints()
	if err != nil {
		t.Fatal(err)
	}
	byName, byServed := hints["o4-mini"], hints["o4-mini-2025-04-16"]
	if len(byName.Skills) == 0 || !byName.Reasoning || len(byServed.Skills) != len(byName.Skills) {
		t.Errorf("o4-mini: %+v by its name, %+v by what providers report; want the catalog's skills under both", byName, byServed)
	}
}
