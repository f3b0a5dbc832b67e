package policies_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/policies"
	"wye/predict"
	"wye/router"
)

// graded calibrates a model of the embedded predictor on three prompts.
func graded(t *testing.T) (predict.Model, predict.Calibration) {
	t.Helper()
	examples := []predict.Example{
		{Input: predict.Input{User: []byte("What is our refund period?")}, Score: 1, OutputTokens: 20},
		{Input: predict.Input{User: []byte("Who approves a refund?")}, Score: 1, OutputTokens: 30},
		{Input: predict.Input{User: []byte("Prove that our refunds terminate.")}, Score: 0, OutputTokens: 900},
	}
	m, report, err := predict.Calibrate(predictor(t), examples, predict.Hint{InputPrice: 1, OutputPrice: 2})
	if err != nil {
		t.Fatal(err)
	}
	return m, report.Calibration
}

// house is a policy that gives gpt-4.1-nano an ability.
func house(ability string) string {
	return minimal + "catalog:\n  - name: gpt-4.1-nano\n    ability: {" + ability + "}\n"
}

func nano(t *testing.T, s *router.Snapshot) router.ModelIndex {
	t.Helper()
	for i := range s.Models {
		if s.Models[i].Name == "gpt-4.1-nano" {
			return router.ModelIndex(i)
		}
	}
	t.Fatal("the snapshot lacks the model")
	return 0
}

func encodeJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCalibrationFile(t *testing.T) {
	t.Parallel()
	m, calibration := graded(t)
	dir := t.TempDir()
	absolute := filepath.Join(dir, "nano.json")
	write(t, absolute, encodeJSON(t, calibration))
	path := filepath.Join(dir, "policy.yaml")
	write(t, path, house("calibration_file: nano.json, like: gpt-4.1"))
	p, err := policies.Load(path, policies.WithToday(today))
	if err != nil {
		t.Fatal(err)
	}
	s := compile(t, p)
	index := nano(t, s)
	if got, want := s.Models[index].Prior, "calibrated on 3 graded prompts"; got != want {
		t.Errorf("prior %q, want %q", got, want)
	}
	req := request()
	req.Text = router.Text{User: []byte("Is there a refund?")}
	req.PromptTokens = 0
	var out [1]predict.Output
	predictor(t).Predict(&predict.Input{User: req.Text.User}, []predict.Model{m}, out[:])
	want := router.Estimate{Quality: out[0].Quality, Uncertainty: out[0].Uncertainty, OutputTokens: out[0].OutputTokens}
	got := make([]router.Estimate, 1)
	s.Deployments[0].Scorer.Score(req, router.ModeBalanced, []router.ModelIndex{index}, got)
	if got[0] != want {
		t.Errorf("estimate %v, want the calibrated model's %v", got[0], want)
	}

	// The content is the policy's, wherever it came from and however indented.
	inline := parse(t, house(fmt.Sprintf("like: gpt-4.1, calibration: %q", encodeJSON(t, calibration))))
	elsewhere := parse(t, house("like: gpt-4.1, calibration_file: "+absolute))
	again := parse(t, encodeJSON(t, json.RawMessage(protoJSON(t, p.Document()))))
	for name, other := range map[string]*policies.Policy{"inline": inline, "by absolute path": elsewhere, "read again": again} {
		if other.Hash() != p.Hash() {
			t.Errorf("%s: hash %s, want %s", name, other.Hash(), p.Hash())
		}
	}
	calibration.Shift++
	if other := parse(t, house(fmt.Sprintf("like: gpt-4.1, calibration: %q", encodeJSON(t, calibration)))); other.Hash() == p.Hash() {
		t.Error("another calibration, the same hash")
	}
}

func TestCalibrationOfAnotherPredictor(t *testing.T) {
	t.Parallel()
	_, calibration := graded(t)
	version := calibration.Predictor
	text := house(fmt.Sprintf("trained_as: gpt-4.1-nano, calibration: %q", encodeJSON(t, calibration)))

	// One that is loaded beside it: the calibration counts for its own only.
	newest := relabelled(t, "newest")
	s := compile(t, parse(t, text, policies.WithPredictors(newest, predictor(t))))
	if got := s.Models[nano(t, s)].Prior; got != "" {
		t.Errorf("prior %q with a predictor that was trained on the model, want none", got)
	}
	s = compile(t, parse(t, text, policies.WithPredictors(predictor(t), newest)))
	if got, want := s.Models[nano(t, s)].Prior, "calibrated on 3 graded prompts"; got != want {
		t.Errorf("prior %q, want %q", got, want)
	}

	p := parse(t, text, policies.WithPredictors(newest))
	var got []string
	for _, w := range p.Warnings() {
		got = append(got, w.Path+": "+w.Message)
	}
	want := []string{fmt.Sprintf("catalog[0].ability.calibration: made with predictor version %q, which this binary lacks, so it counts for nothing; calibrate again", version)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestCalibrationFaults(t *testing.T) {
	t.Parallel()
	_, calibration := graded(t)
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		write(t, path, content)
		return "calibration_file: " + path
	}
	other := calibration
	other.Format = 99
	for _, tt := range []struct{ name, ability, path, want string }{
		{"no file", "calibration_file: " + filepath.Join(dir, "none"), "calibration_file", "stat "},
		{"directory", "calibration_file: " + dir, "calibration_file", dir + " is not a regular file"},
		{"device", "calibration_file: /dev/zero", "calibration_file", "/dev/zero is not a regular file"},
		{"too large", file("large", strings.Repeat(" ", 64<<10+1)), "calibration_file", filepath.Join(dir, "large") + " has more than 65536 bytes"},
		{"not JSON", file("text", "hello"), "calibration_file", "not a calibration: invalid character"},
		{"other JSON", file("json", `{"a": 1}`), "calibration_file", `not a calibration: json: unknown field "a"`},
		{"two values", "calibration: \"{} {}\"", "calibration", "not a calibration: more than one JSON value"},
		{"format", fmt.Sprintf("calibration: %q", encodeJSON(t, other)), "calibration", "calibrated model: format 99"},
		{"both", "calibration: x, calibration_file: y", "calibration", "stated beside calibration_file"},
		{"empty", "calibration: \"\"", "calibration", "must be at least 1 characters"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := refuse(t, house(tt.ability)).Faults[0]
			if f.Path != "catalog[0].ability."+tt.path || !strings.HasPrefix(f.Message, tt.want) || f.Line != 9 {
				t.Errorf("fault %v, want one of %s that starts with %q", f, tt.path, tt.want)
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
