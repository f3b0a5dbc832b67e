package eval

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
)

// The splits of Prompt.Split; SplitAll takes them all.
const (
	SplitTrain = "train"
	SplitVal   = "val"
	SplitTest  = "test"
	SplitAll   = "all"
)

const (
	// minCoverage is the share of a pool's prompts that a model must have
	// answered to be a candidate, unless it was asked for by name.
	minCoverage = 0.9
	// minPrompts is what a pool needs for its figures to say anything.
	minPrompts = 20
)

// Model is a candidate of a pool.
type Model struct {
	Name  string
	Price Price
}

// LeftOut is a model of the source that is no candidate, and why.
type LeftOut struct {
	Model    string  `json:"model"`
	Why      string  `json:"why"`
	Outcomes int     `json:"outcomes"`
	Quality  float64 `json:"quality"` // mean over its own prompts
}

// Pool is the part of one source that is evaluated: every candidate has an
// outcome for every prompt. Score and Cost are row-major, prompts × models.
type Pool struct {
	Source  string
	Basis   CostBasis
	Models  []Model
	LeftOut []LeftOut
	Prompts []*Prompt
	Score   []float64
	Cost    []float64 // US dollars
	// Partial counts prompts dropped because a candidate has no outcome.
	Partial int
	// Filled counts costs filled in with their model's mean.
	Filled int
	group  []int // of each prompt, dense from 0
	groups int
}

// Graded are prompts with known scores from which something may be learnt:
// never prompts that are evaluated.
type Graded struct {
	Prompts []*Prompt
	Score   []float64 // prompts × the pool's models; NaN where unknown
	Tokens  []float64 // output tokens, likewise
}

// outcome returns the outcome of model for prompt i, nil when there is none.
func (d *Data) outcome(i, model int) *Outcome {
	row := d.Outcomes[i]
	for k := range row {
		if row[k].Model == model {
			return &row[k]
		}
	}
	return nil
}

