package report_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/internal/bench/report"
)

func sample(workload, variant string, round int, rate, cpu float64) report.Sample {
	return report.Sample{Workload: workload, Variant: variant, Round: round, Rate: rate, P50: 10, P99: 20, CPU: cpu, ProcessorCPU: 4, Requests: 5, Failed: 1}
}

func TestSummarisePairsRounds(t *testing.T) {
	t.Parallel()
	// The machine is twice as fast in round 1: a ratio of medians would be the
	// same, but the spread would be the machine's and not the variant's.
	samples := []report.Sample{
		sample("w", "b", 0, 100, 10), sample("w", "a", 0, 80, 15),
		sample("w", "a", 1, 160, 14), sample("w", "b", 1, 200, 10),
		sample("w", "a", 2, 75, 16), // b did not run in this round
		sample("other", "a", 0, 1, 1),
	}
	rows, ratios := report.Summarise(samples, []string{"w", "other", "none"}, []string{"a", "b"},
		[]report.Pair{{Of: "a", To: "b"}, {Of: "a", To: "missing"}})
	four := report.Spread{Median: 4, Min: 4, Max: 4}
	ten, twenty := report.Spread{Median: 10, Min: 10, Max: 10}, report.Spread{Median: 20, Min: 20, Max: 20}
	one := report.Spread{Median: 1, Min: 1, Max: 1}
	wantRows := []report.Row{
		{
			Workload: "w", Variant: "a", Rate: report.Spread{Median: 80, Min: 75, Max: 160}, P50: ten, P99: twenty,
			CPU: report.Spread{Median: 15, Min: 14, Max: 16}, ProcessorCPU: four, Requests: 15, Failed: 3,
		},
		{
			Workload: "w", Variant: "b", Rate: report.Spread{Median: 150, Min: 100, Max: 200}, P50: ten, P99: twenty,
			CPU: ten, ProcessorCPU: four, Requests: 10, Failed: 2,
		},
		{
			Workload: "other", Variant: "a", Rate: one, P50: ten, P99: twenty,
			CPU: one, ProcessorCPU: four, Requests: 5, Failed: 1,
		},
	}
	wantRatios := []report.Ratio{{
		Workload: "w", Of: "a", To: "b",
		Rate: report.Spread{Median: 0.8, Min: 0.8, Max: 0.8},
		P50:  one, P99: one,
		CPU: report.Spread{Median: 1.45, Min: 1.4, Max: 1.5},
	}}
	if diff := cmp.Diff(wantRows, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantRatios, ratios); diff != "" {
		t.Errorf("ratios (-want +got):\n%s", diff)
	}
}

func TestSummariseWithoutDivisor(t *testing.T) {
	t.Parallel()
	_, ratios := report.Summarise([]report.Sample{sample("w", "a", 0, 1, 1), sample("w", "b", 0, 0, 0)},
		[]string{"w"}, []string{"a", "b"}, []report.Pair{{Of: "a", To: "b"}})
	if len(ratios) != 1 || ratios[0].Rate.Median != 0 || ratios[0].CPU.Median != 0 {
		t.Errorf("ratios = %+v, want one with zeros and no infinity", ratios)
	}
}

func TestWriteMarkdown(t *testing.T) {
	t.Parallel()
	rows, ratios := report.Summarise(
		[]report.Sample{sample("2 KB × 1", "wye", 0, 80, 15), sample("2 KB × 1", "floor", 0, 100, 10)},
		[]string{"2 KB × 1"}, []string{"floor", "wye"}, []report.Pair{{Of: "wye", To: "floor"}},
	)
	var b strings.Builder
	r := report.Report{Rounds: 1, Seconds: 2, Rows: rows, Ratios: ratios}
	if err := r.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"### 2 KB × 1\n\n| variant |",
		"| floor | 100 | 10 | 20 | 10 | 4 | 1 |\n",
		"| wye | 80 | 10 | 20 | 15 | 4 | 1 |\n",
		"| 2 KB × 1 | wye / floor | 0.80 (0.80–0.80) | 1.00 (1.00–1.00) | 1.00 (1.00–1.00) | 1.50 (1.50–1.50) |\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("report has no %q:\n%s", want, b.String())
		}
	}
}
