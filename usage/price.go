package usage

import "wye/router"

// noModel stands for a model that is not known.
const noModel = -1

// topModel is the candidate of the best predicted quality, the cheaper of equals.
func topModel(p *decided) int {
	top := noModel
	var best *router.Candidate
	for i := range p.candidates[:p.ranked] {
		c := &p.candidates[i]
		if best == nil || c.Estimate.Quality > best.Estimate.Quality ||
			c.Estimate.Quality == best.Estimate.Quality && c.Cost < best.Cost {
			best, top = c, int(c.Model)
		}
	}
	return top
}

// price finds the served model in s, the snapshot that decided, and adds what the
// tokens cost there and at the models it is compared with. Those would have cut
// the prompt into other tokens and written another answer, so the comparison is of
// prices: what the same tokens would have cost. d is the deployment; nil: not known.
func (r *Record) price(s *router.Snapshot, d *router.Deployment, top int) {
	if r.Served == nil {
		return
	}
	model := noModel
	for i := range s.Backends {
		if s.Backends[i].Name == r.Served.Backend {
			model = int(s.Backends[i].Model)
			break
		}
	}
	if model == noModel {
		return
	}
	r.model = s.Models[model].Name
	r.Served.Model = r.model
	if r.Usage == nil {
		return
	}
	cost := func(model int, into *float64) *float64 {
		*into = s.Models[model].Price.Cost(float64(r.Usage.Prompt), float64(r.Usage.Cached), float64(r.Usage.Completion))
		return into
	}
	r.CostUSD = cost(model, &r.costs[0])
	if d != nil {
		r.SingleUSD = cost(int(d.Single), &r.costs[1])
	}
	if top != noModel {
		r.TopUSD = cost(top, &r.costs[2])
	}
}
