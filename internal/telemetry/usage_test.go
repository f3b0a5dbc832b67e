package telemetry_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"wye/internal/otlp"
	"wye/internal/telemetry"
	"wye/usage"
)

func usageMetrics() (*telemetry.Metrics, *telemetry.Usage) {
	m := newMetrics()
	return m, m.NewUsage(telemetry.UsageSources{
		Sink: func() usage.Counts { return usage.Counts{Entries: 7, Undecided: 6, Pending: 5, Crowded: 4, Expired: 3} },
		Log:  func() usage.LogCounts { return usage.LogCounts{Written: 8, Dropped: 9, Failed: 10} },
		OTLP: func() otlp.Counts { return otlp.Counts{Sent: 11, Dropped: 12, Failed: 13} },
	})
}

func served(edit func(*usage.Record)) *usage.Record {
	cost, single, top := 1.0, 4.0, 2.0
	r := &usage.Record{
		Deployment: "chat", Status: 200, Attempts: 2, Stream: true, Served: &usage.Place{Model: "small", Version: "small-1", Zone: "eu"},
		Usage:   &usage.Tokens{Prompt: 100, Cached: 40, Completion: 11, Reasoning: 1},
		CostUSD: &cost, SingleUSD: &single, TopUSD: &top, FirstSeconds: 0.5, TotalSeconds: 1.5,
	}
	if edit != nil {
		edit(r)
	}
	return r
}

func TestUsage(t *testing.T) {
	t.Parallel()
	m, u := usageMetrics()
	u.Add(served(nil))
	u.Add(served(func(r *usage.Record) { r.CostUSD, r.SingleUSD, r.TopUSD, r.Stream = nil, nil, nil, false }))
	u.Add(served(func(r *usage.Record) { r.TopUSD = nil }))
	u.Add(served(func(r *usage.Record) { r.Usage, r.Unknown = nil, usage.Unreported }))
	u.Add(&usage.Record{Deployment: "chat", Status: 400, Unknown: usage.NoAnswer})
	want := `
# HELP wye_attempts_total Attempts of requests that are over.
# TYPE wye_attempts_total counter
wye_attempts_total{deployment="chat"} 8
# HELP wye_compared_cost_dollars_total What they did cost, over the requests in the two metrics of what they would have cost.
# TYPE wye_compared_cost_dollars_total counter
wye_compared_cost_dollars_total{deployment="chat"} 1
# HELP wye_cost_dollars_total What the reported tokens cost by the catalog, in US dollars.
# TYPE wye_cost_dollars_total counter
wye_cost_dollars_total{deployment="chat",model="small",zone="eu"} 2
# HELP wye_decision_log_records_total Records for the decision log, by result.
# TYPE wye_decision_log_records_total counter
wye_decision_log_records_total{result="dropped"} 9
wye_decision_log_records_total{result="failed"} 10
wye_decision_log_records_total{result="written"} 8
# HELP wye_otlp_spans_total Spans for the OpenTelemetry collector, by result.
# TYPE wye_otlp_spans_total counter
wye_otlp_spans_total{result="dropped"} 12
wye_otlp_spans_total{result="failed"} 13
wye_otlp_spans_total{result="sent"} 11
# HELP wye_requests_total Requests that are over, by deployment and the status that the client got; 0: none.
# TYPE wye_requests_total counter
wye_requests_total{deployment="chat",status="200"} 4
wye_requests_total{deployment="chat",status="400"} 1
# HELP wye_single_model_cost_dollars_total What the same tokens would have cost at the deployment's best single model.
# TYPE wye_single_model_cost_dollars_total counter
wye_single_model_cost_dollars_total{deployment="chat"} 4
# HELP wye_tokens_total Tokens that providers reported; cached is part of prompt, reasoning of completion.
# TYPE wye_tokens_total counter
wye_tokens_total{deployment="chat",model="small",type="cached",zone="eu"} 120
wye_tokens_total{deployment="chat",model="small",type="completion",zone="eu"} 33
wye_tokens_total{deployment="chat",model="small",type="prompt",zone="eu"} 300
wye_tokens_total{deployment="chat",model="small",type="reasoning",zone="eu"} 3
# HELP wye_top_model_cost_dollars_total What the same tokens would have cost at each prompt's best model by predicted quality.
# TYPE wye_top_model_cost_dollars_total counter
wye_top_model_cost_dollars_total{deployment="chat"} 2
# HELP wye_unknown_usage_total Answers whose usage is not known, by reason; they are in no sum of tokens or cost.
# TYPE wye_unknown_usage_total counter
wye_unknown_usage_total{deployment="chat",reason="unreported"} 1
# HELP wye_unpriced_usage_total Answers with known usage and without a known price.
# TYPE wye_unpriced_usage_total counter
wye_unpriced_usage_total 1
# HELP wye_usage_entries_total Access log entries received.
# TYPE wye_usage_entries_total counter
wye_usage_entries_total 7
# HELP wye_usage_lost_total Decisions forgotten before their end was reported, by reason.
# TYPE wye_usage_lost_total counter
wye_usage_lost_total{reason="crowded"} 4
wye_usage_lost_total{reason="expired"} 3
# HELP wye_usage_pending Requests that were decided and whose end is not reported.
# TYPE wye_usage_pending gauge
wye_usage_pending 5
# HELP wye_usage_undecided_total Access log entries whose decision was not known.
# TYPE wye_usage_undecided_total counter
wye_usage_undecided_total 6
`
	var names []string
	for line := range strings.Lines(want) {
		if after, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(after, " ")
			names = append(names, name)
		}
	}
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	want = `
# HELP gen_ai_server_time_per_output_token_seconds Time per output token after a stream's first byte.
# TYPE gen_ai_server_time_per_output_token_seconds histogram
`
	for _, le := range []string{"0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2", "0.3", "0.4", "0.5", "0.75", "1", "2.5", "+Inf"} {
		n := "2" // the two streams with usage: a second for ten tokens
		if le < "0.1" {
			n = "0"
		}
		if le == "+Inf" {
			n = "2"
		}
		want += `gen_ai_server_time_per_output_token_seconds_bucket{gen_ai_operation_name="chat",gen_ai_request_model="chat",gen_ai_response_model="small-1",le="` + le + `"} ` + n + "\n"
	}
	for _, suffix := range []string{"sum", "count"} {
		n := map[string]string{"sum": "0.2", "count": "2"}[suffix]
		want += `gen_ai_server_time_per_output_token_seconds_` + suffix + `{gen_ai_operation_name="chat",gen_ai_request_model="chat",gen_ai_response_model="small-1"} ` + n + "\n"
	}
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), "gen_ai_server_time_per_output_token_seconds"); err != nil {
		t.Error(err)
	}
	for name, n := range map[string]int{"gen_ai_client_token_usage": 2, "gen_ai_server_request_duration_seconds": 1, "gen_ai_server_time_to_first_token_seconds": 1} {
		if got, err := testutil.GatherAndCount(m.Registry, name); err != nil || got != n {
			t.Errorf("%s: %d series, %v", name, got, err)
		}
	}
}

func TestUsageNames(t *testing.T) {
	t.Parallel()
	m, u := usageMetrics()
	u.Add(served(nil))
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "wye_") || strings.HasPrefix(p.Metric, "gen_ai_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
