package eval

import "fmt"

// EnterReport is what Wye makes of a pool whose models it takes for new ones,
// after so many graded prompts.
type EnterReport struct {
	Graded int          `json:"graded"`
	Wye    RouterReport `json:"wye"`
}

// enter registers the figures of the pool's models as newcomers, for every
// number in c.Enter that there are prompts to learn from for; 0 asks for what is
// known without any.
func (c *Config) enter(m *measure, s sample) ([]EnterReport, error) {
	var out []EnterReport
	var rows [][]int
	for _, n := range c.Enter {
		var drawn []int
		if n > 0 {
			if len(s.learn) < n {
				continue
			}
			drawn, _ = s.from.draw(s.learn, n, c.Seed)
		}
		out, rows = append(out, EnterReport{Graded: n}), append(rows, drawn)
	}
	for i := range out {
		var g *Graded
		if len(rows[i]) > 0 {
			g = s.from.graded(m.pool, rows[i])
		}
		e, _, err := c.Newcomers.Bind(m.pool.Models, g)
		if err != nil {
			return nil, fmt.Errorf("with %d graded prompts: %w", out[i].Graded, err)
		}
		out[i].Wye.Router = "Wye"
		m.router(m.pool.estimate(e, c.Bands), &out[i].Wye)
	}
	return out, nil
}

// enter shows how models that training never saw come in.
func (d *document) enter(r *Report) {
	first := true
	for i := range r.Pools {
		p := &r.Pools[i]
		for k := range p.Enter {
			if first {
				first = false
				d.line("## Models that come in with graded prompts")
				d.line("")
				d.line("Every candidate is taken for a model that training never saw: it comes in by its price and the skills that the catalog states, then by" +
					" so many graded prompts of the source's train part, calibrated as `wye calibrate` does it. This flatters a little: the networks that read the prompts" +
					" were trained on this kind of prompt and on these models' answers. What happens on benchmarks that training never saw is in [ADR 0023](adr/0023-own-traffic.md).")
				d.line("")
				d.table("pool", "graded", "AUC", "ECE", "area", "balanced: quality, %", "saved vs best, %", "above picked hull, points")
			}
			e, name := &p.Enter[k], ""
			if k == 0 {
				name = p.Source
			}
			b := &e.Wye.Modes[balancedMode]
			d.row(name, fmt.Sprint(e.Graded), decimal(e.Wye.AUC), decimal(e.Wye.ECE), decimal(e.Wye.Area),
				percent(b.OfBest), percent(b.SavedBest), percent(b.AbovePicked))
		}
	}
	if !first {
		d.line("")
	}
}

// balancedMode is the place of the balanced mode in RouterReport.Modes.
const balancedMode = 1
