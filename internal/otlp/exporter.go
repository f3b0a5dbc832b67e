package otlp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"wye/usage"
)

// scope is the name under which everything is sent.
const scope = "wye"

// Exporter sends spans and metrics until Shutdown. Make one with Start. It is safe
// for concurrent use.
type Exporter struct {
	logger   zerolog.Logger
	timeout  time.Duration
	measures *measures             // nil: no metrics
	readers  *metric.MeterProvider // nil: likewise
	out      trace.SpanExporter    // nil: no spans
	provider *trace.TracerProvider
	tracer   oteltrace.Tracer
	ended    collector

	queue  chan request
	done   chan struct{}
	mu     sync.RWMutex // held to write while the queue is closed
	closed bool

	sent, dropped, failed atomic.Int64
}

// Start opens the exporters; it does not wait for the collector.
func Start(ctx context.Context, c Config) (_ *Exporter, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("opentelemetry: %w", err)
		}
	}()
	name := []attribute.KeyValue{attribute.String("service.version", c.Version)}
	if os.Getenv("OTEL_SERVICE_NAME") == "" {
		name = append(name, attribute.String("service.name", "wye"))
	}
	// The environment's come last, and so count.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(name...), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		logger: c.Logger, timeout: cmp.Or(c.Timeout, DefaultTimeout), queue: make(chan request, cmp.Or(c.Queue, DefaultQueue)), done: make(chan struct{}),
	}
	if e.out, err = c.spanExporter(ctx); err != nil {
		return nil, err
	}
	e.provider = trace.NewTracerProvider(trace.WithResource(about), trace.WithSpanProcessor(&e.ended))
	e.tracer = e.provider.Tracer(scope, oteltrace.WithInstrumentationVersion(c.Version))
	out, err := c.metricExporter(ctx)
	if err != nil {
		return nil, errors.Join(err, e.close(ctx))
	}
	if out != nil {
		e.readers = metric.NewMeterProvider(metric.WithResource(about), metric.WithReader(metric.NewPeriodicReader(out)))
		if e.measures, err = newMeasures(e.readers.Meter(scope)); err != nil {
			return nil, errors.Join(err, e.close(ctx))
		}
	}
	// What the SDK reports are failed pushes of metrics. They are cumulative, so that
	// the next one makes up for it.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { c.Logger.Debug().Err(err).Msg("opentelemetry") }))
	go e.run()
	return e, nil
}

// Add measures a record and queues its span; a full queue drops it. It keeps
// nothing of r.
func (e *Exporter) Add(r *usage.Record) {
	if e.measures != nil {
		e.measures.add(r)
	}
	if e.out == nil {
		return
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if !e.closed {
		select {
		case e.queue <- requestOf(r):
			return
		default:
		}
	}
	e.dropped.Add(1)
}

// How many spans are sent at once, and how long is waited for so many.
const (
	maxBatch   = 512
	batchDelay = time.Second
)

// run makes spans of what is queued and sends them, until the queue is closed and
// empty.
func (e *Exporter) run() {
	defer close(e.done)
	timer := time.NewTimer(batchDelay)
	defer timer.Stop()
	pending := 0
	for {
		select {
		case r, more := <-e.queue:
			if !more {
				e.send()
				return
			}
			r.span(e.tracer)
			if pending++; pending < maxBatch {
				continue
			}
		case <-timer.C:
		}
		e.send()
		pending = 0
		timer.Reset(batchDelay)
	}
}

func (e *Exporter) send() {
	spans := e.ended.take()
	if len(spans) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.timeout)
	defer cancel()
	n := int64(len(spans))
	if err := e.out.ExportSpans(ctx, spans); err != nil {
		if e.failed.Add(n) == n { // the first; a collector that is away would fill the log
			e.logger.Error().Err(err).Msg("spans cannot be sent to the OpenTelemetry collector")
		}
		return
	}
	e.sent.Add(n)
}

// Shutdown sends what is queued and stops; ctx bounds it.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	first := !e.closed
	if first {
		e.closed = true
		close(e.queue)
	}
	e.mu.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
		// The queue's goroutine ends with the send it is in, at the latest.
	}
	if !first {
		return nil
	}
	return e.close(ctx)
}

func (e *Exporter) close(ctx context.Context) error {
	var errs []error
	if e.readers != nil {
		errs = append(errs, e.readers.Shutdown(ctx))
	}
	if e.out != nil {
		errs = append(errs, e.out.Shutdown(ctx))
	}
	if e.provider != nil {
		errs = append(errs, e.provider.Shutdown(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("opentelemetry: %w", err)
	}
	return nil
}

// Counts is what an Exporter counts, in spans.
type Counts struct {
	Sent    int64
	Dropped int64 // because too many waited
	Failed  int64 // because the collector was away or refused them
}

// Counts returns the counts so far.
func (e *Exporter) Counts() Counts {
	return Counts{Sent: e.sent.Load(), Dropped: e.dropped.Load(), Failed: e.failed.Load()}
}

// collector is a span processor that keeps what ended until it is taken. Only the
// queue's goroutine ends spans and takes them.
type collector struct{ spans []trace.ReadOnlySpan }

// OnStart implements trace.SpanProcessor.
func (*collector) OnStart(context.Context, trace.ReadWriteSpan) {}

// OnEnd implements trace.SpanProcessor.
func (c *collector) OnEnd(s trace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.spans = append(c.spans, s)
	}
}

// Shutdown implements trace.SpanProcessor.
func (*collector) Shutdown(context.Context) error { return nil }

// ForceFlush implements trace.SpanProcessor.
func (*collector) ForceFlush(context.Context) error { return nil }

func (c *collector) take() []trace.ReadOnlySpan {
	spans := c.spans
	c.spans = nil
	return spans
}
