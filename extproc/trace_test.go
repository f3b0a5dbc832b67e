package extproc_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/extproc"
	"wye/router"
)

// decisionTrace is what clients read, declared here by its documentation.
type decisionTrace struct {
	Details struct {
		Router struct {
			Mode    string `json:"mode"`
			Routing []struct {
				LatencyMS float64             `json:"latency_ms"`
				Attempts  []map[string]string `json:"attempts"`
			} `json:"routing_trace"`
			Decision, Deployment, Policy, Predictor string
			Rate                                    float64
			Candidates                              []map[string]any
			Omitted                                 int
		} `json:"model_router_details"`
	} `json:"model_selection_details"`
}

func readTrace(t *testing.T, text any) decisionTrace {
	t.Helper()
	s, _ := text.(string)
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		t.Fatalf("%q cannot be a header", s)
	}
	var out decisionTrace
	if err := json.Unmarshal([]byte(s), &out); err != nil {
		t.Fatalf("trace %q: %v", s, err)
	}
	return out
}

func TestTrace(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	const plain = `{"model":"auto","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]`
	for _, tt := range []struct {
		name, body string
		headers    []string
		want       bool
	}{
		{"not asked", plain + `}`, nil, false},
		{"asked by header", plain + `}`, []string{"x-wye-trace", " True "}, true},
		{"asked by body", plain + `,"routing_config":{"trace":true}}`, nil, true},
		{"declined", plain + `}`, []string{"x-wye-trace", "false"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			replies, err := exchange(t, conn, true, chat(len(tt.body), tt.headers...), body(tt.body, true))
			decision, _ := readRouted(t, replies, err).Metadata["wye"].(map[string]any)
			text, there := decision["trace"]
			if there != tt.want {
				t.Fatalf("trace %v", text)
			}
			if !there {
				return
			}
			got := readTrace(t, text).Details.Router
			if got.Mode != "quality" || got.Deployment != "auto" || got.Decision != "id-1" || got.Policy != "p1" || got.Predictor != "fixed" || got.Omitted != 0 {
				t.Errorf("%+v", got)
			}
			if len(got.Routing) != 1 || got.Routing[0].LatencyMS <= 0 {
				t.Fatalf("routing_trace %+v", got.Routing)
			}
			if diff := cmp.Diff([]map[string]string{{"model": "large-v1", "backend": "l1", "zone": "eu"}}, got.Routing[0].Attempts); diff != "" {
				t.Error(diff)
			}
			if len(got.Candidates) != 2 {
				t.Fatalf("candidates %v", got.Candidates)
			}
			best, out := got.Candidates[0], got.Candidates[1]
			if best["model"] != "large" || best["quality"] != 0.6 || best["output_tokens"] != 100.0 || best["cost_usd"] == nil || best["reason"] != nil {
				t.Errorf("%v", best)
			}
			if diff := cmp.Diff(map[string]any{"model": "small", "reason": "lacks a capability", "lacks": "tools"}, out); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("no candidate", func(t *testing.T) {
		t.Parallel()
		text := `{"model":"single","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]}`
		replies, err := exchange(t, conn, true, chat(len(text), "x-wye-trace", "1"), body(text, true))
		got := readRefusal(t, replies, err)
		r := readTrace(t, got.Headers["x-wye-trace"]).Details.Router
		if got.Status != 400 || len(r.Candidates) != 1 || len(r.Routing[0].Attempts) != 0 {
			t.Errorf("status %d, %+v", got.Status, r)
		}
	})
	t.Run("no decision", func(t *testing.T) {
		t.Parallel()
		const text = `{"model":"nobody","messages":[{"role":"user","content":"hi"}]}`
		replies, err := exchange(t, conn, true, chat(len(text), "x-wye-trace", "1"), body(text, true))
		if got := readRefusal(t, replies, err); got.Status != 404 || got.Headers["x-wye-trace"] != "" {
			t.Errorf("status %d, headers %v", got.Status, got.Headers)
		}
	})
	t.Run("neither true nor false", func(t *testing.T) {
		t.Parallel()
		replies, err := exchange(t, conn, true, chat(len(question), "x-wye-trace", "maybe"), body(question, true))
		if got := readRefusal(t, replies, err); got.Status != 400 || !strings.Contains(got.Body, "invalid_value") {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
	})
}

// The header stays within its bound whatever the policy holds, and says what it
// left out.
func TestTraceIsBounded(t *testing.T) {
	t.Parallel()
	c := router.Config{Hash: "p1"}
	d := router.Deployment{
		Name: "auto", Mode: router.ModeQuality, AllowedModes: router.ModeSet(0).With(router.ModeQuality), MaxAttempts: router.MaxChain,
		Scorer: fixedScorer{},
	}
	for i := range router.MaxSubset {
		name := fmt.Sprintf("%0100d", i)
		c.Models = append(c.Models, router.Model{Name: name, ServedAs: name})
		c.Backends = append(c.Backends, router.Backend{Name: name[60:], Model: router.ModelIndex(i), SendAs: "x", Zone: "eu"})
		d.Subset = append(d.Subset, router.ModelIndex(i))
	}
	c.Deployments = []router.Deployment{d}
	s, err := router.NewSnapshot(c)
	if err != nil {
		t.Fatal(err)
	}
	r := new(router.Router)
	r.Swap(s)
	_, conn := start(t, extproc.Config{Router: r})
	replies, err := exchange(t, conn, true, chat(len(question), "x-wye-trace", "true"), body(question, true))
	decision, _ := readRouted(t, replies, err).Metadata["wye"].(map[string]any)
	text, _ := decision["trace"].(string)
	got := readTrace(t, text).Details.Router
	if len(text) > 4096 || len(got.Candidates) == 0 || len(got.Candidates)+got.Omitted != router.MaxSubset {
		t.Errorf("%d bytes, %d candidates, %d omitted", len(text), len(got.Candidates), got.Omitted)
	}
	if len(got.Routing[0].Attempts) != router.MaxChain {
		t.Errorf("%d attempts", len(got.Routing[0].Attempts))
	}
}
