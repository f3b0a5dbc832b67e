package usage_test

import (
	"fmt"
	"testing"
	"time"

	"wye/usage"
)

func record(caller string, edit func(*usage.Record)) *usage.Record {
	cost, single, top := 1.0, 3.0, 1.5
	r := &usage.Record{
		Deployment: "chat", Caller: caller, Attempts: 2, Served: &usage.Place{Zone: "eu"},
		Usage: &usage.Tokens{Prompt: 10, Cached: 2, Completion: 5, Reasoning: 1}, CostUSD: &cost, SingleUSD: &single, TopUSD: &top,
	}
	if edit != nil {
		edit(r)
	}
	return r
}

func TestLedger(t *testing.T) {
	t.Parallel()
	since := time.Unix(5, 0)
	l := usage.NewLedger(since)
	l.Add(record("red", nil))
	l.Add(record("blue", func(r *usage.Record) { r.SingleUSD, r.TopUSD = nil, nil }))
	l.Add(record("blue", func(r *usage.Record) { r.CostUSD = nil }))
	l.Add(record("", func(r *usage.Record) { r.Usage, r.Unknown = nil, usage.Unreported }))
	l.Add(record("", func(r *usage.Record) { r.Usage, r.Served, r.Unknown = nil, nil, usage.NoAnswer }))
	s := l.Summary()
	if s.Since != since || len(s.Deployments) != 1 || len(s.Zones) != 1 || len(s.Callers) != 3 {
		t.Errorf("%+v", s)
	}
	got := s.Total
	if got.Requests != 5 || got.Answered != 3 || got.Unanswered != 1 || got.Unknown[usage.Unreported] != 1 || len(got.Unknown) != 1 ||
		got.Attempts != 10 || got.Tokens != (usage.Tokens{Prompt: 30, Cached: 6, Completion: 15, Reasoning: 3}) || got.CostUSD != 2 ||
		got.SavedVsSingleUSD != 2 || got.SavedVsTopUSD != 0.5 || got.Unpriced != 1 {
		t.Errorf("total %+v", got)
	}
	if s.Zones[0].Name != "eu" || s.Zones[0].Requests != 4 || s.Callers[0].Name != "blue" || s.Callers[1].Name != "red" {
		t.Errorf("%+v", s)
	}
	// A summary is a copy.
	s.Total.Unknown[usage.Unreported] = 99
	if n := l.Summary().Total.Unknown[usage.Unreported]; n != 1 {
		t.Errorf("unknown %d", n)
	}
}

// Clients choose the callers' names, so they must not fill the memory.
func TestLedgerIsBounded(t *testing.T) {
	t.Parallel()
	l := usage.NewLedger(time.Time{})
	for i := range 1000 {
		l.Add(record(fmt.Sprint(i), nil))
	}
	s := l.Summary()
	if len(s.Callers) != 257 {
		t.Errorf("%d callers", len(s.Callers))
	}
	if c := s.Callers[0]; c.Name != usage.Other || c.Answered != 1000-256 {
		t.Errorf("the rest is %+v", c)
	}
}
