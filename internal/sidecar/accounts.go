package sidecar

import (
	"fmt"
	"time"

	"wye/extproc"
	"wye/internal/telemetry"
	"wye/usage"
	"wye/wire"
)

// accounts is what accounts for requests.
type accounts struct {
	sink    *usage.Sink
	service *usage.Service
	ledger  *usage.Ledger
	log     *usage.Log // nil: there is none
}

// newAccounts returns accounts that readers are told of, too.
func newAccounts(c Config, more ...func(*usage.Record)) (*accounts, error) {
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

func (a *accounts) close() error {
	if a.log == nil {
		return nil
	}
	if err := a.log.Close(); err != nil {
		return fmt.Errorf("close the decision log: %w", err)
	}
	return nil
}
