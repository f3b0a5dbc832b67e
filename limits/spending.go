package limits

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"
)

// A day is looked at in quarters of an hour: what is older than a day, to a
// quarter of an hour, no longer counts.
const (
	slot  = 15 * time.Minute
	slots = int64(24 * time.Hour / slot)
)

// stepBack is by how much the share must fall below that from which a step
// applies until it no longer does. Corrections of estimates are far smaller, so
// that they do not move the step to and fro.
const stepBack = 0.05

// Spending counts what names have spent in the last 24 hours, in US dollars. It
// is safe for concurrent use.
type Spending struct {
	now func() time.Time

	mu       sync.Mutex
	accounts map[string]*account
	changes  int64
}

// account is the spending of one name: by slot, of which newest is the last one.
type account struct {
	usd    [slots]float64
	newest int64 // slots since the epoch
	total  float64
	step   int
}

// NewSpending returns a Spending that knows of none. now is the clock; nil: the
// system's.
func NewSpending(now func() time.Time) *Spending {
	if now == nil {
		now = time.Now
	}
	return &Spending{now: now, accounts: make(map[string]*account)}
}

// Add counts usd to what name has spent; below 0 it takes back what an estimate
// had too much. Names are kept for ever, so they must come from a policy.
func (s *Spending) Add(name string, usd float64) {
	if math.IsNaN(usd) || math.IsInf(usd, 0) || usd == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(name)
	a.usd[a.newest%slots] += usd
	a.total += usd
	s.changes++
}

// Level returns what share of a day's budget, in US dollars, name has spent in
// the last 24 hours, and how many of the shares in from, which ascend, that has
// reached. A share once reached counts until the spending is stepBack below it.
func (s *Spending) Level(name string, budget float64, from [2]float64) (used float64, step int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.account(name)
	used = max(a.total, 0) / budget
	for i, share := range from {
		if used >= share || a.step > i && used >= share-stepBack {
			step = i + 1
		}
	}
	a.step = step
	return used, step
}

// account returns the account of name as of now. s.mu is held.
func (s *Spending) account(name string) *account {
	at := s.now().UnixNano() / int64(slot)
	a := s.accounts[name]
	if a == nil {
		a = &account{newest: at}
		s.accounts[name] = a
	}
	if at > a.newest { // a clock that goes back changes nothing
		for i := max(a.newest+1, at-slots+1); i <= at; i++ {
			a.usd[i%slots] = 0
		}
		a.newest = at
		a.total = 0
		for _, usd := range a.usd { // anew, so that rounding does not add up
			a.total += usd
		}
	}
	return a
}

// saved is an account in a file.
type saved struct {
	Newest int64     `json:"newest"` // quarters of an hour since 1970
	USD    []float64 `json:"usd"`    // the newest first, without the zeros at the end
	Step   int       `json:"step"`
}

// MarshalJSON implements json.Marshaler.
func (s *Spending) MarshalJSON() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]saved, len(s.accounts))
	for name := range s.accounts {
		a := s.account(name)
		out := saved{Newest: a.newest, Step: a.step, USD: []float64{}}
		last := 0
		for i := range slots {
			usd := a.usd[(a.newest-i+slots)%slots]
			out.USD = append(out.USD, usd)
			if usd != 0 {
				last = len(out.USD)
			}
		}
		out.USD = out.USD[:last]
		all[name] = out
	}
	return json.Marshal(all)
}

// UnmarshalJSON implements json.Unmarshaler: it replaces what s knows.
func (s *Spending) UnmarshalJSON(b []byte) error {
	var all map[string]saved
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	accounts := make(map[string]*account, len(all))
	for name, in := range all {
		if in.Newest < slots || int64(len(in.USD)) > slots || in.Step < 0 || in.Step > 2 {
			return fmt.Errorf("spending of %q: no such slot or step", name)
		}
		a := &account{newest: in.Newest, step: in.Step}
		for i, usd := range in.USD {
			a.usd[(a.newest-int64(i))%slots] = usd
			a.total += usd
		}
		accounts[name] = a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts = accounts
	return nil
}

// Changes counts the calls of Add that changed something.
func (s *Spending) Changes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}
