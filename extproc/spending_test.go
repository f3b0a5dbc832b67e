package extproc_test

import (
	"strings"
	"testing"
	"time"

	"wye/extproc"
	"wye/limits"
	"wye/router"
)

// As the budget is used up, modes get thriftier, whatever the client asks for, and
// come back when the day has passed. Every routed request is counted, no refused
// one. See fixedScorer: a call costs $0.0005 to $0.002.
func TestBudgetSteps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	spending := limits.NewSpending(func() time.Time { return now })
	s := testSnapshot(t, "p1")
	for _, name := range []string{"auto", "fixed"} {
		s.Deployment([]byte(name)).Budget = router.Budget{USDPerDay: 10, Balanced: 0.5, Cost: 0.9}
	}
	r := new(router.Router)
	r.Swap(s)
	var last router.Request
	_, conn := start(t, extproc.Config{Router: r, Spending: spending, Observer: extproc.Observer{
		Decision: func(e *extproc.Event) { last = *e.Request },
	}})
	for i, tt := range []struct {
		spend        float64
		header       []string
		mode, budget string
		model        string
	}{
		{0, nil, "quality", "0.00", "large-v1"},
		{5, nil, "balanced", "0.50;mode=balanced", "large-v1"},
		{0, []string{"x-wye-mode", "cost"}, "cost", "0.50", "small-v1"}, // the client is thriftier
		{4, []string{"x-wye-mode", "quality"}, "cost", "0.90;mode=cost", "small-v1"},
		{100, nil, "cost", "10.90;mode=cost", "small-v1"},
	} {
		spending.Add("auto", tt.spend)
		got, err := exchange(t, conn, false, chat(len(question), tt.header...), body(question, true))
		reply := readRouted(t, got, err)
		decision, _ := reply.Metadata["wye"].(map[string]any)
		if decision["mode"] != tt.mode || decision["budget"] != tt.budget || !strings.Contains(reply.Body, tt.model) {
			t.Errorf("request %d: %v, %s", i+1, decision, reply.Body)
		}
	}
	if last.Reserved <= 0 || last.Floor != router.ModeCost {
		t.Errorf("%+v", last)
	}
	used, _ := spending.Level("auto", 1, [2]float64{1, 1})
	if used < 109.0001 || used > 109.01 {
		t.Errorf("$%v counted, want five calls beside $109", used)
	}
	// What cannot be routed costs nothing, and its client sees the budget, too.
	refused := strings.Replace(question, `"auto"`, `"fixed"`, 1)
	got, err := exchange(t, conn, false, chat(len(refused), "x-wye-mode", "quality"), body(refused, true))
	if r := readRefusal(t, got, err); r.Headers["x-wye-budget"] != "0.00" {
		t.Errorf("%+v", r)
	}
	if used, _ := spending.Level("fixed", 1, [2]float64{1, 1}); used != 0 {
		t.Errorf("$%v for a refused request", used)
	}
	// A deployment without a budget is not counted.
	other := strings.Replace(question, `"auto"`, `"single"`, 1)
	got, err = exchange(t, conn, false, chat(len(other)), body(other, true))
	if decision, _ := readRouted(t, got, err).Metadata["wye"].(map[string]any); decision["budget"] != nil {
		t.Errorf("%v", decision)
	}
	now = now.Add(25 * time.Hour)
	got, err = exchange(t, conn, false, chat(len(question)), body(question, true))
	if decision, _ := readRouted(t, got, err).Metadata["wye"].(map[string]any); decision["mode"] != "quality" || decision["budget"] != "0.00" {
		t.Errorf("a day later: %v", decision)
	}
}
