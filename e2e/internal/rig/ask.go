package rig

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

// Post sends body as a chat completion; no response is a failure. Headers are
// name, value, name, value.
func (s *Stack) Post(t testing.TB, body []byte, headers ...string) Response {
	t.Helper()
	got, err := Post(t.Context(), s.Client, s.URL, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Do sends any request to Envoy's listener; no response is a failure.
func (s *Stack) Do(t testing.TB, method, path string, body io.Reader, headers ...string) Response {
	t.Helper()
	got, err := Do(t.Context(), s.Client, method, s.URL+path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// PolicyHash returns the policy under which requests are decided.
func (s *Stack) PolicyHash(t testing.TB) string {
	t.Helper()
	return s.Post(t, Chat("short-context", "hi")).Header.Get("x-wye-policy")
}

// Explanation is what wye explain --json prints, as far as tests need it.
type Explanation struct {
	Policy     string  `json:"policy"`
	Mode       string  `json:"mode"`
	Band       float64 `json:"band"`
	Rate       float64 `json:"rate"`
	Session    string  `json:"session"`
	Tokens     int     `json:"prompt_tokens"`
	Candidates []struct {
		Model      string  `json:"model"`
		Quality    float64 `json:"quality"`
		CostUSD    float64 `json:"cost_usd"`
		Eliminated string  `json:"eliminated"`
	} `json:"candidates"`
	Chain []struct {
		Model   string `json:"model"`
		Backend string `json:"backend"`
		Zone    string `json:"zone"`
	} `json:"chain"`
}

// Explain asks the command line, not the running Wye, how body would be routed.
// more are further arguments.
func (s *Stack) Explain(t testing.TB, body []byte, mode string, more ...string) Explanation {
	t.Helper()
	path := filepath.Join(t.TempDir(), "request.json")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"explain", "--json", "--policy", s.PolicyPath}
	if mode != "" {
		args = append(args, "--mode", mode)
	}
	args = append(args, more...)
	var e Explanation
	text := Output(t, append(args, path)...)
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("wye explain: %v: %s", err, text)
	}
	if len(e.Chain) == 0 || len(e.Candidates) == 0 {
		t.Fatalf("wye explain has no chain: %s", text)
	}
	return e
}

// Public returns everything that Wye and Envoy tell an operator, by where: their
// logs and their admin pages.
func (s *Stack) Public(t testing.TB) map[string]string {
	t.Helper()
	public := map[string]string{"Wye's log": s.Wye.Output(), "Envoy's log": s.envoy.LogTail()}
	for _, path := range []string{"/healthz", "/metrics", "/policy", "/envoys"} {
		got, err := Do(t.Context(), s.admin, http.MethodGet, "http://wye"+path, nil)
		if err != nil || got.Status != http.StatusOK {
			t.Fatalf("%s: status %d, %v", path, got.Status, err)
		}
		public["Wye's "+path] = string(got.Body)
	}
	for _, path := range []string{"/config_dump?include_eds", "/clusters?format=json", "/stats", "/listeners?format=json", "/server_info"} {
		text, err := s.envoy.Admin(t.Context(), http.MethodGet, path)
		if err != nil {
			t.Fatal(err)
		}
		public["Envoy's "+path] = string(text)
	}
	return public
}

// PolicyStatus is what Wye's admin page says of its policy.
type PolicyStatus struct {
	Hash     string `json:"hash"`
	Reloads  int    `json:"reloads"`
	Failures int    `json:"failures"`
	Refused  string `json:"refused"`
}

// PolicyStatus asks the admin page.
func (s *Stack) PolicyStatus(t testing.TB) PolicyStatus {
	t.Helper()
	got, err := Do(t.Context(), s.admin, http.MethodGet, "http://wye/policy", nil)
	if err != nil {
		t.Fatal(err)
	}
	var status PolicyStatus
	if err := json.Unmarshal(got.Body, &status); err != nil || got.Status != http.StatusOK {
		t.Fatalf("admin page: status %d, %v: %s", got.Status, err, got.Body)
	}
	return status
}

// ExtProc counts what Envoy's ext_proc filter did.
type ExtProc struct {
	Streams  int // opened
	Failed   int
	Sent     int // messages to Wye
	Received int // messages from Wye
}

// ExtProc returns the counts of the listener's filter so far.
func (s *Stack) ExtProc(t testing.TB) ExtProc {
	t.Helper()
	stats := s.stats(t, `ext_proc\.`)
	sum := func(suffix string) int {
		total := 0
		for name, value := range stats {
			if strings.HasPrefix(name, "http.") && strings.HasSuffix(name, "."+suffix) {
				total += value
			}
		}
		return total
	}
	return ExtProc{
		Streams: sum("streams_started"), Failed: sum("streams_failed"),
		Sent: sum("stream_msgs_sent"), Received: sum("stream_msgs_received"),
	}
}

// Updates returns how many updates over xDS Envoy took and refused.
func (s *Stack) Updates(t testing.TB) (taken, refused int) {
	t.Helper()
	for name, value := range s.stats(t, `update_(success|rejected)$`) {
		switch {
		case strings.HasSuffix(name, "update_success"):
			taken += value
		case strings.HasSuffix(name, "update_rejected"):
			refused += value
		}
	}
	return taken, refused
}

// Clusters returns the names of Envoy's clusters that contain part.
func (s *Stack) Clusters(t testing.TB, part string) []string {
	t.Helper()
	text, err := s.envoy.Admin(t.Context(), http.MethodGet, "/clusters?format=json")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range gjson.GetBytes(text, "cluster_statuses.#.name").Array() {
		if strings.Contains(name.String(), part) {
			names = append(names, name.String())
		}
	}
	return names
}

// stats returns Envoy's counters and gauges whose names match.
func (s *Stack) stats(t testing.TB, pattern string) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	text, err := s.envoy.Admin(ctx, http.MethodGet, "/stats?filter="+pattern)
	if err != nil {
		t.Fatal(err)
	}
	stats := map[string]int{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); err == nil { // histograms are no numbers
			stats[name] = n
		}
	}
	return stats
}
