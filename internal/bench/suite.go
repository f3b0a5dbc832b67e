package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"wye/internal/bench/cputime"
	"wye/internal/bench/load"
	"wye/internal/bench/report"
)

// The variants, as reports name them.
const (
	plainName   = "Envoy alone"
	floorName   = "headers-only no-op"
	threeName   = "three-message no-op"
	rewriteName = "one-reply rewrite"
	wyeName     = "Wye"
	usageName   = "Wye with usage"
)

var variantNames = []string{plainName, floorName, threeName, rewriteName, wyeName, usageName}

var pairs = []report.Pair{
	{Of: wyeName, To: floorName},
	{Of: wyeName, To: threeName},
	{Of: wyeName, To: rewriteName},
	{Of: usageName, To: wyeName},
	{Of: rewriteName, To: floorName},
	{Of: floorName, To: plainName},
}

// variant is one thing to measure.
type variant struct {
	name      string
	addr      string            // of Envoy's listener
	envoy     int               // process id
	processor int               // process id, 0: none
	model     func(string) bool // whether the upstream may be sent this model
}

// suite is how to measure.
type suite struct {
	workloads []workload
	rounds    int
	warmup    time.Duration
	duration  time.Duration
	random    *rand.Rand
	progress  func(format string, a ...any)
}

// verify sends one request of each size through each variant.
func (s *suite) verify(variants []variant) error {
	client := &http.Client{Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()
	for _, w := range s.workloads {
		for _, v := range variants {
			if err := check(client, v.addr, body(w.bytes), v.model); err != nil {
				return fmt.Errorf("%s, %s: %w", v.name, w.name, err)
			}
		}
	}
	return nil
}

// run measures every variant once a round, the variants of a workload in an
// order drawn anew each time, so that neither drift nor a neighbour's after
// effects favour one. It fails on a request that fails, and says which.
func (s *suite) run(ctx context.Context, variants []variant) ([]report.Sample, error) {
	var samples []report.Sample
	for round := range s.rounds {
		for _, w := range s.workloads {
			for _, i := range s.random.Perm(len(variants)) {
				sample, err := s.sample(ctx, &w, &variants[i])
				if err != nil {
					return nil, fmt.Errorf("round %d, %s, %s: %w", round+1, w.name, variants[i].name, err)
				}
				sample.Round = round
				samples = append(samples, sample)
				s.progress("round %d/%d  %-10s  %-20s %7.0f/s  p50 %6.0f µs  p99 %6.0f µs  %5.0f µs CPU, %5.0f the processor's",
					round+1, s.rounds, w.name, variants[i].name, sample.Rate, sample.P50, sample.P99, sample.CPU, sample.ProcessorCPU)
			}
		}
	}
	return samples, nil
}

// errSilent says that a sample was too short for a single response.
var errSilent = errors.New("no response")

// sample takes one sample, and a longer one when the machine was too busy for a
// single response.
func (s *suite) sample(ctx context.Context, w *workload, v *variant) (report.Sample, error) {
	duration := s.duration
	for {
		sample, err := s.one(ctx, w, v, duration)
		if !errors.Is(err, errSilent) || duration > 10*time.Second {
			return sample, err
		}
		duration *= 2
	}
}

func (s *suite) one(ctx context.Context, w *workload, v *variant, duration time.Duration) (report.Sample, error) {
	var envoyCPU, processorCPU time.Duration
	var cpuErr error
	result, err := load.Run(ctx, load.Config{
		Addr: v.addr, Request: request(v.addr, body(w.bytes)), Clients: w.clients,
		Warmup: s.warmup, Duration: duration,
		OnMeasure: func(start bool) {
			count := func(pid int, into *time.Duration) {
				used, err := cputime.Of(pid)
				if err != nil {
					cpuErr = err
				}
				if start {
					used = -used
				}
				*into += used
			}
			count(v.envoy, &envoyCPU)
			if v.processor != 0 {
				count(v.processor, &processorCPU)
			}
		},
	})
	if err != nil {
		return report.Sample{}, err
	}
	if cpuErr != nil {
		return report.Sample{}, cpuErr
	}
	if result.Failed > 0 {
		return report.Sample{}, fmt.Errorf("%d requests failed, the first: %w", result.Failed, result.FirstErr)
	}
	n := len(result.Latencies)
	if n == 0 {
		return report.Sample{}, fmt.Errorf("%w in %v", errSilent, duration)
	}
	return report.Sample{
		Workload: w.name, Variant: v.name, Requests: n,
		Rate: result.PerSecond(), P50: micros(result.Quantile(0.5)), P99: micros(result.Quantile(0.99)),
		CPU: micros(envoyCPU+processorCPU) / float64(n), ProcessorCPU: micros(processorCPU) / float64(n),
	}, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
