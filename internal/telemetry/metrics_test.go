package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"wye/extproc"
	"wye/internal/telemetry"
	"wye/router"
	"wye/wire"
	"wye/xds"
)

type even struct{}

func (even) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i := range models {
		out[i] = router.Estimate{Quality: 0.5, OutputTokens: 10}
	}
	return 0
}

func (even) Version() string { return "test" }

func newMetrics() *telemetry.Metrics {
	return telemetry.New("v1", telemetry.Sources{
		Policy:    func() (string, int, int) { return "abc", 3, 2 },
		PolicyAge: func() time.Duration { return 90 * time.Second },
		XDS:       func() xds.Counters { return xds.Counters{Streams: 4, Acks: 50, Nacks: 6} },
		Callers:   func() (int, int64) { return 7, 8 },
		Budgets:   func() []telemetry.Budget { return []telemetry.Budget{{Deployment: "chat", USD: 10, Spent: 9, Step: 1}} },
	})
}

func route(t testing.TB, req router.Request) *extproc.Event {
	t.Helper()
	s, err := router.NewSnapshot(router.Config{
		Models:   []router.Model{{Name: "small"}, {Name: "seeing", Capabilities: router.CapVision}},
		Backends: []router.Backend{{Name: "s", Model: 0, Weight: 1}, {Name: "v", Model: 1, Weight: 1}},
		Deployments: []router.Deployment{{
			Name: "chat", Mode: router.ModeCost, AllowedModes: router.ModeSet(0).With(router.ModeCost),
			Subset: []router.ModelIndex{0, 1}, MaxAttempts: 2, Scorer: even{},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := new(router.Decision)
	_ = s.Route(&req, d) // a refusal is what some callers want
	return &extproc.Event{Snapshot: s, Request: &req, Decision: d, BodyBytes: 1000, Elapsed: 30 * time.Microsecond}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	o := m.Observer()
	o.Decision(route(t, router.Request{Deployment: []byte("chat"), Needs: router.CapVision}))
	o.Decision(route(t, router.Request{Deployment: []byte("chat")}))
	o.Problem(route(t, router.Request{Deployment: []byte("chat"), Needs: router.CapAudio}), &wire.Problem{Status: 400, Type: "invalid_request_error", Code: "no_candidate"})
	o.Problem(route(t, router.Request{Deployment: []byte("nope")}), &wire.Problem{Status: 404, Type: "invalid_request_error"})
	o.Problem(&extproc.Event{}, &wire.Problem{Status: 503, Type: "server_error"})
	o.Fallback()
	o.Opening(extproc.OpeningSilent)
	o.Protocol(nil)
	o.Panic()
	want := `
# HELP wye_budget_dollars What a deployment should spend in 24 hours.
# TYPE wye_budget_dollars gauge
wye_budget_dollars{deployment="chat"} 10
# HELP wye_budget_spent_dollars What a deployment has spent in the last 24 hours.
# TYPE wye_budget_spent_dollars gauge
wye_budget_spent_dollars{deployment="chat"} 9
# HELP wye_budget_step What a deployment's budget asks for: 0 nothing, 1 balanced mode at least, 2 cost mode.
# TYPE wye_budget_step gauge
wye_budget_step{deployment="chat"} 1
# HELP wye_build_info Always 1; the label is the version of Wye.
# TYPE wye_build_info gauge
wye_build_info{version="v1"} 1
# HELP wye_decisions_total Requests routed, by deployment, mode and the model of the first attempt.
# TYPE wye_decisions_total counter
wye_decisions_total{deployment="chat",mode="cost",model="seeing"} 1
wye_decisions_total{deployment="chat",mode="cost",model="small"} 1
# HELP wye_eliminations_total Models left out of a decision, by model and reason.
# TYPE wye_eliminations_total counter
wye_eliminations_total{model="seeing",reason="lacks a capability"} 1
wye_eliminations_total{model="small",reason="lacks a capability"} 2
# HELP wye_extproc_protocol_errors_total Streams ended because the ext_proc messages made no sense.
# TYPE wye_extproc_protocol_errors_total counter
wye_extproc_protocol_errors_total 1
# HELP wye_fallback_rewrites_total Bodies rewritten for a retry on another model.
# TYPE wye_fallback_rewrites_total counter
wye_fallback_rewrites_total 1
# HELP wye_first_token_failures_total Answers of status 200 that failed before their first token and were given up for the next backend, by reason.
# TYPE wye_first_token_failures_total counter
wye_first_token_failures_total{reason="silence"} 1
# HELP wye_limited_callers Limits of callers that are held.
# TYPE wye_limited_callers gauge
wye_limited_callers 7
# HELP wye_limited_callers_crowded_total Requests and tokens that were counted to the limit that callers share for whom there is no room.
# TYPE wye_limited_callers_crowded_total counter
wye_limited_callers_crowded_total 8
# HELP wye_panics_total Panics contained to one request; each is a bug.
# TYPE wye_panics_total counter
wye_panics_total 1
# HELP wye_policy_info Always 1; the label is the hash of the policy in force.
# TYPE wye_policy_info gauge
wye_policy_info{policy="abc"} 1
# HELP wye_policy_reloads_total Policy edits, by result.
# TYPE wye_policy_reloads_total counter
wye_policy_reloads_total{result="in_force"} 3
wye_policy_reloads_total{result="refused"} 2
# HELP wye_refusals_total Requests answered with an error by Wye itself, by status and code.
# TYPE wye_refusals_total counter
wye_refusals_total{code="invalid_request_error",status="404"} 1
wye_refusals_total{code="no_candidate",status="400"} 1
wye_refusals_total{code="server_error",status="503"} 1
# HELP wye_snapshot_age_seconds Time since the policy in force came into force.
# TYPE wye_snapshot_age_seconds gauge
wye_snapshot_age_seconds 90
# HELP wye_xds_acks_total Responses that an Envoy acknowledged.
# TYPE wye_xds_acks_total counter
wye_xds_acks_total 50
# HELP wye_xds_nacks_total Responses that an Envoy refused.
# TYPE wye_xds_nacks_total counter
wye_xds_nacks_total 6
# HELP wye_xds_streams ADS streams that are open, one an Envoy.
# TYPE wye_xds_streams gauge
wye_xds_streams 4
`
	names := []string{
		"wye_budget_dollars", "wye_budget_spent_dollars", "wye_budget_step", "wye_build_info", "wye_decisions_total", "wye_eliminations_total", "wye_extproc_protocol_errors_total",
		"wye_fallback_rewrites_total", "wye_first_token_failures_total", "wye_limited_callers", "wye_limited_callers_crowded_total", "wye_panics_total", "wye_policy_info", "wye_policy_reloads_total",
		"wye_refusals_total", "wye_xds_acks_total", "wye_xds_nacks_total", "wye_xds_streams",
	}
	if err := testutil.GatherAndCompare(m.Registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"wye_decision_duration_seconds", "wye_request_body_bytes"} {
		if n, err := testutil.GatherAndCount(m.Registry, name); err != nil || n != 1 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestMetricNames(t *testing.T) {
	t.Parallel()
	m := newMetrics()
	m.Observer().Decision(route(t, router.Request{Deployment: []byte("chat")}))
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "wye_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// go test ./internal/telemetry -bench Decision -benchmem
func BenchmarkDecision(b *testing.B) {
	m := newMetrics()
	o := m.Observer()
	e := route(b, router.Request{Deployment: []byte("chat"), Needs: router.CapVision})
	b.ReportAllocs()
	for b.Loop() {
		o.Decision(e)
	}
}
