package usage

import (
	"fmt"
	"strings"
	"time"

	"wye/router"
)

// Record is one request, from its decision to its end. Its JSON form is a line of
// the decision log. Readers must not change it, nor keep a brief one.
type Record struct {
	Time       time.Time `json:"time"` // of the request's arrival
	Decision   string    `json:"decision"`
	Deployment string    `json:"deployment,omitempty"`
	Mode       string    `json:"mode,omitempty"`
	Policy     string    `json:"policy,omitempty"`
	Predictor  string    `json:"predictor,omitempty"`
	Zone       string    `json:"zone,omitempty"` // of the deployment
	Caller     string    `json:"caller,omitempty"`
	// TraceParent is the client's traceparent header.
	TraceParent string `json:"traceparent,omitempty"`

	Status   int      `json:"status"` // 0: the client left before there was one
	Details  string   `json:"details,omitempty"`
	Flags    []string `json:"flags,omitempty"`  // Envoy's response flags
	Stream   bool     `json:"stream,omitempty"` // the answer was server-sent events
	Attempts int      `json:"attempts"`
	Served   *Place   `json:"served,omitempty"`  // by the last attempt
	Dropped  string   `json:"dropped,omitempty"` // request fields that the model that served does not take

	Usage   *Tokens `json:"usage,omitempty"`
	Unknown Unknown `json:"usage_unknown,omitempty"` // why there is no usage

	// CostUSD is what the served model's tokens cost by the catalog; SingleUSD and
	// TopUSD what the same tokens would have cost at the deployment's best single
	// model and at the model of the best predicted quality. Absent: not known.
	CostUSD   *float64 `json:"cost_usd,omitempty"`
	SingleUSD *float64 `json:"single_usd,omitempty"`
	TopUSD    *float64 `json:"top_usd,omitempty"`

	DecisionSeconds float64 `json:"decision_seconds,omitempty"`
	FirstSeconds    float64 `json:"first_byte_seconds,omitempty"` // provider's first byte, from arrival
	TotalSeconds    float64 `json:"total_seconds"`

	// Inputs and what follows are absent when the decision is no longer known: Wye
	// restarted, or the table of decisions was full.
	Inputs *Inputs `json:"inputs,omitempty"`
	Rate   float64 `json:"rate,omitempty"` // see router.Decision
	// Candidates and Chain are absent from brief records, too.
	Candidates []Candidate `json:"candidates,omitempty"`
	Chain      []Place     `json:"chain,omitempty"`

	model string // catalog name of the served model
	api   router.API
	turn  router.Turn
	// charged is what was charged on admission, to limited too if it is not 0.
	charged int
	limited uint64
	// reserved is what was counted to the budget.
	reserved float64

	// What the pointers above are to, so that a record is one piece of memory.
	place  Place
	tokens Tokens
	costs  [3]float64
	inputs Inputs
}

// Place is a backend and what it serves.
type Place struct {
	Model   string `json:"model"`   // catalog name
	Version string `json:"version"` // that providers report
	Backend string `json:"backend"` // name
	Zone    string `json:"zone"`    // of the backend
}

// Inputs are what the router was told of the request: no text of the prompt
// unless the operator asked for it.
type Inputs struct {
	// Model is the request's own: a deployment, an alias or a model of one.
	Model string `json:"model,omitempty"`
	API   string `json:"api,omitempty"`  // in which the client speaks; empty: chat completions
	Mode  string `json:"mode,omitempty"` // that the client asked for
	// BudgetUsed is the share of the deployment's budget that was spent, Floor the
	// mode that it asked for at least; empty: none.
	BudgetUsed float64 `json:"budget_used,omitempty"`
	Floor      string  `json:"mode_floor,omitempty"`
	// Only are the models that the client asked for, Deaf those that would not
	// heed a parameter that it requires.
	Only            []string `json:"only,omitempty"`
	Deaf            []string `json:"deaf,omitempty"`
	Needs           string   `json:"needs,omitempty"`
	PromptTokens    int      `json:"prompt_tokens"`     // best estimate
	PromptTokensMax int      `json:"prompt_tokens_max"` // safe estimate
	OutputCap       int      `json:"output_cap,omitempty"`
	Choices         int      `json:"choices,omitempty"` // answers asked for
	Hash            string   `json:"hash"`              // of the conversation's prefix, 16 hex digits
	Session         *Session `json:"session,omitempty"`
	Affinity        string   `json:"affinity,omitempty"` // strategy that the client asked for
	TextBytes       int      `json:"text_bytes"`
	TurnBytes       int      `json:"turn_bytes,omitempty"` // of them, the last user turn's
	ToolTypes       []string `json:"tool_types,omitempty"` // of the tools that the provider runs
	Turns           int      `json:"turns"`
	Tools           int      `json:"tools,omitempty"`
	Images          int      `json:"images,omitempty"`
	BodyBytes       int      `json:"body_bytes"`
	Text            *Text    `json:"text,omitempty"`
}

