package rig

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"wye/internal/fakeprovider"
)

// Totals are sums of Wye's ledger, as far as tests need them.
type Totals struct {
	Name       string           `json:"name"`
	Requests   int64            `json:"requests"`
	Answered   int64            `json:"answered"`
	Unanswered int64            `json:"unanswered"`
	Unknown    map[string]int64 `json:"unknown"`
	Attempts   int64            `json:"attempts"`
	Prompt     int64            `json:"prompt"`
	Cached     int64            `json:"cached"`
	Completion int64            `json:"completion"`
	Reasoning  int64            `json:"reasoning"`
	CostUSD    float64          `json:"cost_usd"`
	SavedVsTop float64          `json:"saved_vs_top_usd"`
	Unpriced   int64            `json:"unpriced"`
}

// Told is what answers with known usage used.
func (t *Totals) Told() fakeprovider.Told {
	return fakeprovider.Told{
		Answers: t.Answered, Prompt: t.Prompt, Cached: t.Cached, Completion: t.Completion, Reasoning: t.Reasoning,
	}
}

// Usage is Wye's ledger.
type Usage struct {
	Total                               Totals
	Deployments, Models, Zones, Callers []Totals
}

// Usage asks Wye's admin page.
func (s *Stack) Usage(t testing.TB) Usage {
	t.Helper()
	got, err := Do(t.Context(), s.admin, http.MethodGet, "http://wye/usage", nil)
	if err != nil {
		t.Fatal(err)
	}
	var u Usage
	if err := json.Unmarshal(got.Body, &u); err != nil || got.Status != http.StatusOK {
		t.Fatalf("usage: status %d, %v: %s", got.Status, err, got.Body)
	}
	return u
}

// Metrics returns Wye's metrics as text.
func (s *Stack) Metrics(t testing.TB) string {
	t.Helper()
	got, err := Do(t.Context(), s.admin, http.MethodGet, "http://wye/metrics", nil)
	if err != nil || got.Status != http.StatusOK {
		t.Fatalf("metrics: status %d, %v", got.Status, err)
	}
	return string(got.Body)
}

// Told sums up what the providers said that complete answers used, and how many
// complete answers said nothing.
func (s *Stack) Told() (told fakeprovider.Told, untold int64) {
	for _, p := range s.all() {
		st := p.fake.Stats()
		told.Answers += st.Told.Answers
		told.Prompt += st.Told.Prompt
		told.Cached += st.Told.Cached
		told.Completion += st.Told.Completion
		told.Reasoning += st.Told.Reasoning
		untold += st.Untold
	}
	return told, untold
}

// Stat sums up Envoy's counters whose names end in suffix.
func (s *Stack) Stat(t testing.TB, suffix string) int {
	t.Helper()
	sum := 0
	for name, value := range s.stats(t, suffix+"$") {
		if strings.HasSuffix(name, suffix) {
			sum += value
		}
	}
	return sum
}

// DecisionRecord is a line of the decision log, as far as tests need it.
type DecisionRecord struct {
	Decision   string   `json:"decision"`
	Deployment string   `json:"deployment"`
	Mode       string   `json:"mode"`
	Policy     string   `json:"policy"`
	Caller     string   `json:"caller"`
	Trace      string   `json:"traceparent"`
	Status     int      `json:"status"`
	Details    string   `json:"details"`
	Flags      []string `json:"flags"`
	Attempts   int      `json:"attempts"`
	Served     *struct {
		Model, Version, Backend, Zone string
	} `json:"served"`
	Usage        *struct{ Prompt, Cached, Completion, Reasoning int64 } `json:"usage"`
	Unknown      string                                                 `json:"usage_unknown"`
	CostUSD      *float64                                               `json:"cost_usd"`
	TopUSD       *float64                                               `json:"top_usd"`
	FirstSeconds float64                                                `json:"first_byte_seconds"`
	TotalSeconds float64                                                `json:"total_seconds"`
	Candidates   []struct{ Model, Eliminated string }                   `json:"candidates"`
	Chain        []struct{ Backend string }                             `json:"chain"`
	Line         string                                                 `json:"-"`
}

// ReadDecisions reads a decision log.
func ReadDecisions(t testing.TB, path string) []DecisionRecord {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []DecisionRecord
	for line := range bytes.Lines(text) {
		var r DecisionRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("decision log: %v: %s", err, line)
		}
		r.Line = string(line)
		all = append(all, r)
	}
	return all
}
