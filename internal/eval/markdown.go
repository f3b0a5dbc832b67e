package eval

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// WriteMarkdown writes the report for people. command is the call that made it.
func (r *Report) WriteMarkdown(w io.Writer, command string) error {
	d := &document{}
	d.line("# Evaluation of the predictor")
	d.line("")
	d.line("Made by `%s`; do not edit.", command)
	d.line("")
	d.method(r)
	d.leakage(r)
	d.summary(r)
	d.areas(r)
	d.rules(r)
	d.pairs(r)
	d.enter(r)
	d.robustness(r)
	for i := range r.Pools {
		d.pool(&r.Pools[i])
	}
	_, err := io.WriteString(w, d.b.String())
	return err
}

type document struct{ b strings.Builder }

func (d *document) line(format string, a ...any) {
	fmt.Fprintf(&d.b, format+"\n", a...)
}

// table writes the header of a table; columns after the first are numbers.
func (d *document) table(columns ...string) {
	d.row(columns...)
	rule := []string{"---"}
	for range columns[1:] {
		rule = append(rule, "---:")
	}
	d.row(rule...)
}

func (d *document) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	d.line("| %s |", strings.Join(cells, " | "))
}

// scaled is v times unit with its interval; a dash where v is undefined.
func scaled(v Interval, unit float64, digits int) string {
	if math.IsNaN(v.Value) {
		return "–"
	}
	value := fixed(v.Value*unit, digits)
	if math.IsNaN(v.Low) {
		return value
	}
	return fmt.Sprintf("%s [%s, %s]", value, fixed(v.Low*unit, digits), fixed(v.High*unit, digits))
}

// fixed spells v with so many digits, without a minus before a zero.
func fixed(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Trim(s, "-0.") == "" {
		return strings.TrimPrefix(s, "-")
	}
	return s
}

func percent(v Interval) string { return scaled(v, 100, 1) }
func decimal(v Interval) string { return scaled(v, 1, 3) }

// money is in US dollars per 1,000 prompts.
func money(v Interval) string { return scaled(v, 1000, 4) }

func (d *document) method(r *Report) {
	d.line("- Data: `%s`, split %s. Predictor %s. Seed %d.", r.Data, r.Split, r.Predictor, r.Seed)
	d.line("- Bands: balanced may lose %.4g, cost %.4g of the best single model's average quality, as predicted; the rates that follow are set per kind of prompt from the predictor's own samples, without outcomes. Choices are made by `router.Rank`, the code that serves.",
		r.Bands.Balanced, r.Bands.Cost)
	d.line("- In brackets: 95%% bootstrap intervals, %d resamples of whole question groups, the same ones for every figure of a pool, so differences are paired.", r.Rounds)
	d.line("- Cost of an answer: what the source reports, else its own tokens at the price of models.csv. The hidden thinking of reasoning models is not in it." +
		" A model whose costs are unknown is no candidate. † marks a weak price: recalled from memory or guessed from the parameter count.")
	d.line("- Best single model: the candidate of the highest quality on the evaluated prompts themselves, which favours it. Hull: what random mixes of single models reach.")
	d.line("- Saved against the hull: share of the cost of a random mix of the same quality. Above the hull: points of quality over a random mix of the same cost." +
		" Area: between the cost-quality curve (rate from nothing to everything) and the hull, over log cost, as a share of the oracle's: 0 is a coin flip between models.")
	d.line("- Picked hull: the same over the single models that the graded prompts would have picked beforehand. The plain hull picks on the evaluated prompts," +
		" and again in every resample, which flatters it where models are many and prompts few: there even the prompt-blind mean has an area well below 0.")
	d.line("- Oracle: knows every score; lucky guesses inflate it. Baselines go through the same rule and learn from the train part of `%s`, pool by pool.", r.Baselines)
	if r.Calibrate > 0 {
		d.line("- Calibration: up to %d graded prompts a pool, never evaluated ones; each pool says where they come from.", r.Calibrate)
	}
	for _, n := range r.Notes {
		d.line("- %s", n)
	}
	d.line("")
}

func (d *document) leakage(r *Report) {
	l := &r.Leakage
	d.line("## Leakage")
	d.line("")
	d.line("%d prompts are evaluated and %d are learnt from by baselines or calibration. Question groups on both sides: %d."+
		" Evaluated prompts whose text, but for case and whitespace, is also on the other side: %d. Evaluated prompts that repeat another: %d.",
		l.Evaluated, l.Learnt, len(l.SharedGroups), l.SharedTexts, l.Duplicates)
	if n := len(l.SharedGroups); n > 0 {
		d.line("Shared groups: %s.", strings.Join(l.SharedGroups[:min(n, 10)], ", "))
	}
	d.line("")
}

