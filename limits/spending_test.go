package limits_test

import (
	"encoding/json"
	"math"
	"sync"
	"testing"
	"time"

	"wye/limits"
)

var shares = [2]float64{0.5, 0.9}

// spending returns a Spending with a clock of its own, on the hour.
func spending() (s *limits.Spending, now *time.Time) {
	now = new(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC))
	return limits.NewSpending(func() time.Time { return *now }), now
}

// The step goes up with what is spent and comes back only well below.
func TestSteps(t *testing.T) {
	t.Parallel()
	s, _ := spending()
	for i, tt := range []struct {
		add, used float64
		step      int
	}{
		{0, 0, 0},
		{4.9, 0.49, 0},
		{0.2, 0.51, 1},
		{-0.4, 0.47, 1}, // a correction
		{-0.3, 0.44, 0},
		{0.4, 0.48, 0}, // what was left is not come back to below the share
		{5, 0.98, 2},
		{-0.9, 0.89, 2},
		{-0.6, 0.83, 1},
		{5, 1.33, 2}, // beyond the budget nothing is cut off
		{-20, 0, 0},  // more taken back than was spent is nothing
	} {
		s.Add("a", tt.add)
		if used, step := s.Level("a", 10, shares); math.Abs(used-tt.used) > 1e-9 || step != tt.step {
			t.Errorf("step %d: %v used, step %d, want %v and %d", i, used, step, tt.used, tt.step)
		}
	}
	if used, step := s.Level("b", 10, shares); used != 0 || step != 0 {
		t.Errorf("another name: %v, %d", used, step)
	}
	s.Add("b", math.NaN())
	s.Add("b", math.Inf(1))
	if used, _ := s.Level("b", 10, shares); used != 0 {
		t.Errorf("no number: %v", used)
	}
}

// After a day nothing is left of what was spent, and not before.
func TestSpendingExpires(t *testing.T) {
	t.Parallel()
	s, now := spending()
	s.Add("a", 1)
	*now = now.Add(12 * time.Hour)
	s.Add("a", 2)
	for _, tt := range []struct {
		after time.Duration
		used  float64
	}{
		{0, 0.3}, {-time.Hour, 0.3}, {12*time.Hour + 44*time.Minute, 0.3}, {16 * time.Minute, 0.2}, {12 * time.Hour, 0}, {1000 * time.Hour, 0},
	} {
		*now = now.Add(tt.after)
		if used, _ := s.Level("a", 10, shares); math.Abs(used-tt.used) > 1e-9 {
			t.Errorf("at %v: %v, want %v", now, used, tt.used)
		}
	}
}

func TestSpendingSaved(t *testing.T) {
	t.Parallel()
	s, now := spending()
	s.Add("a", 1)
	*now = now.Add(time.Hour)
	s.Add("a", 4.2)
	s.Level("a", 10, shares)
	s.Add("a", -0.4) // below the share, but not far enough
	s.Add("b", 0.25)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	again, clock := spending()
	if err := json.Unmarshal(text, again); err != nil {
		t.Fatal(err)
	}
	*clock = now.Add(10 * time.Minute)
	if used, step := again.Level("a", 10, shares); math.Abs(used-0.48) > 1e-9 || step != 1 {
		t.Errorf("%v, %d: %s", used, step, text)
	}
	*clock = now.Add(23 * time.Hour)
	if used, _ := again.Level("a", 10, shares); math.Abs(used-0.38) > 1e-9 {
		t.Errorf("a day after the first was spent: %v: %s", used, text)
	}
}

func TestSpendingRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`[]`, `{"a":1}`, `{"a":{"newest":-1,"usd":[1]}}`, `{"a":{"newest":1900000,"usd":[1],"step":3}}`,
		`{"a":{"newest":1900000,"usd":[1e999]}}`,
	} {
		s, _ := spending()
		if err := json.Unmarshal([]byte(text), s); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func FuzzSpending(f *testing.F) {
	f.Add([]byte(`{"a":{"newest":1993000,"usd":[1,0,2],"step":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := spending()
		if err := json.Unmarshal(b, s); err != nil {
			return
		}
		s.Add("a", 1)
		if used, step := s.Level("a", 10, shares); math.IsNaN(used) || used < 0 || step < 0 || step > 2 {
			t.Errorf("%v, %d", used, step)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	})
}

func TestSpendingConcurrently(t *testing.T) {
	t.Parallel()
	s, _ := spending()
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 1000 {
				s.Add("a", 0.001)
				s.Level("a", 10, shares)
			}
		})
	}
	running.Wait()
	if used, step := s.Level("a", 10, shares); math.Abs(used-0.8) > 1e-9 || step != 1 || s.Changes() != 8000 {
		t.Errorf("%v, %d after %d", used, step, s.Changes())
	}
}

func TestSpendingDoesNotAllocate(t *testing.T) {
	s, now := spending()
	use := func() {
		*now = now.Add(time.Minute)
		s.Add("a", 0.01)
		s.Level("a", 10, shares)
	}
	use()
	if n := testing.AllocsPerRun(100, use); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
