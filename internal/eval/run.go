package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"wye/router"
)

// Predictor makes the estimator that is judged.
type Predictor interface {
	// Version names it in the report.
	Version() string
	// Bind resolves the models of one pool and returns where the estimates of
	// each come from. graded is nil unless models are to be calibrated on it.
	Bind(models []Model, graded *Graded) (e Estimator, from []string, err error)
}

// Config is one evaluation.
type Config struct {
	Data *Data
	// Learn is the folder whose train part the baselines learn from and graded
	// prompts for calibration are drawn from; nil is Data.
	Learn     *Data
	Split     string   // val, test, train or all
	Models    []string // the only candidates; none stands for all
	Predictor Predictor
	Bands     router.Bands
	// Calibrate is the number of graded prompts a pool from which the predictor
	// may learn its models; 0: none. Where there is no train part to draw them
	// from, they are taken from the evaluated prompts, half of a pool at most.
	Calibrate int
	// Enter are numbers of graded prompts with which the pool's models come in as
	// Newcomers has it; none: that is not evaluated.
	Enter      []int
	Newcomers  Predictor
	Rounds     int // of the bootstrap
	Seed       uint64
	Robustness bool
	// Progress is told each pool before it is evaluated; nil: nobody.
	Progress func(source string)
}

func (c *Config) check() error {
	var errs []error
	fault := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if !slices.Contains([]string{SplitTrain, SplitVal, SplitTest, SplitAll}, c.Split) {
		fault("split is %q, must be val, test, train or all", c.Split)
	} else if len(c.Data.Sources(c.Split)) == 0 {
		fault("%s: no prompts in split %s", c.Data.Dir, c.Split)
	}
	for _, m := range c.Models {
		if _, ok := slices.BinarySearch(c.Data.Models, m); !ok {
			fault("%s: no outcomes of model %q", c.Data.Dir, m)
		}
	}
	if c.Calibrate < 0 {
		fault("calibrate is %d, must not be negative", c.Calibrate)
	}
	for _, n := range c.Enter {
		if n < 0 {
			fault("enter is %d, must not be negative", n)
		}
	}
	if len(c.Enter) > 0 && c.Newcomers == nil {
		fault("there is no predictor for models that come in")
	}
	if c.Rounds < 1 {
		fault("%d bootstrap rounds, at least 1 is needed", c.Rounds)
	}
	for _, b := range []struct {
		name string
		band float64
	}{{"balanced", c.Bands.Balanced}, {"cost", c.Bands.Cost}} {
		if !(b.band >= 0 && b.band <= 1) {
			fault("%s band is %v, must be 0 to 1", b.name, b.band)
		}
	}
	return errors.Join(errs...)
}

