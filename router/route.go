package router

import "cmp"

// Route decides which models of the deployment that req names may serve it and
// in which order, and writes the result into d, reusing d's memory. On success
// d.Chain has at least one step. Nothing is allocated once d has grown, except
// for the error.
func (s *Snapshot) Route(req *Request, d *Decision) *Error {
	d.Reset()
	d.Snapshot = s
	means := s.byName[string(req.Deployment)]
	dep := means.deployment
	if dep == nil {
		return means.unknown(req.Deployment)
	}
	d.Deployment, d.API, d.Untranslatable = dep, req.API, req.Untranslatable
	d.Mode = dep.Mode
	if req.Mode != ModeDefault {
		if !dep.AllowedModes.Has(req.Mode) {
			return errorf(ErrModeNotAllowed, "deployment %q does not allow mode %v", dep.Name, req.Mode)
		}
		d.Mode = req.Mode
	}
	if req.Floor > d.Mode { // modes ascend in thrift
		d.Mode, d.Stepped = req.Floor, true
	}
	if d.Affinity = dep.Affinity.Strategy; req.Affinity != AffinityDefault {
		d.Affinity = req.Affinity
	}
	if d.Affinity != AffinityNone {
		d.Session = req.Session
	}
	d.filter(req, means.only)
	d.score(req)
	d.rank()
	if d.Ranked == 0 {
		return d.noCandidate(req)
	}
	d.chain(req.Hash)
	return nil
}

// filter applies the hard filters that need no estimate. named is the model that
// the request names in place of the deployment, empty when it names none.
func (d *Decision) filter(req *Request, named Members) {
	agents := d.Deployment.AgentTools.in(req.ToolTypes)
	for i, m := range d.Deployment.Subset {
		c := Candidate{Model: m, position: uint8(i)}
		model := &d.Snapshot.Models[m]
		switch {
		case req.Only != 0 && !req.Only.Has(i), named != 0 && !named.Has(i):
			c.Reason = ReasonUnwanted
		case len(d.Deployment.backends[i]) == 0:
			c.Reason = ReasonZone
		case len(d.places(uint8(i))) == 0:
			c.Reason = ReasonProtocol
		case req.Needs&^model.Capabilities != 0:
			c.Reason, c.Lacks = ReasonCapability, req.Needs&^model.Capabilities
		case req.Deaf.Has(i):
			c.Reason = ReasonParameter
		case agents && !d.Deployment.hosts.Has(i):
			c.Reason = ReasonAgentTools
		case model.MaxOutput > 0 && req.OutputCap > model.MaxOutput:
			c.Reason = ReasonOutputCap
		default:
			limit := model.promptLimit(req.OutputCap)
			if req.promptTokensLikely() > limit {
				c.Reason = ReasonContext
			}
			c.Doubtful = req.PromptTokensMax > limit
		}
		d.settle(&c, req.PromptTokens)
		d.Candidates = append(d.Candidates, c)
	}
}

// promptTokensLikely is what the prompt should not exceed: the best estimate and
// a quarter, as far as the safe bound does not exclude it. The safe bound alone
// would refuse prompts in scripts of which it takes each byte for a token.
func (r *Request) promptTokensLikely() int {
	return min(r.PromptTokensMax, r.PromptTokens+r.PromptTokens/4)
}

// promptLimit is how many prompt tokens the model takes beside outputCap.
func (m *Model) promptLimit(outputCap int) int {
	limit := int(^uint(0) >> 1)
	if m.MaxInput > 0 {
		limit = m.MaxInput
	}
	if m.ContextWindow > 0 {
		limit = min(limit, m.ContextWindow-outputCap)
	}
	return limit
}