func (d *document) summary(r *Report) {
	d.line("## Summary")
	d.line("")
	d.line("Percentages. Quality is relative to the best single model's.")
	d.line("")
	d.table("pool", "prompts", "mode", "quality", "saved vs best", "saved vs hull", "above hull", "above picked hull", "area", "area over picked hull")
	for i := range r.Pools {
		p := &r.Pools[i]
		for k := range p.Wye.Modes {
			m := &p.Wye.Modes[k]
			name, n, a, b := "", "", "", ""
			if k == 0 {
				name, n, a, b = p.Source, fmt.Sprint(p.Prompts), decimal(p.Wye.Area), decimal(p.Wye.AreaPicked)
				if p.CostBasis == CostProxy {
					name += " (proxy cost)"
				}
			}
			d.row(name, n, m.Mode, percent(m.OfBest), percent(m.SavedBest), percent(m.SavedHull), percent(m.AboveHull), percent(m.AbovePicked), a, b)
		}
	}
	d.line("")
	d.verdicts(r)
	for _, s := range r.Skipped {
		d.line("- Not evaluated: %s: %s.", s.Source, s.Why)
	}
	d.line("")
}

// verdicts sorts the pools by what the intervals allow to be claimed.
func (d *document) verdicts(r *Report) {
	var helps, unclear, harms []string
	for i := range r.Pools {
		p := &r.Pools[i]
		a := p.Wye.AreaPicked
		if math.IsNaN(a.Value) {
			a = p.Wye.Area
		}
		switch {
		case p.Wye.Area.above():
			helps = append(helps, p.Source)
		case a.below():
			harms = append(harms, p.Source)
		default:
			unclear = append(unclear, p.Source)
		}
		for k := range p.Wye.Modes {
			m := &p.Wye.Modes[k]
			above := m.AbovePicked
			if math.IsNaN(above.Value) {
				above = m.AboveHull
			}
			if above.below() {
				d.line("- **%s, %s mode: worse than a random mix** of equal cost by %s points.", p.Source, m.Mode, percent(above))
			}
		}
	}
	for _, v := range []struct {
		what  string
		pools []string
	}{
		{"Routing helps: the whole interval of the area is above 0", helps},
		{"No claim: the interval of the area includes 0, or lies below 0 only for the hull picked in hindsight", unclear},
		{"Routing harms: the whole interval of the area, over the picked hull where there is one, is below 0", harms},
	} {
		if len(v.pools) > 0 {
			d.line("- %s: %s.", v.what, strings.Join(v.pools, ", "))
		}
	}
}

// areas shows how much of an area is its definition.
func (d *document) areas(r *Report) {
	if len(r.Pools) == 0 {
		return
	}
	d.line("## The area under other definitions")
	d.line("")
	d.line("The same estimates, for comparison with areas from elsewhere; nothing else in this report uses these definitions. The rule chooses by" +
		" expected cost, which rests on a predicted answer length, and the bill comes afterwards: told each answer's cost, which nobody knows beforehand," +
		" it shows what better lengths could gain. Where costs are a proxy every answer is billed the same length, whatever was expected, so the rule and the bill" +
		" disagree there by construction. The task lookup is told the true task of each prompt and predicts lengths from it.")
	d.line("")
	d.table("pool", "definition", "Wye", lookupName)
	for i := range r.Pools {
		for k, a := range r.Pools[i].Areas {
			name := ""
			if k == 0 {
				name = r.Pools[i].Source
			}
			d.row(name, a.Definition, decimal(a.Wye), decimal(a.Lookup))
		}
	}
	d.line("")
}

// rules shows what other selection rules make of Wye's estimates.
func (d *document) rules(r *Report) {
	if len(r.Pools) == 0 {
		return
	}
	d.line("## Selection rules")
	d.line("")
	d.line("What each rule makes of the same estimates; the first serves. Savings are where the rule's curve just reaches %.4g%% of the best single"+
		" model's quality, found in hindsight on the same prompts.", 100*targetQuality)
	d.line("")
	d.table("pool", "rule", "area", "saved vs best, %", "saved vs hull, %")
	for i := range r.Pools {
		for k, rule := range r.Pools[i].Rules {
			name := ""
			if k == 0 {
				name = r.Pools[i].Source
			}
			d.row(name, rule.Rule, decimal(rule.Area), percent(rule.SavedBest), percent(rule.SavedHull))
		}
	}
	d.line("")
}

