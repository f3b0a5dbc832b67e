package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wye/predict"
)

func runWye(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestCalibrateCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, `{"prompt": "What is %d plus %d? Show the steps.", "score": %g, "output_tokens": 80}`+"\n", i, i*7, float64(i%5)/4)
	}
	in, out := filepath.Join(dir, "graded.jsonl"), filepath.Join(dir, "model.json")
	if err := os.WriteFile(in, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := runWye(t, "calibrate", "--outcomes", in, "--out", out, "--skill", "math=0.6", "--input-price", "1", "--output-price", "2")
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"graded prompts       60", "stated skills: math", "mean score           0.500", "cross-validated"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the report does not say %q:\n%s", want, stdout)
		}
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var c predict.Calibration
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	p, err := predict.Default()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Calibrated(c); err != nil {
		t.Errorf("the written model does not load: %v", err)
	}
}

func TestCalibrateCommandRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "good.jsonl")
	if err := os.WriteFile(good, []byte(`{"prompt":"p","score":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.jsonl")
	if err := os.WriteFile(bad, []byte(`{"prompt":"p"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out.json")
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no file", []string{"--outcomes", filepath.Join(dir, "none")}, exitFailed, "none"},
		{"a bad line", []string{"--outcomes", bad}, exitFailed, "bad.jsonl: line 1"},
		{"unknown model", []string{"--outcomes", good, "--like", "nobody"}, exitUsage, "nobody"},
		{"unknown skill", []string{"--outcomes", good, "--skill", "juggling=0.5"}, exitUsage, "juggling"},
		{"a score above one", []string{"--outcomes", good, "--skill", "math=60"}, exitUsage, "math=60"},
		{"foreign weights", []string{"--outcomes", good, "--predictor", good}, exitFailed, "not a wye weights file"},
	} {
		code, _, stderr := runWye(t, append([]string{"calibrate", "--out", out}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, want %d; %q does not say %q", c.name, code, c.code, stderr, c.says)
		}
		if _, err := os.Stat(out); err == nil {
			t.Fatalf("%s: wrote a model", c.name)
		}
	}
}

func TestReadGraded(t *testing.T) {
	t.Parallel()
	got, err := readGraded([]byte("{\"prompt\":\"a\",\"score\":0}\n\n  \n{\"prompt\":\"b\",\"system\":\"s\",\"score\":0.5,\"tools\":\"t\",\"tool_count\":2,\"output_tokens\":7}"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Score != 0 || string(got[1].Input.User) != "b" || string(got[1].Input.System) != "s" ||
		got[1].Input.ToolCount != 2 || got[1].OutputTokens != 7 {
		t.Errorf("read %+v", got)
	}
	for _, c := range []struct{ text, says string }{
		{"{", "line 1"},
		{"{\"prompt\":\"a\",\"score\":1}\nnonsense\n", "line 2"},
		{`{"prompt":"a"}`, "line 1"},
		{`{"prompt":"","score":1}`, "line 1"},
		{`{"prompt":"a","score":1.01}`, "line 1"},
		{`{"prompt":"a","score":-1}`, "line 1"},
		{`{"prompt":"a","score":1,"output_tokens":-2}`, "line 1"},
		{`{"prompt":"a","score":1,"grade":2}`, "grade"},
	} {
		if _, err := readGraded([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v does not say %q", c.text, err, c.says)
		}
	}
}

// FuzzReadGraded holds the parser to its promise: examples that Calibrate
// takes, or an error.
func FuzzReadGraded(f *testing.F) {
	f.Add([]byte(`{"prompt":"a","score":0.5}`))
	f.Add([]byte("{\"prompt\":\"a\",\"score\":1}\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		examples, err := readGraded(b)
		if err != nil {
			return
		}
		for _, e := range examples {
			if len(e.Input.User) == 0 || !(e.Score >= 0 && e.Score <= 1) || !(e.OutputTokens >= 0) {
				t.Errorf("accepted %+v", e)
			}
		}
	})
}