// score asks the deployment's scorer about the candidates that are left, then
// applies the cost ceiling, which needs its answer.
func (d *Decision) score(req *Request) {
	for i := range d.Candidates {
		if d.Candidates[i].Reason == ReasonNone {
			d.models = append(d.models, d.Candidates[i].Model)
			d.estimates = append(d.estimates, Estimate{})
		}
	}
	if len(d.models) == 0 {
		return
	}
	d.Rate = d.Deployment.Scorer.Score(req, d.Mode, d.models, d.estimates)
	next := 0
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if c.Reason != ReasonNone {
			continue
		}
		c.Estimate = d.estimates[next]
		next++
		out := float64(c.Estimate.OutputTokens)
		if req.OutputCap > 0 {
			out = min(out, float64(req.OutputCap))
		}
		out *= float64(max(req.Choices, 1))
		c.Cost = d.Snapshot.Models[c.Model].Price.Cost(float64(req.PromptTokens), float64(c.CachedTokens), out)
		if ceiling := d.Deployment.MaxCost; ceiling > 0 && c.Cost > ceiling {
			c.Reason = ReasonCost
		}
	}
}

// rank orders d.Candidates, the best choice for the mode first and eliminated
// models last, and counts the candidates.
func (d *Decision) rank() {
	d.Ranked = Rank(d.Candidates, d.Rate)
}

// Rank orders candidates in place and returns how many were not eliminated. It
// is the whole selection rule, exported so that an evaluation judges the rule
// that serves. Each candidate is worth its predicted quality less its expected
// cost at rate, in quality per US dollar, and the one that the conversation is
// with a Hysteresis more; the worthiest comes first, the pinned before it, the
// doubtful after all others, the eliminated last in their given order. Ties fall
// to the cheaper, then to the better, then to the given order.
func Rank(candidates []Candidate, rate float64) int {
	ranked := 0
	for i := range candidates {
		c := &candidates[i]
		if c.Reason == ReasonNone {
			c.Net = net(float64(c.Estimate.Quality), c.Cost, rate)
			if c.Incumbent {
				c.Net += Hysteresis
			}
			ranked++
		}
	}
	// Insertion sort: stable, allocation-free, and a subset is at most
	// MaxSubset long and mostly a handful.
	for i := 1; i < len(candidates); i++ {
		c := candidates[i]
		j := i
		for ; j > 0 && before(&c, &candidates[j-1]); j-- {
			candidates[j] = candidates[j-1]
		}
		candidates[j] = c
	}
	return ranked
}

// before reports whether a must come before b, which precedes it so far.
func before(a, b *Candidate) bool {
	if aOut, bOut := a.Reason != ReasonNone, b.Reason != ReasonNone; aOut || bOut {
		return !aOut && bOut
	}
	if a.Doubtful != b.Doubtful {
		return b.Doubtful
	}
	if a.Pinned != b.Pinned {
		return a.Pinned
	}
	switch { // what nearly always decides, before the rest is compared
	case a.Net > b.Net:
		return true
	case a.Net < b.Net:
		return false
	}
	return cmp.Or(cmp.Compare(b.Net, a.Net), cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.Estimate.Quality, a.Estimate.Quality)) < 0
}

// chain lays out the attempts: every ranked model once, each on the backend that
// its conversation is with or else that hash picks, then the remaining backends in the same model order, up to
// the deployment's bound. Another model before another backend of the same
// one, because a failing provider tends to fail for a model everywhere at once.
func (d *Decision) chain(hash uint64) {
	limit := d.Deployment.MaxAttempts
	for round := 0; ; round++ {
		added := false
		for i := 0; i < d.Ranked && len(d.Chain) < limit; i++ {
			c := &d.Candidates[i]
			backends := d.places(c.position)
			if round >= len(backends) {
				continue
			}
			first := d.home(c, backends, hash)
			b := backends[(first+round)%len(backends)]
			d.Chain = append(d.Chain, Step{Model: c.Model, Backend: b})
			added = true
		}
		if !added || len(d.Chain) >= limit {
			return
		}
	}
}

// pick chooses a backend by weight, the same one for the same hash.
func (s *Snapshot) pick(backends []BackendIndex, hash uint64) int {
	if len(backends) == 1 {
		return 0
	}
	var total uint64
	for _, b := range backends {
		total += uint64(s.Backends[b].Weight)
	}
	if total == 0 {
		return int(hash % uint64(len(backends)))
	}
	at := hash % total
	for i, b := range backends {
		w := uint64(s.Backends[b].Weight)
		if at < w {
			return i
		}
		at -= w
	}
	return len(backends) - 1
}

// clip bounds a client's text in an error message.
func clip(b []byte, n int) []byte {
	if len(b) > n {
		return b[:n]
	}
	return b
}
