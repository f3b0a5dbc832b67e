// Package report turns the samples of an interleaved benchmark into medians,
// paired ratios and their spread, as Markdown or JSON. It must not know how a
// sample was taken.
package report

import (
	"slices"
	"time"
)

// Sample is one variant under one workload in one round.
type Sample struct {
	Workload string  `json:"workload"`
	Variant  string  `json:"variant"`
	Round    int     `json:"round"`
	Rate     float64 `json:"requests_per_second"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	CPU      float64 `json:"cpu_us_per_request"` // Envoy and processor
	// ProcessorCPU is the processor's part of CPU, 0 where there is none.
	ProcessorCPU float64 `json:"processor_cpu_us_per_request"`
	Requests     int     `json:"requests"`
	Failed       int     `json:"failed"`
}

// Spread is a median with the extremes it was taken from.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// Row is what one variant did under one workload, over all rounds.
type Row struct {
	Workload string `json:"workload"`
	Variant  string `json:"variant"`
	Rate     Spread `json:"requests_per_second"`
	P50      Spread `json:"p50_us"`
	P99      Spread `json:"p99_us"`
	CPU      Spread `json:"cpu_us_per_request"`
	// ProcessorCPU is the processor's part of CPU.
	ProcessorCPU Spread `json:"processor_cpu_us_per_request"`
	Requests     int    `json:"requests"`
	Failed       int    `json:"failed"`
}

// Ratio compares two variants round by round: rounds differ by what else the
// machine is doing, which a ratio of medians would mix.
type Ratio struct {
	Workload string `json:"workload"`
	Of       string `json:"of"`
	To       string `json:"to"`
	Rate     Spread `json:"requests_per_second"`
	P50      Spread `json:"p50"`
	P99      Spread `json:"p99"`
	CPU      Spread `json:"cpu_per_request"`
}

// Machine says where a run was made.
type Machine struct {
	CPUs    int       `json:"cpus"`
	Model   string    `json:"model"`
	Kernel  string    `json:"kernel"`
	Go      string    `json:"go"`
	Envoy   string    `json:"envoy"`
	Wye     string    `json:"wye"`
	Started time.Time `json:"started"`
	// Load is the one-minute load average just before the run: what the
	// machine was doing besides.
	Load float64 `json:"load_average_before"`
}

// Report is a whole run.
type Report struct {
	Machine Machine  `json:"machine"`
	Rounds  int      `json:"rounds"`
	Seconds float64  `json:"seconds_per_sample"`
	Rows    []Row    `json:"rows"`
	Ratios  []Ratio  `json:"ratios"`
	Samples []Sample `json:"samples"`
}

// Pair names two variants to compare.
type Pair struct{ Of, To string }

// Summarise groups the samples by workload and variant, in the order in which
// they first occur when sorted by the given names, and compares the pairs.
func Summarise(samples []Sample, workloads, variants []string, pairs []Pair) ([]Row, []Ratio) {
	var rows []Row
	var ratios []Ratio
	for _, workload := range workloads {
		for _, variant := range variants {
			if of := pick(samples, workload, variant); len(of) > 0 {
				rows = append(rows, row(workload, variant, of))
			}
		}
		for _, pair := range pairs {
			of, to := pick(samples, workload, pair.Of), pick(samples, workload, pair.To)
			if ratio, ok := compare(of, to); ok {
				ratio.Workload, ratio.Of, ratio.To = workload, pair.Of, pair.To
				ratios = append(ratios, ratio)
			}
		}
	}
	return rows, ratios
}

func pick(samples []Sample, workload, variant string) []Sample {
	var out []Sample
	for _, s := range samples {
		if s.Workload == workload && s.Variant == variant {
			out = append(out, s)
		}
	}
	return out
}

func row(workload, variant string, of []Sample) Row {
	r := Row{
		Workload: workload, Variant: variant,
		Rate:         spread(of, func(s Sample) float64 { return s.Rate }),
		P50:          spread(of, func(s Sample) float64 { return s.P50 }),
		P99:          spread(of, func(s Sample) float64 { return s.P99 }),
		CPU:          spread(of, func(s Sample) float64 { return s.CPU }),
		ProcessorCPU: spread(of, func(s Sample) float64 { return s.ProcessorCPU }),
	}
	for _, s := range of {
		r.Requests += s.Requests
		r.Failed += s.Failed
	}
	return r
}

// compare pairs samples of the same round and reports false when no round has
// both.
func compare(of, to []Sample) (Ratio, bool) {
	var quotients []Sample
	for _, a := range of {
		for _, b := range to {
			if a.Round == b.Round {
				quotients = append(quotients, Sample{
					Rate: quotient(a.Rate, b.Rate), CPU: quotient(a.CPU, b.CPU),
					P50: quotient(a.P50, b.P50), P99: quotient(a.P99, b.P99),
				})
			}
		}
	}
	if len(quotients) == 0 {
		return Ratio{}, false
	}
	return Ratio{
		Rate: spread(quotients, func(s Sample) float64 { return s.Rate }),
		P50:  spread(quotients, func(s Sample) float64 { return s.P50 }),
		P99:  spread(quotients, func(s Sample) float64 { return s.P99 }),
		CPU:  spread(quotients, func(s Sample) float64 { return s.CPU }),
	}, true
}

// quotient is 0 where the divisor is, which no real measurement is.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func spread(of []Sample, value func(Sample) float64) Spread {
	values := make([]float64, len(of))
	for i, s := range of {
		values[i] = value(s)
	}
	slices.Sort(values)
	n := len(values)
	median := values[n/2]
	if n%2 == 0 {
		median = (values[n/2-1] + values[n/2]) / 2
	}
	return Spread{Median: median, Min: values[0], Max: values[n-1]}
}
