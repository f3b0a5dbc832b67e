package e2e_test

import (
	"encoding/hex"
	"fmt"
	"testing"

	"wye/e2e/internal/rig"
	"wye/internal/collector"
)

// Each request is a span in the client's trace, with what it came to, and the
// provider gets the client's traceparent as it was; metrics say the same.
func TestOpenTelemetry(t *testing.T) {
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "500")
	c := collector.Start(t)
	s := rig.Start(t, rig.Options{Args: []string{"--otlp-endpoint", c.GRPC, "--otlp-protocol", "grpc"}})
	const trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	var decisions []string
	const requests = 6
	for i := range requests {
		id, body, want := rig.ID(), rig.Chat("any-order", fmt.Sprint("Say ", i)), 200
		failing := "large-us=503"
		if i == requests-1 {
			failing, want = "*=503", 503
		} else if i%2 == 1 {
			body = append(body[:len(body)-1], `,"stream":true,"stream_options":{"include_usage":true}}`...)
		}
		got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failing, "traceparent", "00-"+trace+"-"+parent+"-01")
		if got.Status != want {
			t.Fatalf("status %d: %s", got.Status, got.Body)
		}
		decisions = append(decisions, got.Header.Get("x-wye-decision"))
		for _, seen := range s.Find(id) {
			if h := seen.Header.Get("traceparent"); h != "00-"+trace+"-"+parent+"-01" {
				t.Errorf("the provider got traceparent %q", h)
			}
		}
	}
	told, _ := s.Told()
	spans := map[string]map[string]string{}
	rig.Eventually(t, rig.Patience, "every span and measurement arrives", func() (bool, string) {
		for _, span := range c.Spans() {
			if hex.EncodeToString(span.GetTraceId()) == trace && hex.EncodeToString(span.GetParentSpanId()) == parent {
				a := collector.Attributes(span.GetAttributes())
				spans[a["wye.decision.id"]] = a
			}
		}
		_, output := c.Histogram("gen_ai.client.token.usage", "output")
		return len(spans) == requests && output == float64(told.Completion), fmt.Sprintf("%d spans, %v of %d output tokens", len(spans), output, told.Completion)
	})
	for i, decision := range decisions {
		a := spans[decision]
		if a["gen_ai.request.model"] != "any-order" || a["wye.deployment"] != "any-order" || a["wye.attempts"] == "" {
			t.Errorf("request %d: span %v", i, a)
		}
		if i == requests-1 {
			if a["error.type"] != "503" || a["http.response.status_code"] != "503" || a["gen_ai.usage.input_tokens"] != "" {
				t.Errorf("the failure: span %v", a)
			}
			continue
		}
		if a["gen_ai.response.model"] != rig.ServedAs[a["wye.model"]] || a["gen_ai.usage.output_tokens"] == "" || a["wye.cost_usd"] == "" || a["wye.backend"] == "" {
			t.Errorf("request %d: span %v", i, a)
		}
	}
	if n, _ := c.Histogram("gen_ai.server.time_to_first_token", ""); n < 2 {
		t.Errorf("%d times to the first token", n)
	}
	if n, _ := c.Histogram("gen_ai.server.request.duration", "503"); n != 1 {
		t.Errorf("%d durations of failures", n)
	}
}
