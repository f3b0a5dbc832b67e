package otlp_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	spanv1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"wye/internal/collector"
	"wye/internal/otlp"
	"wye/usage"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00f067aa0ba902b7"
)

func record(edit func(*usage.Record)) *usage.Record {
	cost := 0.25
	r := &usage.Record{
		Time: time.Unix(1_800_000_000, 0), Decision: "abc", Deployment: "chat", Mode: "cost", Policy: "p1", Status: 200, Attempts: 2,
		TraceParent: "00-" + traceID + "-" + parent + "-01", Stream: true,
		Served: &usage.Place{Model: "small", Version: "small-1", Backend: "s", Zone: "eu"},
		Usage:  &usage.Tokens{Prompt: 100, Cached: 40, Completion: 11, Reasoning: 1}, CostUSD: &cost, FirstSeconds: 0.5, TotalSeconds: 1.5,
	}
	if edit != nil {
		edit(r)
	}
	return r
}

func start(t *testing.T, c otlp.Config) *otlp.Exporter {
	t.Helper()
	e, err := otlp.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func stop(t *testing.T, e *otlp.Exporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := e.Shutdown(ctx); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// A span and measurements arrive over either protocol, and the span is a child of
// the client's.
func TestExport(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{otlp.GRPC, otlp.HTTP} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			c := collector.Start(t)
			endpoint := c.HTTP
			if protocol == otlp.GRPC {
				endpoint = c.GRPC
			}
			e := start(t, otlp.Config{Endpoint: endpoint, Protocol: protocol, Version: "1.2.3", Logger: zerolog.Nop()})
			e.Add(record(nil))
			e.Add(record(func(r *usage.Record) { r.TraceParent = "nonsense" }))
			e.Add(record(func(r *usage.Record) { r.TraceParent = "00-" + traceID + "-" + parent + "-00" })) // not sampled
			e.Add(record(func(r *usage.Record) {
				r.Status, r.Served, r.Usage, r.CostUSD, r.Unknown, r.FirstSeconds = 503, nil, nil, nil, usage.NoAnswer, 0
			}))
			stop(t, e)
			if n := e.Counts(); n != (otlp.Counts{Sent: 3}) {
				t.Errorf("counts %+v", n)
			}
			if r := c.Resource(); r["service.name"] != "wye" || r["service.version"] != "1.2.3" {
				t.Errorf("resource %v", r)
			}
			spans := c.Spans()
			if len(spans) != 3 {
				t.Fatalf("%d spans", len(spans))
			}
			s := spans[0]
			if hex.EncodeToString(s.GetTraceId()) != traceID || hex.EncodeToString(s.GetParentSpanId()) != parent || s.GetName() != "chat chat" ||
				s.GetKind() != spanv1.Span_SPAN_KIND_SERVER || s.GetStartTimeUnixNano() != 1_800_000_000e9 || s.GetEndTimeUnixNano()-s.GetStartTimeUnixNano() != 15e8 {
				t.Errorf("span %v", s)
			}
			got := collector.Attributes(s.GetAttributes())
			for key, want := range map[string]string{
				"gen_ai.operation.name": "chat", "gen_ai.request.model": "chat", "gen_ai.response.model": "small-1",
				"gen_ai.usage.input_tokens": "100", "gen_ai.usage.output_tokens": "11", "wye.decision.id": "abc", "wye.model": "small",
				"wye.attempts": "2", "wye.zone": "eu", "wye.backend": "s", "wye.policy": "p1", "wye.cost_usd": "0.25", "http.response.status_code": "200",
			} {
				if got[key] != want {
					t.Errorf("%s is %q, want %q", key, got[key], want)
				}
			}
			if len(spans[1].GetParentSpanId()) != 0 || s.GetStatus().GetCode() == spanv1.Status_STATUS_CODE_ERROR {
				t.Errorf("spans %v, %v", spans[0], spans[1])
			}
			failed := collector.Attributes(spans[2].GetAttributes())
			if spans[2].GetStatus().GetCode() != spanv1.Status_STATUS_CODE_ERROR || failed["error.type"] != "503" || failed["wye.usage.unknown"] != "no_answer" {
				t.Errorf("the failure is %v", spans[2])
			}
			for _, m := range []struct {
				name, match string
				count       uint64
				sum         float64
			}{
				{"gen_ai.client.token.usage", "input", 3, 300},
				{"gen_ai.client.token.usage", "output", 3, 33},
				{"gen_ai.server.request.duration", "", 4, 6},
				{"gen_ai.server.request.duration", "503", 1, 1.5},
				{"gen_ai.server.time_to_first_token", "", 3, 1.5},
				{"gen_ai.server.time_per_output_token", "small-1", 3, 0.3},
			} {
				count, sum := c.Histogram(m.name, m.match)
				if count != m.count || sum < m.sum-1e-9 || sum > m.sum+1e-9 {
					t.Errorf("%s of %q: %d values, sum %v", m.name, m.match, count, sum)
				}
			}
		})
	}
}

// A collector that takes nothing holds nobody up: spans are dropped and counted,
// and the log says so once.
func TestLosses(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lis.Close() }()
	var said bytes.Buffer
	e := start(t, otlp.Config{Endpoint: "http://" + lis.Addr().String(), Protocol: otlp.GRPC, Queue: 4, Timeout: 200 * time.Millisecond, Logger: zerolog.New(&said)})
	begun := time.Now()
	for range 5000 {
		e.Add(record(nil))
	}
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("5000 records took %v", d)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = e.Shutdown(ctx) // fails, as the metrics cannot be sent either
	e.Add(record(nil))
	n := e.Counts()
	if n.Sent != 0 || n.Dropped < 2 || n.Failed < 1 || n.Dropped+n.Failed != 5001 {
		t.Errorf("counts %+v", n)
	}
	if c := strings.Count(said.String(), "spans cannot be sent"); c != 1 {
		t.Errorf("said %d times: %s", c, said.String())
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config otlp.Config
		env    map[string]string
		on     bool
		fault  string
	}{
		{name: "nothing"},
		{name: "flag", config: otlp.Config{Endpoint: "http://127.0.0.1:1"}, on: true},
		{name: "variable", env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, on: true},
		{name: "one signal", env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, on: true},
		{name: "turned off", config: otlp.Config{Endpoint: "http://127.0.0.1:1"}, env: map[string]string{"OTEL_SDK_DISABLED": "true"}},
		{name: "no signal", config: otlp.Config{Endpoint: "http://127.0.0.1:1"}, on: true, env: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}},
		{name: "no URL", config: otlp.Config{Endpoint: "127.0.0.1:1"}, on: true, fault: "such as http://collector:4318"},
		{name: "another scheme", config: otlp.Config{Endpoint: "ftp://x"}, on: true, fault: "such as http://collector:4318"},
		{name: "protocol", config: otlp.Config{Endpoint: "http://127.0.0.1:1", Protocol: "smoke"}, on: true, fault: `"smoke"`},
		{name: "protocol of the environment", config: otlp.Config{Endpoint: "http://127.0.0.1:1"}, env: map[string]string{"OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json"}, on: true, fault: "http/json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			if tt.config.Enabled() != tt.on {
				t.Errorf("enabled %t", !tt.on)
			}
			e, err := otlp.Start(t.Context(), tt.config)
			if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("error %v, want one with %q", err, tt.fault)
			}
			if err == nil {
				ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
				defer cancel()
				_ = e.Shutdown(ctx) // nobody listens
			}
		})
	}
}
