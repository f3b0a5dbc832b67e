package predict_test

import (
	"strings"
	"testing"

	"wye/predict"
)

// prose is ordinary text of at least n bytes without much repetition.
func prose(n int) []byte {
	const words = `the train leaves at seven and arrives before noon so how many passengers of the second carriage
	will have read their newspaper when function parse_header(line) returns an error for {"key": 12.5} while A) copper
	B) iron C) zinc D) none of these conducts heat better under a pressure of 3.2 bar? Explain each step, quote the
	theorem you use, and give the final answer as an integer. Translate it into German afterwards, keeping every name. `
	fields := strings.Fields(words)
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(fields[(i*i+7*i)%len(fields)])
		b.WriteByte(' ')
		if i%17 == 0 {
			b.WriteString(strings.Repeat(string(rune('a'+i%26)), i%5))
		}
	}
	return []byte(b.String()[:n])
}

func models(tb testing.TB, p *predict.Predictor, n int) []predict.Model {
	tb.Helper()
	names := p.Models()
	var out []predict.Model
	for i := range n {
		m, ok := p.Model(names[i%len(names)])
		if !ok {
			tb.Fatalf("model %q is listed and missing", names[i%len(names)])
		}
		out = append(out, m)
	}
	return out
}

func load(tb testing.TB) *predict.Predictor {
	tb.Helper()
	p, err := predict.Default()
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func BenchmarkPredict(b *testing.B) {
	p := load(b)
	for _, c := range []struct {
		name   string
		in     predict.Input
		models int
	}{
		{"200B/12models", predict.Input{User: prose(200)}, 12},
		{"2KB/12models", predict.Input{User: prose(2048)}, 12},
		{"2KB/40models", predict.Input{User: prose(2048)}, 40},
		{"2KB+system/12models", predict.Input{User: prose(2048), System: prose(2048)}, 12},
		{"32KB/12models", predict.Input{User: prose(32768), System: prose(2048), History: prose(2048)}, 12},
	} {
		b.Run(c.name, func(b *testing.B) {
			ms := models(b, p, c.models)
			out := make([]predict.Output, len(ms))
			b.ReportAllocs()
			for b.Loop() {
				p.Predict(&c.in, ms, out)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	w := marshalled(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := predict.Load(w); err != nil {
			b.Fatal(err)
		}
	}
}

func TestPredictAllocatesNothing(t *testing.T) {
	p := load(t)
	ms := models(t, p, 12)
	out := make([]predict.Output, len(ms))
	in := predict.Input{User: prose(4096), System: prose(2048), History: prose(2048)}
	if n := testing.AllocsPerRun(100, func() { p.Predict(&in, ms, out) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
