package e2e_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
	"wye/internal/fakeprovider"
)

// prices of the rig's policy, US dollars per million tokens: input, cached input,
// output.
var prices = map[string][3]float64{
	"large": {2, 0.5, 8}, "medium": {0.4, 0.1, 1.6}, "small": {0.1, 0.025, 0.4}, "thinker": {1.1, 0.275, 4.4},
}

// Whatever mixture of answers, streams, failovers, broken streams and refusals:
// the ledger and the decision log say to the token what the providers say.
func TestUsageReconciles(t *testing.T) {
	logPath := filepath.Join(t.TempDir(), "decisions.log")
	s := rig.Start(t, rig.Options{Args: []string{"--decision-log", logPath}})
	client := rig.NewClient(t)
	type kind struct {
		extra string // of the body
		fail  string // see rig.FailHeader
		model string // deployment; empty: varies
		want  int    // status; 0: the connection breaks
	}
	kinds := []kind{
		{want: 200},
		{extra: `,"stream":true,"stream_options":{"include_usage":true}`, want: 200},
		{extra: `,"stream":true`, want: 200},
		{model: "any-order", fail: "thinker-us=500,large-us=reset,large-eu=reset", want: 200},
		{model: "any-order", fail: "large-us=429,large-eu=503,medium-us=500", extra: `,"stream":true,"stream_options":{"include_usage":true}`, want: 200},
		{model: "refused-first", want: 200},
		{model: "thinking", fail: "*=503", want: 503},
		{model: "nowhere", want: 404},
		{extra: `,"n":3`, want: 200},
	}
	kindOf := func(client, n int) kind {
		if client == 0 { // alone, because Envoy takes a second to close what broke off
			return kind{model: "auto", fail: "*=cut", extra: `,"stream":true`}
		}
		return kinds[(client+n)%len(kinds)]
	}
	before := s.ExtProc(t)
	load := rig.StartLoad(t, 12, 5*time.Millisecond, func(c, n int) (rig.Response, error) {
		k := kindOf(c, n)
		deployment := k.model
		if deployment == "" {
			deployment = []string{"auto", "eu-only", "thinking", "short-context"}[n%4]
		}
		body := rig.Chat(deployment, fmt.Sprintf("Say %d.", n%7)) // some repeat, for the provider's cache
		body = append(body[:len(body)-1], k.extra+"}"...)
		got, err := rig.Post(t.Context(), client, s.URL, body, rig.FailHeader, k.fail, "accept-encoding", "gzip")
		if k.want == 0 {
			return rig.Response{Status: 200}, nil // broken on purpose
		}
		if err == nil && got.Status != k.want {
			err = fmt.Errorf("%+v: status %d", k, got.Status)
		}
		return got, err
	})
	time.Sleep(4 * time.Second)
	outcomes := load.Stop()
	var want struct{ cut, refused, failed int64 }
	for _, bad := range rig.Bad(outcomes, 200, 404, 503) {
		t.Error(bad)
	}
	perClient := map[int]int{}
	for _, o := range outcomes {
		switch kindOf(o.Client, perClient[o.Client]).want {
		case 0:
			want.cut++
		case 404:
			want.refused++
		case 503:
			want.failed++
		}
		perClient[o.Client]++
	}
	told, untold := s.Told()
	var u rig.Usage
	rig.Eventually(t, 10*time.Second, "the ledger has every request", func() (bool, string) {
		u = s.Usage(t)
		known := told.Answers + untold + want.cut + want.refused + want.failed
		return u.Total.Requests == known, fmt.Sprintf("%d of %d requests: %+v", u.Total.Requests, known, u.Total)
	})
	if got := u.Total.Told(); got != told {
		t.Errorf("the ledger says %+v, the providers say %+v", got, told)
	}
	if got := u.Total.Unknown; got["unreported"] != untold || got["interrupted"] != want.cut || len(got) != 2 {
		t.Errorf("unknown usage %v, want %d unreported and %d interrupted", got, untold, want.cut)
	}
	if n := want.refused + want.failed; u.Total.Unanswered != n {
		t.Errorf("%d unanswered, want %d", u.Total.Unanswered, n)
	}
	if u.Total.Unpriced != 0 {
		t.Errorf("%d answers have no price", u.Total.Unpriced)
	}
	for name, group := range map[string][]rig.Totals{"deployments": u.Deployments, "models": u.Models, "zones": u.Zones, "callers": u.Callers} {
		var sum fakeprovider.Told
		for _, g := range group {
			sum.Answers += g.Answered
			sum.Prompt += g.Prompt
			sum.Cached += g.Cached
			sum.Completion += g.Completion
			sum.Reasoning += g.Reasoning
		}
		if sum != told {
			t.Errorf("%s sum up to %+v, want %+v", name, sum, told)
		}
	}
	checkDecisionLog(t, logPath, u)
	replayed := rig.Output(t, "explain", "--policy", s.PolicyPath, "--record", logPath)
	summary := fmt.Sprintf("%d the same bit for bit, 0 differ, %d not replayed\n", u.Total.Requests-want.refused, want.refused)
	if !strings.HasSuffix(replayed, summary) {
		t.Errorf("the replay of the decision log ends with %q, want %q", replayed[max(0, len(replayed)-200):], summary)
	}
	t.Logf("%d requests: %+v", u.Total.Requests, u.Total)

	// No part of a response went through Wye: a request is two or three messages,
	// and none of them is about the response.
	after := s.ExtProc(t)
	streams := after.Streams - before.Streams
	if n := after.Received - before.Received; n > 2*streams {
		t.Errorf("%d ext_proc messages came back for %d requests", n, streams)
	}
	if n := after.Sent - before.Sent; n > 3*streams {
		t.Errorf("%d ext_proc messages went out for %d requests", n, streams)
	}
	if n := s.Stat(t, "open_telemetry_access_log.wye.logs_dropped"); n != 0 {
		t.Errorf("Envoy dropped %d access log entries", n)
	}
	if n := s.Stat(t, "lua.usage.errors"); n != 0 {
		t.Errorf("the usage filter failed %d times", n)
	}
}