// Session is what was remembered of the conversation; see router.Session.
type Session struct {
	Model        string `json:"model"`   // catalog name; empty: the policy no longer has it
	Backend      string `json:"backend"` // name; empty: as above
	CachedTokens int    `json:"cached_tokens"`
}

// Turn names the request in the memory of conversations; zero if it is not there.
func (r *Record) Turn() router.Turn { return r.turn }

// Operation is what kind of request it is, as OpenTelemetry's conventions name it;
// one whose decision is no longer known is taken for chat.
func (r *Record) Operation() string {
	switch r.api {
	case router.APIEmbeddings:
		return "embeddings"
	case router.APICompletions:
		return "text_completion"
	default:
		return "chat"
	}
}

// Charged is how many tokens were charged to the deployment when the request was
// decided; 0 where it has no limit on them.
func (r *Record) Charged() int { return r.charged }

// Reserved is how many US dollars were counted to the deployment's budget when the
// request was decided.
func (r *Record) Reserved() float64 { return r.reserved }

// Limited is the caller whom they were charged to as well, as package limits names
// it; 0: nobody.
func (r *Record) Limited() uint64 { return r.limited }

// Text is what the predictor read of a prompt.
type Text struct {
	System  string `json:"system,omitempty"`
	User    string `json:"user,omitempty"`
	History string `json:"history,omitempty"`
	Tools   string `json:"tools,omitempty"`
}

// Candidate is one model of the deployment's subset.
type Candidate struct {
	Model        string  `json:"model"`
	Quality      float32 `json:"quality"`       // predicted
	Uncertainty  float32 `json:"uncertainty"`   // of Quality
	OutputTokens float32 `json:"output_tokens"` // expected
	CostUSD      float64 `json:"cost_usd"`      // expected
	Net          float64 `json:"net"`           // what the order goes by
	Doubtful     bool    `json:"doubtful,omitempty"`
	Incumbent    bool    `json:"incumbent,omitempty"`     // the conversation was with it
	CachedTokens int     `json:"cached_tokens,omitempty"` // expected at the cached price
	Eliminated   string  `json:"eliminated,omitempty"`    // why
	Lacks        string  `json:"lacks,omitempty"`         // capabilities
}

// fill adds what p says of the decision.
func (r *Record) fill(p *decided, brief bool) {
	if d := p.deployment; d != nil {
		r.Deployment, r.Zone, r.Mode, r.Predictor = d.Name, d.Zone, p.mode.String(), d.Scorer.Version()
	}
	if p.snapshot != nil {
		r.Policy = p.snapshot.Hash
	}
	r.DecisionSeconds, r.Rate = p.elapsed.Seconds(), p.rate
	r.Inputs = &r.inputs
	r.inputs.numbers(&p.request, p.body)
	r.api = p.request.API
	r.turn, r.charged, r.limited, r.reserved = p.request.Turn, p.request.Charged, p.request.Caller, p.request.Reserved
	if brief {
		return
	}
	r.inputs.words(&p.request)
	if p.request.Session.Model != 0 && p.snapshot != nil {
		r.Inputs.Session = sessionOf(p.snapshot, p.request.Session)
	}
	if p.deployment != nil {
		r.Inputs.Only = members(p.snapshot, p.deployment, p.request.Only)
		r.Inputs.Deaf = members(p.snapshot, p.deployment, p.request.Deaf)
	}
	for i := range p.candidates {
		r.Candidates = append(r.Candidates, candidateOf(p.snapshot, &p.candidates[i]))
	}
	for _, step := range p.chain {
		r.Chain = append(r.Chain, *placeOf(p.snapshot, step.Backend))
	}
}