func (d *document) pairs(r *Report) {
	first := true
	for i := range r.Pools {
		p := r.Pools[i].Pair
		if p == nil {
			continue
		}
		if first {
			first = false
			d.line("## Pools of two models, as RouteLLM reports them")
			d.line("")
			d.line("Calls to the strong model that recover 50%% and 80%% of its quality gain over the weak one (a coin flip needs 50 and 80), and" +
				" the recovered gain averaged over all shares of strong calls (a coin flip: 0.5).")
			d.line("")
			d.table("pool", "router", "calls for 50%", "calls for 80%", "APGR")
		}
		for k := range p.Rows {
			c := &p.Rows[k]
			name := ""
			if k == 0 {
				name = fmt.Sprintf("%s: %s over %s", r.Pools[i].Source, p.Strong, p.Weak)
			}
			d.row(name, c.Router, percent(c.CPT50), percent(c.CPT80), decimal(c.APGR))
		}
	}
	if !first {
		d.line("")
	}
}

func (d *document) robustness(r *Report) {
	first := true
	for i := range r.Pools {
		p := &r.Pools[i]
		for k := range p.Robust {
			if first {
				first = false
				d.line("## Robustness")
				d.line("")
				d.line("Balanced decisions that another wording of the same prompt changes, per cent. A near-tie hangs on less than %g of predicted quality;"+
					" the last but two columns leave near-ties out. The last two are the effect on quality, in points, and on cost.", tieMargin)
				d.line("")
				d.table("pool", "perturbation", "changed", "near-ties", "changed without near-ties", "quality", "cost")
			}
			row, name := &p.Robust[k], ""
			if k == 0 {
				name = p.Source
			}
			d.row(name, row.Perturbation, percent(row.Changed), percent(Interval{row.NearTies.Value, math.NaN(), math.NaN()}),
				percent(row.Clear), percent(row.Quality), percent(row.Cost))
		}
	}
	if !first {
		d.line("")
	}
}

func (d *document) pool(p *PoolReport) {
	d.line("## %s", p.Source)
	d.line("")
	d.line("%d prompts in %d groups; costs %s; best single model %s.", p.Prompts, p.Groups, p.CostBasis, p.Best)
	for _, n := range p.Notes {
		d.line("%s", n)
	}
	d.line("")
	d.table("router", "area", "mode", "quality", "$ per 1,000", "of best, %", "saved vs best, %", "saved vs hull, %", "above hull, points", "above picked hull", "ECE", "AUC")
	d.router(&p.Wye)
	for i := range p.Baselines {
		d.router(&p.Baselines[i])
	}
	d.row("oracle", "1", "", decimal(p.Oracle.Quality), money(p.Oracle.Cost), "", "", "", "", "", "", "")
	d.line("")
	if p.Wye.Guarded > 0 {
		d.line("Wye fell back to model averages on %.1f%% of the prompts, because they are too unlike its training data.", 100*p.Wye.Guarded)
		d.line("")
	}
	for i := range p.Wye.Modes {
		m := &p.Wye.Modes[i]
		var shares []string
		for _, s := range m.Shares[:min(len(m.Shares), 8)] {
			shares = append(shares, fmt.Sprintf("%s %.1f%%", s.Model, 100*s.Share))
		}
		d.line("- Chosen in %s mode: %s.", m.Mode, strings.Join(shares, ", "))
	}
	d.line("")
	d.table("single model", "quality", "$ per 1,000", "on hull", "AUC", "estimate")
	for i := range p.Models {
		m := &p.Models[i]
		name, hull := m.Model, ""
		if m.WeakPrice {
			name += " †"
		}
		if m.OnHull {
			hull = "yes"
		}
		d.row(name, decimal(m.Quality), money(m.Cost), hull, decimal(m.AUC), m.From)
	}
	d.line("")
	for _, l := range p.LeftOut {
		d.line("- No candidate: %s (quality %.3f on %d prompts of its own): %s.", l.Model, l.Quality, l.Outcomes, l.Why)
	}
	if len(p.LeftOut) > 0 {
		d.line("")
	}
}

func (d *document) router(r *RouterReport) {
	for i := range r.Modes {
		m := &r.Modes[i]
		name, a, ece, auc := "", "", "", ""
		if i == 0 {
			name, a, ece, auc = r.Router, decimal(r.Area), decimal(r.ECE), decimal(r.AUC)
		}
		d.row(name, a, m.Mode, decimal(m.Quality), money(m.Cost), percent(m.OfBest),
			percent(m.SavedBest), percent(m.SavedHull), percent(m.AboveHull), percent(m.AbovePicked), ece, auc)
	}
}