// checkDecisionLog holds the log against the ledger.
func checkDecisionLog(t *testing.T, path string, u rig.Usage) {
	t.Helper()
	var records []rig.DecisionRecord
	rig.Eventually(t, rig.Patience, "the decision log is written", func() (bool, string) {
		records = rig.ReadDecisions(t, path)
		return int64(len(records)) == u.Total.Requests, fmt.Sprintf("%d of %d", len(records), u.Total.Requests)
	})
	var sum rig.Totals
	ids := map[string]bool{}
	for i := range records {
		r := &records[i]
		if ids[r.Decision] {
			t.Errorf("two records of decision %s", r.Decision)
		}
		ids[r.Decision] = true
		sum.Attempts += int64(r.Attempts)
		if r.Policy == "" || !strings.HasPrefix(r.Line, `{"time":"20`) {
			t.Fatalf("record without policy or time: %s", r.Line)
		}
		if strings.Contains(r.Line, "Say ") || strings.Contains(r.Line, "sk-") {
			t.Fatalf("record with a prompt or a key: %s", r.Line)
		}
		if r.Usage == nil {
			if r.Unknown == "" {
				t.Fatalf("record with neither usage nor a reason: %s", r.Line)
			}
			continue
		}
		if r.Served == nil || r.CostUSD == nil || r.TopUSD == nil || len(r.Chain) == 0 || len(r.Candidates) == 0 ||
			r.Served.Version != rig.ServedAs[r.Served.Model] || r.Chain[r.Attempts-1].Backend != r.Served.Backend ||
			r.FirstSeconds <= 0 || r.TotalSeconds < r.FirstSeconds {
			t.Fatalf("incomplete record: %s", r.Line)
		}
		p := prices[r.Served.Model]
		cost := (float64(r.Usage.Prompt-r.Usage.Cached)*p[0] + float64(r.Usage.Cached)*p[1] + float64(r.Usage.Completion)*p[2]) / 1e6
		if math.Abs(cost-*r.CostUSD) > 1e-12 {
			t.Fatalf("cost %v, want %v: %s", *r.CostUSD, cost, r.Line)
		}
		sum.CostUSD += cost
	}
	if math.Abs(sum.CostUSD-u.Total.CostUSD) > 1e-9 || sum.Attempts != u.Total.Attempts {
		t.Errorf("the log sums up to $%v and %d attempts, the ledger to $%v and %d",
			sum.CostUSD, sum.Attempts, u.Total.CostUSD, u.Total.Attempts)
	}
}
