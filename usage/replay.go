package usage

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"wye/router"
)

// The reasons why a record cannot be replayed.
var (
	ErrNoInputs    = errors.New("the record does not say what was decided: Wye had forgotten it, or the request was refused unread")
	ErrOtherPolicy = errors.New("the record is of another policy")
)

// Replay decides a record's request once more and returns what came out
// differently, nothing if every bit is the same. s is the policy in force then; zone
// is the data zone of the Wye that decided, empty for none.
//
// A record with the prompt's text has everything decided anew. Without it, the
// predictor's estimates and its rate are the record's, and what is decided anew is
// everything that follows from them: filters, costs, order and chain.
func Replay(r *Record, s *router.Snapshot, zone string) (differences []string, err error) {
	switch {
	case r.Inputs == nil || r.Deployment == "":
		return nil, ErrNoInputs
	case r.Policy != s.Hash:
		return nil, fmt.Errorf("%w: %s, this one is %s", ErrOtherPolicy, r.Policy, s.Hash)
	}
	d := s.Deployment([]byte(r.Deployment))
	if d == nil {
		return nil, fmt.Errorf("the policy has no deployment %q", r.Deployment)
	}
	req, err := requestOf(r, s, d)
	if err != nil {
		return nil, err
	}
	again, err := withEstimates(r, s)
	if err != nil {
		return nil, err
	}
	var decision router.Decision
	// A refusal has candidates, too, and no chain.
	_ = again.InZone(zone).Route(&req, &decision)
	return compare(r, &decision), nil
}

// requestOf is the router's view of the record's request.
func requestOf(r *Record, s *router.Snapshot, d *router.Deployment) (router.Request, error) {
	in := r.Inputs
	hash, err := strconv.ParseUint(in.Hash, 16, 64)
	if err != nil {
		return router.Request{}, fmt.Errorf("hash: %w", err)
	}
	req := router.Request{
		Deployment: []byte(in.Model), PromptTokens: in.PromptTokens, PromptTokensMax: in.PromptTokensMax, OutputCap: in.OutputCap,
		Choices: in.Choices, Hash: hash,
		Text: router.Text{Bytes: in.TextBytes, TurnBytes: in.TurnBytes, Turns: in.Turns, Tool: in.Tools, Images: in.Images},
	}
	if in.API != "" {
		api, ok := router.ParseAPI(in.API)
		if !ok {
			return router.Request{}, fmt.Errorf("API %q", in.API)
		}
		req.API = api
	}
	for _, name := range in.ToolTypes {
		req.ToolTypes = append(req.ToolTypes, []byte(name))
	}
	if in.Mode != "" {
		mode, ok := router.ParseMode(in.Mode)
		if !ok {
			return router.Request{}, fmt.Errorf("mode %q", in.Mode)
		}
		req.Mode = mode
	}
	req.BudgetUsed = in.BudgetUsed
	if in.Floor != "" {
		floor, ok := router.ParseMode(in.Floor)
		if !ok {
			return router.Request{}, fmt.Errorf("mode floor %q", in.Floor)
		}
		req.Floor = floor
	}
	if in.Affinity != "" {
		strategy, ok := router.ParseStrategy(in.Affinity)
		if !ok {
			return router.Request{}, fmt.Errorf("affinity %q", in.Affinity)
		}
		req.Affinity = strategy
	}
	if session := in.Session; session != nil {
		req.Session.CachedTokens = session.CachedTokens
		if session.Model != "" {
			req.Session.Model = router.Key(session.Model)
		}
		if session.Backend != "" {
			req.Session.Backend = router.Key(session.Backend)
		}
	}
	for name := range strings.SplitSeq(in.Needs, ",") {
		if name == "" {
			continue
		}
		c, ok := router.ParseCapability(name)
		if !ok {
			return router.Request{}, fmt.Errorf("capability %q", name)
		}
		req.Needs |= c
	}
	for _, set := range []struct {
		to    *router.Members
		names []string
	}{{&req.Only, in.Only}, {&req.Deaf, in.Deaf}} {
		for _, name := range set.names {
			i := slices.IndexFunc(d.Subset, func(m router.ModelIndex) bool { return s.Models[m].Name == name })
			if i < 0 {
				return router.Request{}, fmt.Errorf("deployment %s has no model %q", d.Name, name)
			}
			*set.to = set.to.With(i)
		}
	}
	if t := in.Text; t != nil {
		req.Text.System, req.Text.User = []byte(t.System), []byte(t.User)
		req.Text.History, req.Text.Tools = []byte(t.History), []byte(t.Tools)
	}
	return req, nil
}

// withEstimates is s, in which the record's deployment is scored as the record
// says, unless it has the text that it can be scored by.
func withEstimates(r *Record, s *router.Snapshot) (*router.Snapshot, error) {
	if r.Inputs.Text != nil {
		return s, nil
	}
	c := router.Config{Hash: s.Hash, Models: s.Models, Usage: s.Usage}
	c.Backends, c.Deployments = slices.Clone(s.Backends), slices.Clone(s.Deployments)
	if d := s.Deployment([]byte(router.NameAuto)); d != nil {
		c.Default = d.Name
	}
	for i := range c.Deployments {
		if c.Deployments[i].Name == r.Deployment {
			c.Deployments[i].Scorer = recorded{r, s, c.Deployments[i].Scorer.Version()}
		}
	}
	return router.NewSnapshot(c)
}

// recorded is a scorer that says what a record has.
type recorded struct {
	record   *Record
	snapshot *router.Snapshot
	version  string
}

// Score implements router.Scorer.
func (s recorded) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i, m := range models {
		for _, c := range s.record.Candidates {
			if c.Model == s.snapshot.Models[m].Name {
				out[i] = router.Estimate{Quality: c.Quality, Uncertainty: c.Uncertainty, OutputTokens: c.OutputTokens}
			}
		}
	}
	return s.record.Rate
}

// Version implements router.Scorer.
func (s recorded) Version() string { return s.version }

// compare says where d is not what the record has.
func compare(r *Record, d *router.Decision) (differences []string) {
	differ := func(what string, was, is any) {
		differences = append(differences, fmt.Sprintf("%s was %v, is %v", what, was, is))
	}
	if d.Deployment == nil || d.Deployment.Name != r.Deployment {
		return append(differences, "another deployment serves it")
	}
	if v := d.Deployment.Scorer.Version(); v != r.Predictor {
		differ("predictor", r.Predictor, v)
	}
	if m := d.Mode.String(); m != r.Mode {
		differ("mode", r.Mode, m)
	}
	if math.Float64bits(d.Rate) != math.Float64bits(r.Rate) {
		differ("rate", r.Rate, d.Rate)
	}
	if len(d.Candidates) != len(r.Candidates) {
		differ("number of candidates", len(r.Candidates), len(d.Candidates))
	} else {
		for i := range d.Candidates {
			if is := candidateOf(d.Snapshot, &d.Candidates[i]); is != r.Candidates[i] {
				differ("candidate "+strconv.Itoa(i+1), r.Candidates[i], is)
			}
		}
	}
	var chain []Place
	for _, step := range d.Chain {
		chain = append(chain, *placeOf(d.Snapshot, step.Backend))
	}
	if !slices.Equal(chain, r.Chain) {
		differ("chain", r.Chain, chain)
	}
	return differences
}
