package sidecar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wye/extproc"
	"wye/internal/otlp"
	"wye/internal/telemetry"
	"wye/usage"
	"wye/wire"
)

// accounts is what accounts for requests.
type accounts struct {
	sink    *usage.Sink
	service *usage.Service
	ledger  *usage.Ledger
	log     *usage.Log     // nil: there is none
	otlp    *otlp.Exporter // nil: there is none
}

// newAccounts returns accounts that readers are told of, too.
func newAccounts(ctx context.Context, c Config, more ...func(*usage.Record)) (*accounts, error) {
	a := &accounts{ledger: usage.NewLedger(time.Now())}
	readers := append([]func(*usage.Record){a.ledger.Add}, more...)
	if c.DecisionLog.Path != "" {
		log, err := usage.OpenLog(c.DecisionLog)
		if err != nil {
			return nil, fmt.Errorf("open the decision log: %w", err)
		}
		a.log = log
		readers = append(readers, log.Add)
	}
	if c.OTLP.Enabled() {
		exporter, err := otlp.Start(ctx, c.OTLP)
		if err != nil {
			return nil, errors.Join(err, a.close(ctx))
		}
		a.otlp = exporter
		readers = append(readers, exporter.Add)
	}
	a.sink = usage.NewSink(usage.Config{Readers: readers, Brief: a.log == nil, KeepText: c.LogPrompts})
	a.service = usage.NewService(a.sink)
	return a, nil
}

// measure adds what requests come to to the metrics.
func (a *accounts) measure(m *telemetry.Metrics) {
	src := telemetry.UsageSources{Sink: a.sink.Counts}
	if a.log != nil {
		src.Log = a.log.Counts
	}
	if a.otlp != nil {
		src.OTLP = a.otlp.Counts
	}
	a.sink.Read(m.NewUsage(src).Add)
}

// observe adds the sink to what observes decisions.
func (a *accounts) observe(o extproc.Observer) extproc.Observer {
	decision, problem := o.Decision, o.Problem
	o.Decision = func(e *extproc.Event) {
		decision(e)
		a.decided(e)
	}
	o.Problem = func(e *extproc.Event, p *wire.Problem) {
		problem(e, p)
		if !e.Fallback {
			a.decided(e)
		}
	}
	return o
}

func (a *accounts) decided(e *extproc.Event) {
	a.sink.Decided(e.ID, e.Snapshot, e.Request, e.Decision, e.BodyBytes, e.Elapsed)
}

func (a *accounts) close(ctx context.Context) error {
	var errs []error
	if a.log != nil {
		if err := a.log.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the decision log: %w", err))
		}
	}
	if a.otlp != nil {
		errs = append(errs, a.otlp.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
