package predict_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/predict"
)

func TestPrior(t *testing.T) {
	t.Parallel()
	p := load(t)
	in := predict.Input{User: []byte(arithmetic)}
	quality := func(h predict.Hint) predict.Output {
		m, _ := p.Prior(h)
		return predictAll(p, in, []predict.Model{m})[0]
	}
	for _, c := range []struct {
		name string
		hint predict.Hint
		says string
	}{
		{"nothing", predict.Hint{}, "average"},
		{"price", predict.Hint{InputPrice: 1, OutputPrice: 4}, "price"},
		{"skills", predict.Hint{Skills: map[string]float64{"math": 0.6, "code": 0.4}, InputPrice: 1, OutputPrice: 4}, "code, math"},
		{"unknown skills", predict.Hint{Skills: map[string]float64{"juggling": 0.6}}, "average"},
		{"like", predict.Hint{Like: "gpt-4o-mini-2024-07-18", Skills: map[string]float64{"math": 0.1}}, "gpt-4o-mini-2024-07-18"},
		{"like nobody", predict.Hint{Like: "nobody"}, "average"},
	} {
		if _, from := p.Prior(c.hint); !strings.Contains(from, c.says) {
			t.Errorf("%s: %q does not say %q", c.name, from, c.says)
		}
	}
	strong := quality(predict.Hint{Skills: map[string]float64{"math": 0.9, "reasoning": 0.9}})
	weak := quality(predict.Hint{Skills: map[string]float64{"math": 0.3, "reasoning": 0.3}})
	if strong.Quality < weak.Quality+0.2 {
		t.Errorf("stated skills of 0.9 give %.3f, of 0.3 %.3f", strong.Quality, weak.Quality)
	}
	coder := quality(predict.Hint{Skills: map[string]float64{"math": 0.3, "reasoning": 0.3, "code": 0.9}})
	if coder.Quality > weak.Quality+0.1 {
		t.Errorf("skill at code moves a word problem from %.3f to %.3f", weak.Quality, coder.Quality)
	}
	trained, _ := p.Model("gpt-4o-mini-2024-07-18")
	same := predictAll(p, in, []predict.Model{trained})[0]
	like := quality(predict.Hint{Like: "gpt-4o-mini-2024-07-18"})
	if like.Quality != same.Quality || like.Uncertainty <= same.Uncertainty {
		t.Errorf("a model like another has %+v, the other %+v: want the same quality, less sure", like, same)
	}
	plain, thinks := quality(predict.Hint{}), quality(predict.Hint{Reasoning: true})
	if thinks.OutputTokens < 3*plain.OutputTokens {
		t.Errorf("a reasoning model writes %.0f tokens, another %.0f", thinks.OutputTokens, plain.OutputTokens)
	}
}

// graded makes examples of a model that is good at arithmetic and bad at law,
// or the other way round.
func graded(n int, arithmeticScore, lawScore float64) []predict.Example {
	var out []predict.Example
	for i := range n {
		e := predict.Example{Score: arithmeticScore, OutputTokens: 900}
		e.Input.User = []byte(arithmetic + strings.Repeat(" Then add one.", i%7))
		if i%2 == 1 {
			e.Score = lawScore
			e.Input.User = []byte("Under common law, which doctrine lets the plaintiff recover damages for negligence of a third party? Case " + strings.Repeat("appeal ", i%5))
		}
		out = append(out, e)
	}
	return out
}