// Run evaluates every source of the split. It stops early only for ctx and for
// what the caller got wrong; a source that cannot be evaluated is listed with
// the reason.
func Run(ctx context.Context, c Config) (*Report, error) {
	if c.Learn == nil {
		c.Learn = c.Data
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	r := &Report{
		Data: c.Data.Dir, Baselines: c.Learn.Dir, Split: c.Split, Predictor: c.Predictor.Version(),
		Seed: c.Seed, Rounds: c.Rounds, Calibrate: c.Calibrate, Bands: c.Bands,
	}
	if c.Split == SplitAll || c.Split == SplitTrain {
		r.Notes = append(r.Notes, "The split includes prompts that the predictor may have been trained on.")
	}
	var evaluated, learnt []*Prompt
	for _, source := range c.Data.Sources(c.Split) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if c.Progress != nil {
			c.Progress(source)
		}
		s := c.sample(source)
		pool, err := c.Data.pool(source, s.rows, c.Models)
		if err != nil {
			r.Skipped = append(r.Skipped, Skipped{source, err.Error()})
			continue
		}
		pr, err := c.pool(pool, s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		evaluated = append(evaluated, pool.Prompts...)
		if s.learn != nil {
			learnt = append(learnt, s.from.graded(pool, s.learn).Prompts...)
		}
		r.Pools = append(r.Pools, *pr)
	}
	r.Leakage = leakage(evaluated, learnt)
	return r, nil
}

// sample is which prompts of a source are evaluated and which are learnt from.
type sample struct {
	rows      []int // evaluated, of Config.Data
	from      *Data // of learn and calibrate
	learn     []int // what baselines may learn from
	calibrate []int // what the predictor may
	of        string
}

func (c *Config) sample(source string) sample {
	s := sample{rows: c.Data.rows(source, c.Split), from: c.Learn}
	if c.Learn != c.Data || c.Split != SplitAll && c.Split != SplitTrain {
		s.learn = c.Learn.rows(source, SplitTrain)
	}
	if len(s.learn) > 0 {
		s.of = "train part of " + c.Learn.Dir
		if c.Calibrate > 0 {
			s.calibrate, _ = c.Learn.draw(s.learn, c.Calibrate, c.Seed)
		}
		return s
	}
	if c.Calibrate > 0 {
		// Never more than half, or nothing would be left of a small pool.
		s.calibrate, s.rows = c.Data.draw(s.rows, min(c.Calibrate, len(s.rows)/2), c.Seed)
		s.from, s.learn = c.Data, s.calibrate
		s.of = "slice of the pool that is not evaluated"
	}
	return s
}

// pool evaluates one pool.
func (c *Config) pool(p *Pool, s sample) (*PoolReport, error) {
	r := &PoolReport{
		Source: p.Source, Prompts: len(p.Prompts), Groups: p.groups, CostBasis: p.Basis,
		LeftOut: p.LeftOut, GradedOf: s.of, Notes: p.notes(),
	}
	var calibration *Graded
	if len(s.calibrate) > 0 {
		calibration = s.from.graded(p, s.calibrate)
		r.Notes = append(r.Notes, fmt.Sprintf("Every candidate was calibrated on %d graded prompts: %s.", len(calibration.Prompts), s.of))
	}
	e, from, err := c.Predictor.Bind(p.Models, calibration)
	if err != nil {
		return nil, err
	}
	var g *Graded
	if len(s.learn) > 0 {
		g = s.from.graded(p, s.learn)
		r.Graded = len(g.Prompts)
	}
	m := newMeasure(p, g, r)
	for k := range r.Models {
		r.Models[k].From = from[k]
	}
	wye := p.estimate(e, c.Bands)
	r.Wye.Router = "Wye"
	r.curves.wye = m.router(wye, &r.Wye)
	m.modelAUC(wye, r.Models)
	r.Rules = m.rules(wye)

	routers := []*estimates{wye}
	var told *estimates // of the task lookup
	if g != nil {
		r.Baselines = make([]RouterReport, len(baselines))
		for i, b := range baselines {
			es := p.estimate(b.fit(p, g), c.Bands)
			r.Baselines[i].Router = b.name
			points := m.router(es, &r.Baselines[i])
			if b.name == lookupName {
				r.curves.lookup, told = points, es
			}
			routers = append(routers, es)
		}
	}
	r.Areas = m.areas(wye, told)
	if pair, ok := newPair(p); ok {
		r.Pair = pair.reportAll(&m.figures, routers, r)
	}
	if r.Enter, err = c.enter(m, s); err != nil {
		return nil, err
	}
	if c.Robustness {
		r.Robust = p.robustness(&m.figures, e, wye, c.Bands, c.Seed)
	}
	m.figures.run(p, c.Rounds, c.Seed)
	for i := range r.Wye.Modes {
		r.curves.modes = append(r.curves.modes, r.Wye.Modes[i].point())
	}
	return r, nil
}

// notes says what a reader must know of the pool's figures.
func (p *Pool) notes() []string {
	var out []string
	if p.Basis == CostProxy {
		out = append(out, fmt.Sprintf("No source tells how long the answers were: every answer counts as %d tokens, so costs compare prices only.", proxyTokens))
	}
	if p.Partial > 0 {
		out = append(out, fmt.Sprintf("%d prompts were dropped because a candidate has no outcome for them.", p.Partial))
	}
	if p.Filled > 0 {
		out = append(out, fmt.Sprintf("%d unknown costs were filled in with their model's mean.", p.Filled))
	}
	weak, implied := 0, 0
	for _, m := range p.Models {
		if m.Price.Weak() {
			weak++
		}
		if m.Price.From == impliedPrice {
			implied++
		}
	}
	if weak > 0 {
		out = append(out, fmt.Sprintf("%d of %d candidates have a weak price (recalled from memory or guessed from size).", weak, len(p.Models)))
	}
	if implied > 0 {
		out = append(out, fmt.Sprintf("%d candidates have no listed price; theirs is what the reported costs imply.", implied))
	}
	return out
}