// numbers fills in what is a number.
func (in *Inputs) numbers(req *router.Request, body int) {
	in.PromptTokens, in.PromptTokensMax = req.PromptTokens, req.PromptTokensMax
	in.OutputCap, in.Choices = req.OutputCap, req.Choices
	in.TextBytes, in.TurnBytes, in.Turns = req.Text.Bytes, req.Text.TurnBytes, req.Text.Turns
	in.Tools, in.Images, in.BodyBytes = req.Text.Tool, req.Text.Images, body
}

// words fills in the rest.
func (in *Inputs) words(req *router.Request) {
	in.Model, in.Needs, in.Hash = string(req.Deployment), req.Needs.String(), fmt.Sprintf("%016x", req.Hash)
	if req.API != router.APIChat {
		in.API = req.API.String()
	}
	for _, name := range req.ToolTypes {
		in.ToolTypes = append(in.ToolTypes, string(name))
	}
	if req.Mode != router.ModeDefault {
		in.Mode = req.Mode.String()
	}
	in.BudgetUsed = req.BudgetUsed
	if req.Floor != router.ModeDefault {
		in.Floor = req.Floor.String()
	}
	if req.Affinity != router.AffinityDefault {
		in.Affinity = req.Affinity.String()
	}
	if t := &req.Text; len(t.System)+len(t.User)+len(t.History)+len(t.Tools) > 0 {
		in.Text = &Text{System: string(t.System), User: string(t.User), History: string(t.History), Tools: string(t.Tools)}
	}
}

// sessionOf names what the keys of s stand for.
func sessionOf(s *router.Snapshot, from router.Session) *Session {
	out := &Session{CachedTokens: from.CachedTokens}
	for i := range s.Models {
		if router.Key(s.Models[i].Name) == from.Model {
			out.Model = s.Models[i].Name
		}
	}
	for i := range s.Backends {
		if router.Key(s.Backends[i].Name) == from.Backend {
			out.Backend = s.Backends[i].Name
		}
	}
	return out
}

func candidateOf(s *router.Snapshot, c *router.Candidate) Candidate {
	out := Candidate{
		Model: s.Models[c.Model].Name, Quality: c.Estimate.Quality, Uncertainty: c.Estimate.Uncertainty,
		OutputTokens: c.Estimate.OutputTokens, CostUSD: c.Cost, Net: c.Net, Doubtful: c.Doubtful, Incumbent: c.Incumbent, CachedTokens: c.CachedTokens,
		Eliminated: c.Reason.String(), Lacks: c.Lacks.String(),
	}
	return out
}

func placeOf(s *router.Snapshot, index router.BackendIndex) *Place {
	b := &s.Backends[index]
	m := &s.Models[b.Model]
	return &Place{Model: m.Name, Version: served(m), Backend: b.Name, Zone: b.Zone}
}

// served is the version under which m is known to clients.
func served(m *router.Model) string {
	if m.ServedAs != "" {
		return m.ServedAs
	}
	return m.Name
}

// String is for test failures and logs.
func (r *Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s %s status %d after %d attempts", r.Decision, r.Deployment, r.Mode, r.Status, r.Attempts)
	if r.Served != nil {
		fmt.Fprintf(&b, " at %s", r.Served.Backend)
	}
	if r.Usage != nil {
		fmt.Fprintf(&b, ", %+v", *r.Usage)
	} else {
		fmt.Fprintf(&b, ", usage unknown: %s", r.Unknown)
	}
	return b.String()
}

// members are the catalog names of a set of d's models.
func members(s *router.Snapshot, d *router.Deployment, set router.Members) (names []string) {
	for i, m := range d.Subset {
		if set.Has(i) {
			names = append(names, s.Models[m].Name)
		}
	}
	return names
}