func TestCalibrate(t *testing.T) {
	t.Parallel()
	p := load(t)
	sums := predict.Input{User: []byte(arithmetic)}
	law := predict.Input{User: []byte("Under common law, which doctrine lets the plaintiff recover damages for negligence of a third party?")}
	prior, _ := p.Prior(predict.Hint{})
	before := predictAll(p, sums, []predict.Model{prior})[0]

	m, report, err := predict.Calibrate(p, graded(200, 0.95, 0.05), predict.Hint{})
	if err != nil {
		t.Fatal(err)
	}
	onSums, onLaw := predictAll(p, sums, []predict.Model{m})[0], predictAll(p, law, []predict.Model{m})[0]
	if onSums.Quality < 0.75 || onLaw.Quality > 0.25 {
		t.Errorf("after 200 examples arithmetic is %.3f, want about 0.95; law is %.3f, want about 0.05", onSums.Quality, onLaw.Quality)
	}
	if onSums.Uncertainty >= before.Uncertainty {
		t.Errorf("uncertainty went from %.3f to %.3f", before.Uncertainty, onSums.Uncertainty)
	}
	// One shift of log length fits both kinds, so only their mean comes out.
	if mean := math.Sqrt(float64(onSums.OutputTokens) * float64(onLaw.OutputTokens)); math.Abs(mean-900) > 200 {
		t.Errorf("answers of 900 tokens are expected to be %.0f and %.0f", onSums.OutputTokens, onLaw.OutputTokens)
	}
	if report.LogLossAfter >= report.LogLossBefore || math.Abs(report.MeanScore-0.5) > 1e-9 || math.Abs(report.After-0.5) > 0.05 {
		t.Errorf("report %+v", report)
	}

	few, fewReport, err := predict.Calibrate(p, graded(20, 0.95, 0.05), predict.Hint{})
	if err != nil {
		t.Fatal(err)
	}
	onFew := predictAll(p, sums, []predict.Model{few})[0]
	if fewReport.Uncertainty <= report.Uncertainty {
		t.Errorf("20 examples leave %.3f of uncertainty, 200 %.3f", fewReport.Uncertainty, report.Uncertainty)
	}
	if onFew.Quality >= onSums.Quality {
		t.Errorf("20 examples move it to %.3f, 200 to %.3f", onFew.Quality, onSums.Quality)
	}
}

func TestCalibrateWithoutExamplesIsThePrior(t *testing.T) {
	t.Parallel()
	p := load(t)
	h := predict.Hint{Like: "gpt-4o-mini-2024-07-18"}
	m, report, err := predict.Calibrate(p, nil, h)
	if err != nil {
		t.Fatal(err)
	}
	prior, from := p.Prior(h)
	in := predict.Input{User: []byte(arithmetic)}
	out := predictAll(p, in, []predict.Model{m, prior})
	if out[0].Quality != out[1].Quality || out[0].OutputTokens != out[1].OutputTokens || out[0].Guarded != out[1].Guarded {
		t.Errorf("without examples %+v, the prior %+v", out[0], out[1])
	}
	if report.Graded != 0 || report.Prior != from {
		t.Errorf("report %+v", report)
	}
}

func TestCalibrateRefusesScores(t *testing.T) {
	t.Parallel()
	p := load(t)
	for _, s := range []float64{-0.1, 1.1, math.NaN()} {
		if _, _, err := predict.Calibrate(p, []predict.Example{{Score: s}}, predict.Hint{}); err == nil || !strings.Contains(err.Error(), "example 0") {
			t.Errorf("score %v: %v", s, err)
		}
	}
}

func TestCalibrationLoads(t *testing.T) {
	t.Parallel()
	p := load(t)
	m, report, err := predict.Calibrate(p, graded(60, 0.9, 0.2), predict.Hint{InputPrice: 1, OutputPrice: 3})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(report.Calibration)
	if err != nil {
		t.Fatal(err)
	}
	var c predict.Calibration
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	loaded, err := p.Calibrated(c)
	if err != nil {
		t.Fatal(err)
	}
	in := predict.Input{User: prose(300)}
	out := predictAll(p, in, []predict.Model{m, loaded})
	if diff := cmp.Diff(out[0], out[1]); diff != "" {
		t.Errorf("the stored calibration estimates otherwise:\n%s", diff)
	}
	for _, bad := range []struct {
		name   string
		change func(c *predict.Calibration)
		says   string
	}{
		{"format", func(c *predict.Calibration) { c.Format = 7 }, "format 7"},
		{"predictor", func(c *predict.Calibration) { c.Predictor = "1999-01-01.1" }, "1999-01-01.1"},
		{"weights", func(c *predict.Calibration) { c.Weights = c.Weights[1:] }, "64 weights"},
		{"variances", func(c *predict.Calibration) { c.Variances = nil }, "0 variances"},
		{"negative", func(c *predict.Calibration) { c.Variance = -1 }, "negative"},
		{"not finite", func(c *predict.Calibration) { c.Shift = float32(math.NaN()) }, "not finite"},
		{"half a sample", func(c *predict.Calibration) { c.Samples = c.Samples[:len(c.Samples)-1] }, "samples are damaged"},
		{"too many samples", func(c *predict.Calibration) { c.Samples = bytes.Repeat(c.Samples, 3) }, "samples are damaged"},
	} {
		c := report.Calibration
		bad.change(&c)
		if _, err := p.Calibrated(c); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: error %v does not say %q", bad.name, err, bad.says)
		}
	}
}
