package extproc

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"wye/envoy"
	"wye/router"
	"wye/wire"
)

// maxTrace bounds the trace header in bytes: some clients and proxies take 8 KiB
// of response headers and no more.
const maxTrace = 4 << 10

// trace is the shape in which Foundry's model router says how it chose, and what
// it does not say: scores, costs and reasons.
type trace struct {
	Details struct {
		Router traceDetails `json:"model_router_details"`
	} `json:"model_selection_details"`
}

type traceDetails struct {
	Mode    string     `json:"mode"`
	Routing [1]traceOf `json:"routing_trace"`
	// The rest is Wye's own.
	Decision   string           `json:"decision"` // id
	Deployment string           `json:"deployment"`
	Policy     string           `json:"policy"`                // hash of the snapshot
	Predictor  string           `json:"predictor"`             // version
	Rate       float64          `json:"rate"`                  // quality that a US dollar had to buy
	Budget     float64          `json:"budget_used,omitempty"` // share of the deployment's that is spent
	Candidates []traceCandidate `json:"candidates"`
	Omitted    int              `json:"omitted,omitempty"` // candidates for which there is no room
}

type traceOf struct {
	LatencyMS float64 `json:"latency_ms"` // of the decision
	// Attempts in their order, made or not: x-wye-attempts has how many were.
	Attempts []traceAttempt `json:"attempts"`
}

type traceAttempt struct {
	Model   string `json:"model"` // version that serves
	Backend string `json:"backend"`
	Zone    string `json:"zone"`
}

type traceCandidate struct {
	Model   string `json:"model"` // name in the catalog
	*traced        // of a model that could serve
	Reason  string `json:"reason,omitempty"` // why it could not
	Lacks   string `json:"lacks,omitempty"`  // capabilities
}

type traced struct {
	Quality      float32 `json:"quality"`
	Uncertainty  float32 `json:"uncertainty"`
	OutputTokens float32 `json:"output_tokens"`
	CostUSD      float64 `json:"cost_usd"`
	Net          float64 `json:"net"` // quality less cost at the rate: what the order goes by
}

// takeTrace reads the header by which a client asks for a trace.
func (f *requestFacts) takeTrace(v []byte) *wire.Problem {
	f.remove = append(f.remove, envoy.HeaderTrace)
	switch strings.ToLower(string(bytes.TrimSpace(v))) {
	case "true", "1":
		f.trace = true
	case "", "false", "0":
	default:
		return refuse(http.StatusBadRequest, wire.CodeInvalidValue, "", "the header "+envoy.HeaderTrace+" is %.64q; it can be true or false", v)
	}
	return nil
}

// wantsTrace reports whether the client asked for a trace of a decision that
// there is.
func (st *stream) wantsTrace() bool {
	return (st.facts.trace || st.scan.Routing.Trace) && len(st.decision.Candidates) > 0
}

// trace renders the decision as JSON of at most maxTrace bytes, all of them
// printable ASCII, since every name in it is.
func (st *stream) trace() []byte {
	d := &st.decision
	var t trace
	r := &t.Details.Router
	*r = traceDetails{
		Mode: d.Mode.String(), Decision: string(st.id), Deployment: d.Deployment.Name, Policy: d.Snapshot.Hash,
		Predictor: d.Deployment.Scorer.Version(), Rate: d.Rate, Budget: st.request.BudgetUsed,
	}
	r.Routing[0] = traceOf{LatencyMS: float64(st.elapsed) / float64(time.Millisecond), Attempts: []traceAttempt{}}
	for _, step := range d.Chain {
		b := &d.Snapshot.Backends[step.Backend]
		r.Routing[0].Attempts = append(r.Routing[0].Attempts, traceAttempt{d.Snapshot.Models[step.Model].ServedAs, b.Name, b.Zone})
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		entry := traceCandidate{Model: d.Snapshot.Models[c.Model].Name, Reason: c.Reason.String(), Lacks: c.Lacks.String()}
		if c.Reason == router.ReasonNone {
			e := &c.Estimate
			entry.traced = &traced{e.Quality, e.Uncertainty, e.OutputTokens, c.Cost, c.Net}
		}
		r.Candidates = append(r.Candidates, entry)
	}
	for {
		text, err := json.Marshal(&t)
		if err != nil {
			// Only a figure that is not finite can fail.
			return nil
		}
		if len(text) <= maxTrace || len(r.Candidates) == 0 {
			return text
		}
		last := len(r.Candidates) * maxTrace / len(text)
		last = min(last, len(r.Candidates)-1)
		r.Omitted += len(r.Candidates) - last
		r.Candidates = r.Candidates[:last]
	}
}