// Sources returns the sources that have prompts in split, sorted.
func (d *Data) Sources(split string) []string {
	seen := map[string]bool{}
	for i := range d.Prompts {
		if p := &d.Prompts[i]; split == SplitAll || p.Split == split {
			seen[p.Source] = true
		}
	}
	var out []string
	for s := range seen {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// rows returns the prompts of source in split that have outcomes.
func (d *Data) rows(source, split string) []int {
	var rows []int
	for i := range d.Prompts {
		p := &d.Prompts[i]
		if p.Source == source && (split == SplitAll || p.Split == split) && len(d.Outcomes[i]) > 0 {
			rows = append(rows, i)
		}
	}
	return rows
}

// pool builds the pool of source over rows. names restricts the candidates;
// none stands for all. The error says why there is nothing to evaluate.
func (d *Data) pool(source string, rows []int, names []string) (*Pool, error) {
	p := &Pool{Source: source}
	bills := map[int]bill{}
	anyKnown := false
	for m := range d.Models {
		b := d.billOf(m, rows)
		if b.total == 0 {
			continue
		}
		bills[m] = b
		anyKnown = anyKnown || b.known > 0
	}
	p.Basis = CostProxy
	if anyKnown {
		p.Basis = CostReported
	}
	var candidates []int
	for m, name := range d.Models {
		b, ok := bills[m]
		if !ok || len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		why := b.why(p.Basis)
		if why == "" && len(names) == 0 && float64(b.total) < minCoverage*float64(len(rows)) {
			why = fmt.Sprintf("answered %d of %d prompts", b.total, len(rows))
		}
		if why != "" {
			p.LeftOut = append(p.LeftOut, LeftOut{Model: name, Why: why, Outcomes: b.total, Quality: d.meanScore(m, rows)})
			continue
		}
		candidates = append(candidates, m)
		p.Models = append(p.Models, Model{Name: name, Price: b.price})
	}
	if len(candidates) < 2 {
		return nil, fmt.Errorf("%d models with a usable cost, at least 2 are needed", len(candidates))
	}
	for _, i := range rows {
		d.addRow(p, i, candidates, bills)
	}
	if len(p.Prompts) < minPrompts {
		return nil, fmt.Errorf("%d prompts that every candidate answered, at least %d are needed", len(p.Prompts), minPrompts)
	}
	p.setGroups()
	return p, nil
}

// addRow appends prompt i unless a candidate has no outcome for it.
func (d *Data) addRow(p *Pool, i int, candidates []int, bills map[int]bill) {
	before := len(p.Score)
	for k, m := range candidates {
		o := d.outcome(i, m)
		if o == nil {
			p.Score, p.Cost = p.Score[:before], p.Cost[:before]
			p.Partial++
			return
		}
		b := bills[m]
		cost := b.cost(&d.Prompts[i], o)
		if p.Basis == CostProxy {
			cost = p.Models[k].Price.cost(float64(d.Prompts[i].InputTokens), proxyTokens)
		} else if math.IsNaN(cost) {
			cost = b.mean
			p.Filled++
		}
		p.Score, p.Cost = append(p.Score, o.Score), append(p.Cost, cost)
	}
	p.Prompts = append(p.Prompts, &d.Prompts[i])
}

func (d *Data) meanScore(model int, rows []int) float64 {
	sum, n := 0.0, 0
	for _, i := range rows {
		if o := d.outcome(i, model); o != nil {
			sum += o.Score
			n++
		}
	}
	return sum / float64(n)
}

func (p *Pool) setGroups() {
	index := map[string]int{}
	for _, prompt := range p.Prompts {
		g, ok := index[prompt.Group]
		if !ok {
			g = len(index)
			index[prompt.Group] = g
		}
		p.group = append(p.group, g)
	}
	p.groups = len(index)
}

// graded collects the outcomes of rows for the pool's models; prompts without
// any are left out.
func (d *Data) graded(p *Pool, rows []int) *Graded {
	column := make(map[int]int, len(p.Models))
	for k, m := range p.Models {
		if at, ok := slices.BinarySearch(d.Models, m.Name); ok {
			column[at] = k
		}
	}
	g := &Graded{}
	for _, i := range rows {
		score := make([]float64, len(p.Models))
		tokens := make([]float64, len(p.Models))
		graded := false
		for k := range score {
			score[k], tokens[k] = math.NaN(), math.NaN()
		}
		for _, o := range d.Outcomes[i] {
			if k, ok := column[o.Model]; ok {
				score[k], tokens[k] = o.Score, o.Tokens
				graded = true
			}
		}
		if graded {
			g.Prompts = append(g.Prompts, &d.Prompts[i])
			g.Score, g.Tokens = append(g.Score, score...), append(g.Tokens, tokens...)
		}
	}
	return g
}

// draw splits rows into about n prompts to learn from and the rest, whole
// groups at a time and by a hash, so that the draw depends on the seed and the
// group names alone.
func (d *Data) draw(rows []int, n int, seed uint64) (drawn, rest []int) {
	type keyed struct {
		row int
		key uint64
	}
	order := make([]keyed, len(rows))
	for k, i := range rows {
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %s", seed, d.Prompts[i].Group)
		order[k] = keyed{i, h.Sum64()}
	}
	slices.SortStableFunc(order, func(a, b keyed) int {
		if a.key != b.key {
			if a.key < b.key {
				return -1
			}
			return 1
		}
		return strings.Compare(d.Prompts[a.row].Group, d.Prompts[b.row].Group)
	})
	for k, o := range order {
		sameGroup := k > 0 && d.Prompts[o.row].Group == d.Prompts[order[k-1].row].Group
		if len(rest) == 0 && (len(drawn) < n || sameGroup && n > 0) {
			drawn = append(drawn, o.row)
		} else {
			rest = append(rest, o.row)
		}
	}
	slices.Sort(drawn)
	slices.Sort(rest)
	return drawn, rest
}
