package e2e_test

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// budgetOf reads x-wye-budget: the share that is spent and the mode, empty unless
// the budget asks for it.
func budgetOf(t *testing.T, got rig.Response) (used float64, mode string) {
	t.Helper()
	share, mode, _ := strings.Cut(got.Header.Get("x-wye-budget"), ";mode=")
	used, err := strconv.ParseFloat(share, 64)
	if err != nil {
		t.Fatalf("status %d, headers %v: %s", got.Status, got.Header, got.Body)
	}
	return used, mode
}

// A deployment on a budget gets thriftier as it spends, and is never cut off; what
// no model answered is not spent.
func testBudget(t *testing.T, s *rig.Stack) {
	long := strings.Repeat("The ledger lists every vessel. ", 800) // some $0.011 at large
	if got := s.Post(t, rig.Chat("on-a-budget", long), rig.FailHeader, "*=503"); got.Status != http.StatusServiceUnavailable {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	// By the metrics: requests that ask would themselves spend.
	spent := regexp.MustCompile(`wye_budget_spent_dollars\{deployment="on-a-budget"\} (\S+)`)
	rig.Eventually(t, 20*time.Second, "what nobody answered is given back", func() (bool, string) {
		found := spent.FindStringSubmatch(s.Public(t)["Wye's /metrics"])
		if found == nil {
			return false, "no metric"
		}
		usd, err := strconv.ParseFloat(found[1], 64)
		return err == nil && usd < 0.001, found[0]
	})
	got := s.Post(t, rig.Chat("on-a-budget", "hi"))
	if used, mode := budgetOf(t, got); used >= 0.3 || mode != "" || got.Header.Get("x-wye-mode") != "quality" {
		t.Errorf("headers %v", got.Header)
	}
	modes := ""
	for range 40 {
		// Anything but the last word of it is the same: that is cached, not free.
		got := s.Post(t, rig.Chat("on-a-budget", rig.ID()+long), "x-wye-mode", "quality")
		if got.Status != http.StatusOK {
			t.Fatalf("status %d, headers %v: %s", got.Status, got.Header, got.Body)
		}
		if _, mode := budgetOf(t, got); !strings.HasSuffix(modes, mode) {
			modes += " " + mode
			if mode != got.Header.Get("x-wye-mode") {
				t.Errorf("headers %v", got.Header)
			}
		}
		if strings.HasSuffix(modes, "cost") {
			break
		}
	}
	if !strings.HasSuffix(modes, "cost") {
		t.Errorf("modes%s", modes)
	}
	if metrics := s.Public(t)["Wye's /metrics"]; !strings.Contains(metrics, `wye_budget_step{deployment="on-a-budget"} 2`) ||
		!strings.Contains(metrics, `wye_budget_dollars{deployment="on-a-budget"} 0.02`) {
		t.Error("the metrics do not say so")
	}
}
