package policies_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"wye/policies"
	"wye/predict"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// today is the day on which the tests' policies are read.
var today = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// predictor returns the embedded predictor.
func predictor(t testing.TB) *predict.Predictor {
	t.Helper()
	p, err := predict.Default()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// relabelled returns the embedded predictor under another version.
func relabelled(t testing.TB, version string) *predict.Predictor {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "predict", "weights", "default.wye"))
	if err != nil {
		t.Fatal(err)
	}
	var w predict.Weights
	if err := w.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	w.Version = version
	p, err := predict.New(&w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// parse reads a policy that must not be refused.
func parse(t testing.TB, text string, opts ...policies.Option) *policies.Policy {
	t.Helper()
	p, err := policies.Parse("policy.yaml", []byte(text), append([]policies.Option{policies.WithToday(today)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refuse reads a policy that must be refused and returns why.
func refuse(t testing.TB, text string, opts ...policies.Option) *policies.Report {
	t.Helper()
	p, err := policies.Parse("policy.yaml", []byte(text), append([]policies.Option{policies.WithToday(today)}, opts...)...)
	var report *policies.Report
	if !errors.As(err, &report) {
		t.Fatalf("Parse: %v, want a *Report", err)
	}
	if p != nil {
		t.Error("Parse returned a policy with its refusal")
	}
	return report
}

// read returns the content of a file under testdata.
func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(read(t, name), got); diff != "" {
		t.Errorf("%s differs, run with -update to accept (-want +got):\n%s", path, diff)
	}
}

// wants returns the faults that a document announces in "# want:" comments.
func wants(text string) []string {
	var want []string
	for line := range strings.Lines(text) {
		if w, ok := strings.CutPrefix(line, "# want:"); ok {
			want = append(want, strings.TrimSpace(w))
		}
	}
	return want
}
