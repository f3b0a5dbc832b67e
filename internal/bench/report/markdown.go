package report

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown writes the report for people: a table of medians per workload,
// then the paired ratios with the lowest and highest round in parentheses.
func (r Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Taken %s on %d × %s, Linux %s, %s, Envoy %s, Wye %s; load average before: %.2f.\n",
		m.Started.UTC().Format("2006-01-02 15:04 MST"), m.CPUs, m.Model, m.Kernel, m.Go, m.Envoy, m.Wye, m.Load)
	fmt.Fprintf(&b, "%d rounds, every variant once a round in random order, %g s each; medians over the rounds.\n",
		r.Rounds, r.Seconds)
	b.WriteString("CPU per request is that of Envoy and the processor together, without load generator and upstream.\n")

	workload := ""
	for _, row := range r.Rows {
		if row.Workload != workload {
			workload = row.Workload
			fmt.Fprintf(&b, "\n### %s\n\n", workload)
			b.WriteString("| variant | requests/s | p50 µs | p99 µs | CPU µs/request | processor's part | failed |\n")
			b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
		}
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %d |\n",
			row.Variant, row.Rate.Median, row.P50.Median, row.P99.Median, row.CPU.Median, row.ProcessorCPU.Median, row.Failed)
	}
	b.WriteString("\n### Ratios, round by round: median (lowest–highest)\n\n")
	b.WriteString("| workload | of / to | requests/s | p50 | p99 | CPU per request |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: |\n")
	for _, ratio := range r.Ratios {
		fmt.Fprintf(&b, "| %s | %s / %s | %s | %s | %s | %s |\n",
			ratio.Workload, ratio.Of, ratio.To, ratio.Rate, ratio.P50, ratio.P99, ratio.CPU)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String formats a ratio's spread.
func (s Spread) String() string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max)
}
