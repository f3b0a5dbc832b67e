package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wye/predict"
)

// gradedFolder writes a tiny data folder for wye train.
func gradedFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var prompts, outcomes strings.Builder
	outcomes.WriteString("prompt_id,model,score,output_tokens,cost_usd\n")
	for i := range 60 {
		split := "train"
		if i%6 == 0 {
			split = "val"
		}
		kind := []string{"add the numbers", "rhyme about the moon"}[i%2]
		fmt.Fprintf(&prompts, `{"prompt_id":"%d","source":"s","task":"t%d","prompt":"%s %d","group":"%d","split":"%s","task_fold":%d}`+"\n", i, i%2, kind, i, i, split, i%2)
		fmt.Fprintf(&outcomes, "%d,one,%d,50,\n%d,two,%d,20,\n", i, i%2, i, 1-i%2)
	}
	for name, content := range map[string]string{"prompts.jsonl.gz": prompts.String(), "outcomes.csv.gz": outcomes.String()} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "models.csv"), []byte("model,price_in_per_1m,price_out_per_1m\none,1,1\ntwo,2,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTrainCommand(t *testing.T) {
	t.Parallel()
	data := gradedFolder(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "train.json")
	if err := os.WriteFile(config, []byte(`{"version":"mine.1","svd_iterations":1,"task_epochs":2,"item_epochs":2,"cross_epochs":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "mine.wye")
	code, _, stderr := runWye(t, "train", "--data", data, "--out", out, "--config", config)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if !strings.Contains(stderr, "2 tasks, 2 models") {
		t.Errorf("progress: %q", stderr)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	p, err := predict.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	if p.Version() != "mine.1" {
		t.Errorf("version %q", p.Version())
	}
	card, err := os.ReadFile(filepath.Join(dir, "mine.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(card), "mine.1") || !strings.Contains(string(card), "50 prompts with 100 graded answers of 2 models") {
		t.Errorf("card:\n%s", card)
	}

	again := filepath.Join(dir, "again.wye")
	if code, _, stderr := runWye(t, "train", "--data", data, "--out", again, "--config", config, "--table", out); code != exitOK {
		t.Fatalf("with --table: exit code %d: %s", code, stderr)
	} else if strings.Contains(stderr, "n-gram table") {
		t.Errorf("fitted the table again: %q", stderr)
	}
}

func TestTrainCommandRefuses(t *testing.T) {
	t.Parallel()
	data := gradedFolder(t)
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"sede":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out.wye")
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no data flag", []string{"--out", out}, exitFailed, "data"},
		{"no folder", []string{"--out", out, "--data", filepath.Join(dir, "none")}, exitFailed, "none"},
		{"no configuration", []string{"--out", out, "--data", data, "--config", filepath.Join(dir, "none")}, exitFailed, "none"},
		{"a bad configuration", []string{"--out", out, "--data", data, "--config", bad}, exitFailed, "bad.json"},
		{"no table", []string{"--out", out, "--data", data, "--table", filepath.Join(dir, "none")}, exitFailed, "none"},
		{"a foreign table", []string{"--out", out, "--data", data, "--table", bad}, exitFailed, "bad.json: load weights"},
	} {
		code, _, stderr := runWye(t, append([]string{"train"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, want %d; %q does not say %q", c.name, code, c.code, stderr, c.says)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("wrote weights")
	}
}
