package otlp

import (
	"context"
	"errors"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"wye/usage"
)

// The buckets that the semantic conventions advise.
var (
	tokenBuckets   = []float64{1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864}
	secondsBuckets = []float64{.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	firstBuckets   = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	outputBuckets  = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
)

// measures are the instruments of the semantic conventions for generative AI. It is
// safe for concurrent use.
type measures struct {
	tokens    metric.Int64Histogram
	duration  metric.Float64Histogram
	first     metric.Float64Histogram
	perOutput metric.Float64Histogram

	mu    sync.Mutex
	known map[labels]*sets
}

// labels tell one series from another. All are names of the policy or of a fixed
// list, so they are bounded by the policies there were.
type labels struct{ operation, deployment, model, failure string }

// sets are the attributes of a labels, ready for use.
type sets struct{ all, input, output metric.MeasurementOption }

// maxSeries bounds the labels that are told apart.
const maxSeries = 4096

func newMeasures(m metric.Meter) (*measures, error) {
	var errs []error
	histogram := func(name, about string, buckets []float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(about), metric.WithExplicitBucketBoundaries(buckets...))
		errs = append(errs, err)
		return h
	}
	tokens, err := m.Int64Histogram("gen_ai.client.token.usage", metric.WithUnit("{token}"),
		metric.WithDescription("Tokens used by a request."), metric.WithExplicitBucketBoundaries(tokenBuckets...))
	errs = append(errs, err)
	s := &measures{
		tokens:    tokens,
		duration:  histogram("gen_ai.server.request.duration", "Time from a request's arrival to the end of its response.", secondsBuckets),
		first:     histogram("gen_ai.server.time_to_first_token", "Time from a request's arrival to a stream's first byte.", firstBuckets),
		perOutput: histogram("gen_ai.server.time_per_output_token", "Time per output token after a stream's first byte.", outputBuckets),
		known:     make(map[labels]*sets),
	}
	return s, errors.Join(errs...)
}

func (s *measures) of(l labels) *sets {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[l]; known != nil {
		return known
	}
	if len(s.known) >= maxSeries {
		l = labels{operation: l.operation, deployment: usage.Other, model: usage.Other, failure: l.failure}
		if known := s.known[l]; known != nil {
			return known
		}
	}
	all := []attribute.KeyValue{
		attribute.String("gen_ai.operation.name", l.operation), attribute.String("gen_ai.request.model", l.deployment),
	}
	if l.model != "" {
		all = append(all, attribute.String("gen_ai.response.model", l.model))
	}
	if l.failure != "" {
		all = append(all, attribute.String("error.type", l.failure))
	}
	with := func(kind string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(append(slices.Clip(all), attribute.String("gen_ai.token.type", kind))...))
	}
	made := &sets{all: metric.WithAttributeSet(attribute.NewSet(all...)), input: with("input"), output: with("output")}
	s.known[l] = made
	return made
}

func (s *measures) add(r *usage.Record) {
	l := labels{operation: r.Operation(), deployment: r.Deployment, failure: errorType(r)}
	if r.Served != nil {
		l.model = r.Served.Version
	}
	set, ctx := s.of(l), context.Background()
	s.duration.Record(ctx, r.TotalSeconds, set.all)
	if r.Served == nil || r.Unknown == usage.NoAnswer {
		return
	}
	timed := r.Stream && r.FirstSeconds > 0
	if timed {
		s.first.Record(ctx, r.FirstSeconds, set.all)
	}
	if r.Usage == nil {
		return
	}
	if timed && r.Usage.Completion > 1 {
		s.perOutput.Record(ctx, max(r.TotalSeconds-r.FirstSeconds, 0)/float64(r.Usage.Completion-1), set.all)
	}
	s.tokens.Record(ctx, r.Usage.Prompt, set.input)
	s.tokens.Record(ctx, r.Usage.Completion, set.output)
}
