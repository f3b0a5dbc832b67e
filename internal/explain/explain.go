// Package explain turns a routing decision into something a person or a script
// can read: every candidate with its figures, every model left out with its
// reason, and the chain of attempts. It only reports; it decides nothing.
package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"wye/router"
)

// Report is one decision. Its JSON form is what wye explain --json prints.
type Report struct {
	Policy     string `json:"policy"`    // snapshot hash
	Predictor  string `json:"predictor"` // version
	Deployment string `json:"deployment"`
	Mode       string `json:"mode"`
	// BudgetUsed is the share of the deployment's budget that is taken to be spent;
	// Stepped: that is why the mode is what it is.
	BudgetUsed   float64  `json:"budget_used,omitempty"`
	Stepped      bool     `json:"mode_by_budget,omitempty"`
	Zone         string   `json:"zone"`
	Band         float64  `json:"band"` // average quality that the mode may give up, see router.Bands
	Rate         float64  `json:"rate"` // quality that a US dollar had to buy on this prompt
	PromptTokens int      `json:"prompt_tokens"`
	OutputCap    int      `json:"output_cap,omitempty"` // tokens
	Needs        []string `json:"needs,omitempty"`
	// Session says what the decision means for its conversation: initialize,
	// retain or switch; empty when affinity is off.
	Affinity   string      `json:"affinity,omitempty"` // strategy
	Session    string      `json:"session,omitempty"`
	Demand     []Demand    `json:"demand,omitempty"`
	Candidates []Candidate `json:"candidates"` // best choice first, then the eliminated
	Chain      []Step      `json:"chain"`
	Error      string      `json:"error,omitempty"` // why there is no chain
}

// Demand is how much a prompt asks for a skill, 0 to 1.
type Demand struct {
	Skill string  `json:"skill"`
	Share float64 `json:"share"`
}

// Candidate is one model of the deployment's subset.
type Candidate struct {
	Model        string  `json:"model"`
	Quality      float64 `json:"quality"`                 // predicted probability of a good answer
	Uncertainty  float64 `json:"uncertainty"`             // standard deviation of quality
	OutputTokens float64 `json:"output_tokens"`           // expected
	CostUSD      float64 `json:"cost_usd"`                // expected
	Net          float64 `json:"net"`                     // quality less cost at the rate: what the order goes by
	Doubtful     bool    `json:"doubtful,omitempty"`      // the prompt is likely to fit its window, but not sure to
	Incumbent    bool    `json:"incumbent,omitempty"`     // the conversation is with this model
	CachedTokens int     `json:"cached_tokens,omitempty"` // of the prompt, expected at the cached price
	Eliminated   string  `json:"eliminated,omitempty"`    // why it cannot serve
	Why          string  `json:"why"`                     // why it stands where it does
	Prior        string  `json:"prior,omitempty"`         // where an untrained model's quality comes from
}

// Step is one attempt.
type Step struct {
	Model   string `json:"model"`
	Backend string `json:"backend"`
	Zone    string `json:"zone"`
}

// New reports on d, the outcome of routing req; routeErr is what Route
// returned. d.Deployment is nil when the deployment does not exist.
func New(d *router.Decision, req *router.Request, routeErr *router.Error) Report {
	r := Report{
		Policy: d.Snapshot.Hash, Deployment: string(req.Deployment), Mode: d.Mode.String(),
		PromptTokens: req.PromptTokens, OutputCap: req.OutputCap, BudgetUsed: req.BudgetUsed, Stepped: d.Stepped,
	}
	if req.Needs != 0 {
		r.Needs = strings.Split(req.Needs.String(), ",")
	}
	if routeErr != nil {
		r.Error = routeErr.Error()
	}
	if d.Deployment == nil {
		return r
	}
	r.Deployment, r.Zone, r.Predictor = d.Deployment.Name, d.Deployment.Zone, d.Deployment.Scorer.Version()
	if c := d.Continuity(); routeErr == nil && c != router.ContinuityNone {
		r.Affinity, r.Session = d.Affinity.String(), c.String()
	}
	r.Band, r.Rate = d.Deployment.Bands.Of(d.Mode), d.Rate
	for i := range d.Candidates {
		c := &d.Candidates[i]
		m := &d.Snapshot.Models[c.Model]
		r.Candidates = append(r.Candidates, Candidate{
			Model: m.Name, Quality: float64(c.Estimate.Quality), Uncertainty: float64(c.Estimate.Uncertainty),
			OutputTokens: float64(c.Estimate.OutputTokens), CostUSD: c.Cost, Net: c.Net,
			Doubtful: c.Doubtful && c.Reason == router.ReasonNone, Incumbent: c.Incumbent, CachedTokens: c.CachedTokens,
			Eliminated: elimination(d, c), Why: why(d, i), Prior: m.Prior,
		})
	}
	for _, s := range d.Chain {
		b := &d.Snapshot.Backends[s.Backend]
		r.Chain = append(r.Chain, Step{Model: d.Snapshot.Models[s.Model].Name, Backend: b.Name, Zone: b.Zone})
	}
	return r
}

func elimination(d *router.Decision, c *router.Candidate) string {
	if c.Reason == router.ReasonProtocol && d.Untranslatable != "" {
		return fmt.Sprintf("%v: %s cannot be translated", c.Reason, d.Untranslatable)
	}
	if c.Lacks != 0 {
		return fmt.Sprintf("%v: %v", c.Reason, c.Lacks)
	}
	return c.Reason.String()
}

