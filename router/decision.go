package router

import (
	"fmt"
	"strings"
)

// Reason says why a model of the subset is not a candidate. ReasonNone marks a
// candidate.
type Reason uint8

// The reasons, in the order in which they are checked.
const (
	ReasonNone Reason = iota
	ReasonUnwanted
	ReasonZone
	ReasonProtocol
	ReasonCapability
	ReasonParameter
	ReasonAgentTools
	ReasonContext
	ReasonOutputCap
	ReasonCost
)

// String is the reason as explain, metrics labels and error messages spell it.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return ""
	case ReasonUnwanted:
		return "not among the models that the request allows"
	case ReasonZone:
		return "no backend in the zone"
	case ReasonProtocol:
		return "no backend that speaks the client's API"
	case ReasonCapability:
		return "lacks a capability"
	case ReasonParameter:
		return "ignores a parameter that the request requires"
	case ReasonAgentTools:
		return "its publisher does not host the request's agent tools"
	case ReasonContext:
		return "context window too small"
	case ReasonOutputCap:
		return "output cap above the model's"
	case ReasonCost:
		return "expected cost above the ceiling"
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Candidate is one subset model as the decision saw it.
type Candidate struct {
	Model  ModelIndex
	Reason Reason
	// Lacks are the missing capabilities when Reason is ReasonCapability.
	Lacks Capability
	// Doubtful: the prompt should fit, but its safe bound does not.
	Doubtful bool
	// Incumbent: the conversation is with this model. Pinned: and is to stay. Of
	// its prompt CachedTokens are expected to cost the cached price.
	Incumbent, Pinned bool
	CachedTokens      int
	Estimate          Estimate // zero for an eliminated model
	Cost              float64  // expected, in US dollars
	Net               float64  // quality less cost at the decision's rate, Hysteresis included: what Rank goes by
	position          uint8    // in the deployment's subset
}

// Step is one attempt of the chain.
type Step struct {
	Model   ModelIndex
	Backend BackendIndex
}

// Decision is the outcome of one routing: a value the caller owns and may
// reuse. The first Ranked candidates passed every filter, best choice first;
// the rest were eliminated.
type Decision struct {
	Snapshot   *Snapshot
	Deployment *Deployment
	API        API // the client's
	// Untranslatable is the request's: see there.
	Untranslatable string
	Mode           Mode
	Stepped        bool     // the budget asked for Mode, which is thriftier than who else did
	Affinity       Strategy // that applied; zero before a deployment was found
	Session        Session  // that was heeded; zero under AffinityNone
	Rate           float64  // quality that a US dollar had to buy, by the scorer
	Candidates     []Candidate
	Ranked         int
	Chain          []Step

	// Scratch, kept for reuse.
	models    []ModelIndex
	estimates []Estimate
}

// Reset forgets the decision and keeps its memory.
func (d *Decision) Reset() {
	d.Snapshot, d.Deployment, d.API, d.Mode, d.Rate, d.Ranked = nil, nil, APIChat, ModeDefault, 0, 0
	d.Stepped = false
	d.Affinity, d.Session, d.Untranslatable = AffinityDefault, Session{}, ""
	d.Candidates, d.Chain = d.Candidates[:0], d.Chain[:0]
	d.models, d.estimates = d.models[:0], d.estimates[:0]
}

// Places is how many backends could serve the request.
func (d *Decision) Places() (n int) {
	for i := range d.Ranked {
		n += len(d.places(d.Candidates[i].position))
	}
	return n
}

// First returns the model and backend of the first attempt.
func (d *Decision) First() (*Model, *Backend) {
	step := d.Chain[0]
	return &d.Snapshot.Models[step.Model], &d.Snapshot.Backends[step.Backend]
}

// ErrorKind classifies why a request cannot be routed.
type ErrorKind uint8

// The kinds.
const (
	ErrUnknownDeployment ErrorKind = iota + 1
	ErrModeNotAllowed
	ErrContextLength // every model that could otherwise serve is too small
	ErrNoCandidate
)

// Error is why Route has no decision. Its message is fit for the client.
type Error struct {
	Kind    ErrorKind
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

func errorf(k ErrorKind, format string, a ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, a...)}
}

// noCandidate sums up why no model of the deployment can serve req.
func (d *Decision) noCandidate(req *Request) *Error {
	tooLong, otherwise, largest := false, false, 0
	var why strings.Builder
	for i := range d.Candidates {
		c := &d.Candidates[i]
		m := &d.Snapshot.Models[c.Model]
		switch c.Reason {
		case ReasonContext:
			tooLong = true
			largest = max(largest, m.promptLimit(req.OutputCap))
		case ReasonOutputCap, ReasonCost:
			otherwise = true
		case ReasonNone, ReasonUnwanted, ReasonZone, ReasonProtocol, ReasonCapability, ReasonParameter, ReasonAgentTools:
			// Nothing about the request's size would let this model serve it.
		}
		if i > 0 {
			why.WriteString("; ")
		}
		fmt.Fprintf(&why, "%s: %v", m.Name, c.Reason)
		if c.Lacks != 0 {
			fmt.Fprintf(&why, " (%v)", c.Lacks)
		}
		if c.Reason == ReasonProtocol && d.Untranslatable != "" {
			fmt.Fprintf(&why, " (%s cannot be translated)", d.Untranslatable)
		}
	}
	if tooLong && !otherwise {
		return errorf(ErrContextLength,
			"the prompt has about %d tokens, at most %d, and an output cap of %d; the largest model of deployment %q takes %d prompt tokens with it",
			req.PromptTokens, req.PromptTokensMax, req.OutputCap, d.Deployment.Name, max(largest, 0))
	}
	return errorf(ErrNoCandidate, "no model of deployment %q can serve this request: %s", d.Deployment.Name, why.String())
}
