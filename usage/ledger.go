package usage

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// Other is the name under which what exceeds a Ledger's bounds is summed.
const Other = "other"

// How many names a Ledger tells apart.
const (
	maxCallers = 256
	maxNames   = 2048 // deployments, models or zones over all policies so far
)

// Totals are sums over requests.
type Totals struct {
	Requests int64 `json:"requests"`
	Answered int64 `json:"answered"` // with usage that is known
	// Unanswered requests were refused or failed; nobody bills them.
	Unanswered int64 `json:"unanswered"`
	// Unknown counts the requests that a model answered and whose usage is not
	// known, by reason. They are in no other sum.
	Unknown  map[Unknown]int64 `json:"unknown,omitempty"`
	Attempts int64             `json:"attempts"`
	Tokens
	CostUSD float64 `json:"cost_usd"`
	// Saved compares what was paid with what the same tokens would have cost at
	// the deployment's best single model, and at the model of the best predicted
	// quality for each prompt; below 0: it would have been cheaper. Over the
	// requests of which both are known.
	SavedVsSingleUSD float64 `json:"saved_vs_single_usd"`
	SavedVsTopUSD    float64 `json:"saved_vs_top_usd"`
	// Unpriced counts the requests with known usage whose policy is forgotten.
	Unpriced int64 `json:"unpriced"`
}

func (t *Totals) add(r *Record) {
	t.Requests++
	t.Attempts += int64(r.Attempts)
	switch {
	case r.Usage != nil:
		t.Answered++
		t.Tokens.add(*r.Usage)
	case r.Unknown == NoAnswer:
		t.Unanswered++
		return
	default:
		if t.Unknown == nil {
			t.Unknown = make(map[Unknown]int64)
		}
		t.Unknown[r.Unknown]++
		return
	}
	if r.CostUSD == nil {
		t.Unpriced++
		return
	}
	t.CostUSD += *r.CostUSD
	if r.SingleUSD != nil {
		t.SavedVsSingleUSD += *r.SingleUSD - *r.CostUSD
	}
	if r.TopUSD != nil {
		t.SavedVsTopUSD += *r.TopUSD - *r.CostUSD
	}
}

// Named are the totals of one name.
type Named struct {
	Name string `json:"name"` // empty: there was none
	Totals
}

// Summary is what a Ledger shows.
type Summary struct {
	Since       time.Time `json:"since"`
	Total       Totals    `json:"total"`
	Deployments []Named   `json:"deployments"`
	Models      []Named   `json:"models"` // that served, by catalog name
	Zones       []Named   `json:"zones"`  // of the backends that served
	Callers     []Named   `json:"callers"`
}

// Ledger sums up records since it was made. It is safe for concurrent use and
// bounded in memory.
type Ledger struct {
	mu          sync.Mutex
	since       time.Time
	total       Totals
	deployments group
	models      group
	zones       group
	callers     group
}

// group is totals by name.
type group struct {
	limit  int
	totals map[string]*Totals
}

func newGroup(limit int) group { return group{limit: limit, totals: make(map[string]*Totals)} }

// add adds r to a name, or to Other.
func (g *group) add(name string, r *Record) {
	t := g.totals[name]
	if t == nil {
		if len(g.totals) >= g.limit {
			name = Other
		}
		if t = g.totals[name]; t == nil {
			t = new(Totals)
			g.totals[name] = t
		}
	}
	t.add(r)
}

// list returns the totals by falling cost, then by name.
func (g *group) list() []Named {
	all := make([]Named, 0, len(g.totals))
	for name, t := range g.totals {
		all = append(all, Named{Name: name, Totals: t.clone()})
	}
	slices.SortFunc(all, func(a, b Named) int {
		return cmp.Or(cmp.Compare(b.CostUSD, a.CostUSD), cmp.Compare(a.Name, b.Name))
	})
	return all
}

func (t *Totals) clone() Totals {
	c := *t
	c.Unknown = make(map[Unknown]int64, len(t.Unknown))
	maps.Copy(c.Unknown, t.Unknown)
	return c
}

// NewLedger returns an empty ledger.
func NewLedger(now time.Time) *Ledger {
	return &Ledger{
		since: now, deployments: newGroup(maxNames), models: newGroup(maxNames), zones: newGroup(maxNames),
		callers: newGroup(maxCallers),
	}
}

// Add adds a record.
func (l *Ledger) Add(r *Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total.add(r)
	l.deployments.add(r.Deployment, r)
	l.callers.add(r.Caller, r)
	if r.Served != nil {
		l.models.add(r.model, r)
		l.zones.add(r.Served.Zone, r)
	}
}

// Summary returns the sums so far.
func (l *Ledger) Summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Summary{
		Since: l.since, Total: l.total.clone(), Deployments: l.deployments.list(), Models: l.models.list(),
		Zones: l.zones.list(), Callers: l.callers.list(),
	}
}
