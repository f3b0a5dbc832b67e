package eval

import (
	"fmt"
	"math"
)

// CostBasis says what the cost figures of a pool rest on.
type CostBasis string

// The bases.
const (
	// CostReported: each outcome's cost_usd, or its own output tokens at the
	// price of models.csv.
	CostReported CostBasis = "reported"
	// CostProxy: nothing in the pool tells how long any answer was, so every
	// answer counts as proxyTokens long. It compares prices, not bills.
	CostProxy CostBasis = "proxy"
)

const (
	// proxyTokens is the assumed answer length of a CostProxy pool.
	proxyTokens = 256
	// minKnownCosts is the share of a model's outcomes whose cost must be
	// known; the others are filled in with the model's mean.
	minKnownCosts = 0.95
)

// bill is what a pool knows of the cost of each of its models.
type bill struct {
	price Price
	// priced is false when neither models.csv nor the outcomes tell a price.
	priced bool
	known  int // outcomes with a known cost
	total  int
	mean   float64 // of the known costs
}

// billOf sums up the outcomes of model in rows. A model without a price in
// models.csv gets the one that its reported costs imply: prices are public
// before the first call, so a router may know them.
func (d *Data) billOf(model int, rows []int) bill {
	var b bill
	b.price, b.priced = d.Prices[d.Models[model]]
	var fit priceFit
	sum := 0.0
	for _, i := range rows {
		o := d.outcome(i, model)
		if o == nil {
			continue
		}
		b.total++
		fit.add(float64(d.Prompts[i].InputTokens), o)
		if c := b.cost(&d.Prompts[i], o); !math.IsNaN(c) {
			b.known++
			sum += c
		}
	}
	if b.known > 0 {
		b.mean = sum / float64(b.known)
	}
	if !b.priced {
		b.price, b.priced = fit.price()
	}
	return b
}

// cost returns what the outcome cost in US dollars, NaN when that is unknown.
func (b *bill) cost(p *Prompt, o *Outcome) float64 {
	switch {
	case !math.IsNaN(o.Cost):
		return o.Cost
	case b.priced:
		return b.price.cost(float64(p.InputTokens), o.Tokens)
	}
	return math.NaN()
}

// cost is NaN when output is.
func (p Price) cost(input, output float64) float64 {
	return (input*p.Input + output*p.Output) / 1e6
}

// impliedPrice is Price.From of a priceFit.
const impliedPrice = "implied by reported costs"

// priceFit finds the prices that explain reported costs best: least squares of
// cost over input and output tokens, neither price negative.
type priceFit struct {
	n                  int
	ii, io, oo, ic, oc float64
	tokens             int // outcomes that report output tokens
}

func (f *priceFit) add(input float64, o *Outcome) {
	if math.IsNaN(o.Cost) {
		return
	}
	output := 0.0
	if !math.IsNaN(o.Tokens) {
		output = o.Tokens
		f.tokens++
	}
	f.n++
	f.ii += input * input
	f.io += input * output
	f.oo += output * output
	f.ic += input * o.Cost
	f.oc += output * o.Cost
}

// price reports false when no outcome had a cost and any tokens.
func (f *priceFit) price() (Price, bool) {
	p := Price{From: impliedPrice}
	det := f.ii*f.oo - f.io*f.io
	if f.tokens == f.n && det > 1e-9*f.ii*f.oo {
		p.Input = (f.ic*f.oo - f.oc*f.io) / det * 1e6
		p.Output = (f.oc*f.ii - f.ic*f.io) / det * 1e6
		if p.Input >= 0 && p.Output >= 0 {
			return p, true
		}
	}
	p.Input, p.Output = 0, 0
	// One price alone: output where lengths are known, else input.
	switch {
	case f.tokens == f.n && f.oo > 0:
		p.Output = f.oc / f.oo * 1e6
	case f.ii > 0:
		p.Input = f.ic / f.ii * 1e6
	default:
		return Price{}, false
	}
	return p, true
}

// why says why a model's cost is not usable on basis; empty when it is.
func (b *bill) why(basis CostBasis) string {
	switch {
	case !b.priced:
		return "no price"
	case basis == CostProxy:
		return ""
	case float64(b.known) < minKnownCosts*float64(b.total):
		return fmt.Sprintf("cost unknown for %d of %d outcomes", b.total-b.known, b.total)
	}
	return ""
}
