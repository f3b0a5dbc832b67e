package otlp

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"wye/usage"
)

// request is what a span says of a record.
type request struct {
	start, end  time.Time
	traceparent string
	operation   string
	deployment  string
	attributes  []attribute.KeyValue
	status      int
}

// requestOf copies what it needs of r.
func requestOf(r *usage.Record) request {
	q := request{
		start: r.Time, end: r.Time.Add(seconds(r.TotalSeconds)), traceparent: r.TraceParent, operation: r.Operation(), deployment: r.Deployment, status: r.Status,
		attributes: make([]attribute.KeyValue, 0, 24),
	}
	text := func(key, value string) {
		if value != "" {
			q.attributes = append(q.attributes, attribute.String(key, value))
		}
	}
	text("gen_ai.operation.name", q.operation)
	text("gen_ai.request.model", r.Deployment)
	text("wye.decision.id", r.Decision)
	text("wye.deployment", r.Deployment)
	text("wye.mode", r.Mode)
	text("wye.policy", r.Policy)
	text("wye.predictor", r.Predictor)
	text("wye.usage.unknown", string(r.Unknown))
	if s := r.Served; s != nil {
		text("gen_ai.response.model", s.Version)
		text("wye.model", s.Model)
		text("wye.backend", s.Backend)
		text("wye.zone", s.Zone)
	}
	q.attributes = append(q.attributes, attribute.Int("wye.attempts", r.Attempts), attribute.Bool("wye.stream", r.Stream))
	if r.Status != 0 {
		q.attributes = append(q.attributes, attribute.Int("http.response.status_code", r.Status))
	}
	if kind := errorType(r); kind != "" {
		text("error.type", kind)
	}
	if u := r.Usage; u != nil {
		q.attributes = append(q.attributes,
			attribute.Int64("gen_ai.usage.input_tokens", u.Prompt), attribute.Int64("gen_ai.usage.output_tokens", u.Completion),
			attribute.Int64("gen_ai.usage.cache_read.input_tokens", u.Cached), attribute.Int64("gen_ai.usage.reasoning.output_tokens", u.Reasoning),
		)
	}
	if r.CostUSD != nil {
		q.attributes = append(q.attributes, attribute.Float64("wye.cost_usd", *r.CostUSD))
	}
	if r.FirstSeconds > 0 {
		q.attributes = append(q.attributes, attribute.Float64("wye.first_byte_seconds", r.FirstSeconds))
	}
	if r.DecisionSeconds > 0 {
		q.attributes = append(q.attributes, attribute.Float64("wye.decision_seconds", r.DecisionSeconds))
	}
	return q
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// errorType is the status of a failed request, or what broke it; empty: nothing.
func errorType(r *usage.Record) string {
	switch {
	case r.Status >= http.StatusBadRequest:
		return strconv.Itoa(r.Status)
	case r.Status == 0:
		return "no_response"
	case r.Unknown == usage.Interrupted:
		return string(usage.Interrupted)
	}
	return ""
}

// span starts and ends the span of a request that is over, as a child of what the
// client sent.
func (q *request) span(tracer trace.Tracer) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": q.traceparent})
	name := q.operation
	if q.deployment != "" {
		name += " " + q.deployment
	}
	_, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(q.start), trace.WithAttributes(q.attributes...))
	if q.status >= http.StatusInternalServerError || q.status == 0 {
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(q.end))
}
