package sidecar

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"wye/internal/telemetry"
	"wye/limits"
	"wye/router"
)

// What was counted to a budget becomes what the request cost, as far as that is
// known.
func TestSettler(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		status         int
		served, tokens bool
		reserved       float64
		spent          float64
	}{
		{"answered", 200, true, true, 0.5, 0.003},
		{"nobody knows", 200, true, false, 0.5, 0.5},
		{"no model answered", 503, true, false, 0.5, 0},
		{"nothing was counted", 200, true, true, 0, 0.5}, // it is another's
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := correctorSnapshot(t)
			s.Models[1].Price = router.Price{Input: 1, Output: 1000} // 2000 tokens and 1: $0.003
			spending := limits.NewSpending(nil)
			spending.Add("d", 0.5)
			account(t, s, router.Request{Deployment: []byte("d"), Reserved: tt.reserved}, servedEntry(tt.status, tt.served, tt.tokens), settler(spending))
			if got, _ := spending.Level("d", 1, [2]float64{1, 1}); got < tt.spent-1e-9 || got > tt.spent+1e-9 {
				t.Errorf("%v spent, want %v", got, tt.spent)
			}
		})
	}
}

// A restart goes on with what the file has, and a bad file stops it.
func TestSpendingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "budget.json")
	first := spendingFile{path: path, spending: limits.NewSpending(nil), log: zerolog.Nop()}
	if err := first.load(); err != nil {
		t.Fatal(err)
	}
	first.spending.Add("d", 2.5)
	if err := first.save(); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.save(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("nothing changed, and the file did: %v", err)
	}
	second := spendingFile{path: path, spending: limits.NewSpending(nil), log: zerolog.Nop()}
	if err := second.load(); err != nil {
		t.Fatal(err)
	}
	if used, _ := second.spending.Level("d", 10, [2]float64{1, 1}); used != 0.25 {
		t.Errorf("%v used, want 0.25", used)
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second.load(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a broken file: %v", err)
	}
	nowhere := spendingFile{path: filepath.Join(path, "x"), spending: limits.NewSpending(nil), log: zerolog.Nop()}
	if err := nowhere.load(); err == nil {
		t.Error("a file that cannot be: no error")
	}
	none := spendingFile{}
	none.run(context.Background()) // returns
	if err := none.save(); err != nil {
		t.Error(err)
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	s := correctorSnapshot(t)
	spending := limits.NewSpending(nil)
	if got := budgets(s, spending); got != nil {
		t.Errorf("without a budget: %v", got)
	}
	s.Deployments[0].Budget = router.Budget{USDPerDay: 10, Balanced: 0.5, Cost: 0.9}
	spending.Add("d", 5)
	want := []telemetry.Budget{{Deployment: "d", USD: 10, Spent: 5, Step: 1}}
	if diff := cmp.Diff(want, budgets(s, spending)); diff != "" {
		t.Error(diff)
	}
}