// why says in a phrase or two why candidate i stands where it does.
func why(d *router.Decision, i int) string {
	c, place := &d.Candidates[i], standing(d, i)
	switch {
	case c.Reason != router.ReasonNone || !c.Doubtful:
		return place
	case d.Candidates[0].Doubtful:
		return place + "; the prompt may not fit"
	}
	return "the prompt may not fit, and fits others" // whatever it is worth
}

// standing is why a candidate that the prompt fits stands where it does.
func standing(d *router.Decision, i int) string {
	c := &d.Candidates[i]
	switch {
	case c.Reason != router.ReasonNone:
		return "eliminated: " + elimination(d, c)
	case i == 0 && c.Pinned:
		return "chosen: the conversation is with it and sticks"
	case i == 0 && c.Incumbent && unaided(d) != 0:
		return "chosen: the conversation is with it and " + keeps(d)
	case i == 0 && d.Rate == 0:
		return "chosen: best predicted quality"
	case i == 0:
		return "chosen: worth most, quality less cost"
	}
	first := &d.Candidates[0]
	if first.Pinned {
		return "the conversation is not with it"
	}
	better := c.Estimate.Quality > first.Estimate.Quality
	dearer := c.Cost > first.Cost
	switch {
	case first.Incumbent && c.Net > first.Net-router.Hysteresis:
		return "worth hardly more: too little to move the conversation"
	case better:
		return fmt.Sprintf("%.1f points better, not worth $%.6f more", 100*(c.Estimate.Quality-first.Estimate.Quality), c.Cost-first.Cost)
	case dearer:
		return "no better, dearer"
	default:
		return fmt.Sprintf("%.1f points worse", 100*(first.Estimate.Quality-c.Estimate.Quality))
	}
}

// keeps says what keeps the conversation with the first candidate.
func keeps(d *router.Decision) string {
	if c := &d.Candidates[0]; d.Rate > 0 && c.CachedTokens > 0 {
		return fmt.Sprintf("%d tokens are cached", c.CachedTokens)
	}
	return "another is hardly better"
}

// unaided is which candidate would come first if nothing were remembered of the
// conversation.
func unaided(d *router.Decision) int {
	best, most := 0, math.Inf(-1)
	for i := range d.Candidates[:d.Ranked] {
		c := &d.Candidates[i]
		if c.Doubtful && !d.Candidates[0].Doubtful {
			continue
		}
		net := c.Net
		if c.Incumbent {
			price := &d.Snapshot.Models[c.Model].Price
			n := float64(c.CachedTokens)
			net -= router.Hysteresis + d.Rate*(price.Cost(n, 0, 0)-price.Cost(n, n, 0))
		}
		if net > most {
			best, most = i, net
		}
	}
	return best
}

// WriteJSON writes the report as indented JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable writes the report for a person.
func (r *Report) WriteTable(w io.Writer) error {
	if r.Predictor == "" {
		_, err := fmt.Fprintf(w, "no decision: %s\n", r.Error)
		return err
	}
	zone := r.Zone
	if zone == "" {
		zone = router.ZoneGlobal
	}
	fmt.Fprintf(w, "deployment %s · mode %s · zone %s · policy %s · predictor %s\n",
		r.Deployment, r.Mode, zone, r.Policy, r.Predictor)
	if r.Stepped {
		fmt.Fprintf(w, "%.0f%% of the budget is spent, hence the mode\n", 100*r.BudgetUsed)
	}
	fmt.Fprintf(w, "prompt about %d tokens", r.PromptTokens)
	if r.OutputCap > 0 {
		fmt.Fprintf(w, " · output at most %d", r.OutputCap)
	}
	if len(r.Needs) > 0 {
		fmt.Fprintf(w, " · needs %s", strings.Join(r.Needs, ", "))
	}
	if r.Session != "" && r.Session != "initialize" {
		fmt.Fprintf(w, "\nthe conversation goes on: %s (affinity %s)", r.Session, r.Affinity)
	}
	if r.Rate > 0 {
		fmt.Fprintf(w, "\n%s may give up %.1f%% of average quality: here a point of quality is worth $%.6f", r.Mode, 100*r.Band, 0.01/r.Rate)
	}
	if len(r.Demand) > 0 {
		var asks []string
		for _, d := range r.Demand {
			asks = append(asks, fmt.Sprintf("%s %.0f%%", d.Skill, 100*d.Share))
		}
		fmt.Fprintf(w, "\nasks for %s", strings.Join(asks, ", "))
	}
	fmt.Fprint(w, "\n\n")
	if len(r.Candidates) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "MODEL\tQUALITY\tOUTPUT\tCOST\tWHY")
		priors := false
		for _, c := range r.Candidates {
			name := c.Model
			if c.Prior != "" {
				name, priors = name+"*", true
			}
			if c.Eliminated != "" {
				fmt.Fprintf(t, "%s\t\t\t\t%s\n", name, c.Why)
				continue
			}
			fmt.Fprintf(t, "%s\t%.3f ±%.3f\t%.0f tokens\t$%.6f\t%s\n", name, c.Quality, c.Uncertainty, c.OutputTokens, c.CostUSD, c.Why)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if priors {
			fmt.Fprintln(w)
			for _, c := range r.Candidates {
				if c.Prior != "" {
					fmt.Fprintf(w, "* %s: %s\n", c.Model, c.Prior)
				}
			}
		}
		fmt.Fprintln(w)
	}
	for i, s := range r.Chain {
		fmt.Fprintf(w, "attempt %d  %s at %s (%s)\n", i+1, s.Model, s.Backend, s.Zone)
	}
	if r.Error != "" {
		fmt.Fprintf(w, "no decision: %s\n", r.Error)
	}
	return nil
}
