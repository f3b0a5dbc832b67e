package train

import (
	"math"
	"slices"

	"wye/predict"
)

// Pool is what a predictor reaches on one source of held-out prompts.
type Pool struct {
	Source  string
	Prompts int
	Models  int // priced ones, which the decisions choose from

	AUC     float64 // within a model, mean over models
	LogLoss float64 // of all answers, in nats
	Blind   float64 // log loss of the model's mean over the training split's answers of the source
	ECE     float64 // expected calibration error, 10 bins

	Best        string  // the best single model
	BestQuality float64 // its mean score
	BestCost    float64 // US dollars a prompt
	Quality     Choice  // the best estimate's model, whatever it costs
	// Area is the area between the cost-quality curve and the random-mix hull of
	// single models over log cost, as a share of the oracle's.
	Area float64
	// LookupArea is the same for a table of each model's mean score by task that
	// is told the true task, which serving is not.
	LookupArea float64
	// LengthR2 is the share of the variance of log output tokens explained.
	LengthR2 float64
}

// Choice is what one way to choose reaches.
type Choice struct {
	Quality float64
	Cost    float64
	Saved   float64 // share of the best single model's cost
	// AgainstHull is the share of the cost saved against the random mix of two
	// single models with the same quality.
	AgainstHull float64
}

// grid holds a pool's answers: scores and costs by prompt and model.
type grid struct {
	models []int
	rows   []row
}

type row struct {
	prompt   int
	score    []float64
	cost     []float64 // measured
	quality  []float64 // predicted
	expected []float64 // predicted cost
	lookup   []float64 // mean score of the true task
}

// proxyTokens stands for the output where a source reports no tokens.
const proxyTokens = 200

// Measure judges p on the prompts of split that answer by at least two models,
// pool by pool. Models that p was not trained on are left out.
func Measure(p *predict.Predictor, d *Data, split string) []Pool {
	var pools []Pool
	bySource := map[string][]int{}
	for i := range d.Prompts {
		if d.Prompts[i].Split == split {
			bySource[d.Prompts[i].Source] = append(bySource[d.Prompts[i].Source], i)
		}
	}
	answers := answersByPrompt(d)
	means := newBlind(d)
	sources := make([]string, 0, len(bySource))
	for s := range bySource {
		sources = append(sources, s)
	}
	slices.Sort(sources)
	for _, source := range sources {
		pools = append(pools, measurePool(p, d, source, bySource[source], answers, means))
	}
	return pools
}

func answersByPrompt(d *Data) [][]Outcome {
	out := make([][]Outcome, len(d.Prompts))
	for from := 0; from < len(d.Outcomes); {
		to := from
		for to < len(d.Outcomes) && d.Outcomes[to].Prompt == d.Outcomes[from].Prompt {
			to++
		}
		out[d.Outcomes[from].Prompt] = d.Outcomes[from:to]
		from = to
	}
	return out
}

// blind are mean scores in the training split: of each source's models, and of
// its tasks' models, shrunk towards the source's.
type blind struct {
	source map[string][]mean
	task   map[[2]string][]mean
}

type mean struct{ sum, n float64 }

func newBlind(d *Data) *blind {
	b := &blind{map[string][]mean{}, map[[2]string][]mean{}}
	for _, o := range d.Outcomes {
		p := &d.Prompts[o.Prompt]
		if p.Split != SplitTrain {
			continue
		}
		key := [2]string{p.Source, p.Task}
		if b.source[p.Source] == nil {
			b.source[p.Source] = make([]mean, len(d.Models))
		}
		if b.task[key] == nil {
			b.task[key] = make([]mean, len(d.Models))
		}
		for _, m := range []*mean{&b.source[p.Source][o.Model], &b.task[key][o.Model]} {
			m.sum += float64(o.Score)
			m.n++
		}
	}
	return b
}

// prior is the model's mean score in the source; one half where there is none.
func (b *blind) prior(source string, model int) float64 {
	if b.source[source] == nil {
		return 0.5
	}
	m := b.source[source][model]
	return (m.sum + 0.5) / (m.n + 1)
}

// mean is the model's mean score in the prompt's task, with five prompts' worth
// of its mean in the source.
func (b *blind) mean(p *Prompt, model int) float64 {
	prior := b.prior(p.Source, model)
	if t := b.task[[2]string{p.Source, p.Task}]; t != nil {
		return (t[model].sum + 5*prior) / (t[model].n + 5)
	}
	return prior
}

func measurePool(p *predict.Predictor, d *Data, source string, prompts []int, answers [][]Outcome, means *blind) Pool {
	pool := Pool{Source: source, Prompts: len(prompts)}
	predicted := map[int][]predict.Output{}
	byModel := map[int][][2]float64{}
	var bins [10][3]float64
	var n, lengths float64
	var lengthSum, lengthSquare, lengthError float64
	for _, i := range prompts {
		var models []predict.Model
		for _, o := range answers[i] {
			m, ok := p.Model(d.Models[o.Model])
			if !ok {
				m, _ = p.Prior(predict.Hint{})
			}
			models = append(models, m)
		}
		out := make([]predict.Output, len(models))
		pr := &d.Prompts[i]
		p.Predict(&predict.Input{User: []byte(pr.Text), System: []byte(pr.System)}, models, out)
		predicted[i] = out
		for j, o := range answers[i] {
			q, y := float64(out[j].Quality), float64(o.Score)
			pool.LogLoss += crossEntropy(q, y)
			pool.Blind += crossEntropy(means.prior(source, o.Model), y)
			b := &bins[min(int(q*10), 9)]
			b[0]++
			b[1] += q
			b[2] += y
			n++
			byModel[o.Model] = append(byModel[o.Model], [2]float64{q, y})
			if o.Tokens > 0 {
				l := math.Log(float64(o.Tokens))
				e := l - math.Log(float64(out[j].OutputTokens))
				lengths++
				lengthSum += l
				lengthSquare += l * l
				lengthError += e * e
			}
		}
	}
	pool.LogLoss /= max(n, 1)
	pool.Blind /= max(n, 1)
	for _, b := range bins {
		if b[0] > 0 {
			pool.ECE += math.Abs(b[1]-b[2]) / n
		}
	}
	if lengths > 0 {
		pool.LengthR2 = 1 - lengthError/max(lengthSquare-lengthSum*lengthSum/lengths, 1e-9)
	}
	pool.AUC = meanAUC(byModel)
	g := newGrid(d, prompts, answers, predicted, means)
	pool.Models = len(g.models)
	if len(g.models) > 1 && len(g.rows) > 0 {
		g.judge(&pool, d)
	}
	return pool
}

func crossEntropy(q, y float64) float64 {
	q = min(max(q, 1e-6), 1-1e-6)
	return -y*math.Log(q) - (1-y)*math.Log(1-q)
}

// meanAUC is the mean over models of the probability that a prompt it answered
// better has the higher prediction.
func meanAUC(byModel map[int][][2]float64) float64 {
	models := make([]int, 0, len(byModel))
	for m := range byModel {
		models = append(models, m)
	}
	slices.Sort(models)
	var sum, n float64
	for _, m := range models {
		pairs := byModel[m]
		slices.SortFunc(pairs, func(a, b [2]float64) int {
			switch {
			case a[0] < b[0]:
				return -1
			case a[0] > b[0]:
				return 1
			}
			return 0
		})
		// Scores are soft: split each answer into y good and 1-y bad.
		var good, bad, won float64
		for i := 0; i < len(pairs); {
			j, g, b := i, 0.0, 0.0
			for ; j < len(pairs) && pairs[j][0] == pairs[i][0]; j++ {
				g += pairs[j][1]
				b += 1 - pairs[j][1]
			}
			won += g * (bad + b/2)
			good += g
			bad += b
			i = j
		}
		if good > 0 && bad > 0 {
			sum += won / (good * bad)
			n++
		}
	}
	return sum / max(n, 1)
}

// newGrid keeps the priced models that answered at least nine tenths of the
// prompts, and the prompts that all of them answered.
func newGrid(d *Data, prompts []int, answers [][]Outcome, predicted map[int][]predict.Output, means *blind) *grid {
	answered, billed := make([]int, len(d.Models)), make([]int, len(d.Models))
	anyBilled := false
	for _, i := range prompts {
		for _, o := range answers[i] {
			answered[o.Model]++
			if !math.IsNaN(o.Cost) {
				billed[o.Model]++
				anyBilled = true
			}
		}
	}
	g := &grid{}
	for m, name := range d.Models {
		_, priced := d.Prices[name]
		if priced && 10*answered[m] >= 9*len(prompts) && (!anyBilled || 10*billed[m] >= 9*answered[m]) {
			g.models = append(g.models, m)
		}
	}
	for _, i := range prompts {
		r := row{prompt: i}
		for _, m := range g.models {
			at, ok := slices.BinarySearchFunc(answers[i], m, func(o Outcome, m int) int { return o.Model - m })
			if !ok {
				break
			}
			o := &answers[i][at]
			price := d.Prices[d.Models[m]]
			input := float64(d.Prompts[i].InputTokens)
			cost := o.Cost
			expected := (price.Input*input + price.Output*float64(predicted[i][at].OutputTokens)) / 1e6
			if !anyBilled {
				cost = (price.Input*input + price.Output*proxyTokens) / 1e6
				expected = cost
			}
			if math.IsNaN(cost) {
				break
			}
			r.score = append(r.score, float64(o.Score))
			r.cost = append(r.cost, cost)
			r.quality = append(r.quality, float64(predicted[i][at].Quality))
			r.expected = append(r.expected, expected)
			r.lookup = append(r.lookup, means.mean(&d.Prompts[i], m))
		}
		if len(r.score) == len(g.models) {
			g.rows = append(g.rows, r)
		}
	}
	return g
}

// achieve is the mean score and cost when choose picks a model of each row.
func (g *grid) achieve(choose func(r *row) int) point {
	var p point
	for i := range g.rows {
		r := &g.rows[i]
		m := choose(r)
		p.quality += r.score[m]
		p.cost += r.cost[m]
	}
	n := float64(len(g.rows))
	return point{p.cost / n, p.quality / n}
}

// weighed picks the model with the highest quality less lambda times cost.
func weighed(quality, cost []float64, lambda float64) int {
	best := 0
	for m := range quality {
		if quality[m]-lambda*cost[m] > quality[best]-lambda*cost[best] {
			best = m
		}
	}
	return best
}

func (g *grid) judge(pool *Pool, d *Data) {
	singles := make([]point, len(g.models))
	best := 0
	for m := range g.models {
		singles[m] = g.achieve(func(*row) int { return m })
		if singles[m].quality > singles[best].quality {
			best = m
		}
	}
	pool.Best = d.Models[g.models[best]]
	pool.BestQuality, pool.BestCost = singles[best].quality, singles[best].cost
	hull := upperHull(singles)
	choice := func(p point) Choice {
		return Choice{p.quality, p.cost, 1 - p.cost/singles[best].cost, 1 - p.cost/hull.costOf(p.quality)}
	}
	pool.Quality = choice(g.achieve(func(r *row) int { return weighed(r.quality, r.expected, 0) }))
	var router, oracle, lookup []point
	for e := -2.0; e <= 7; e += 0.125 {
		lambda := math.Pow(10, e)
		router = append(router, g.achieve(func(r *row) int { return weighed(r.quality, r.expected, lambda) }))
		lookup = append(lookup, g.achieve(func(r *row) int { return weighed(r.lookup, r.expected, lambda) }))
		oracle = append(oracle, g.achieve(func(r *row) int { return weighed(r.score, r.cost, lambda) }))
	}
	from, to := hull[0].cost, hull[len(hull)-1].cost
	all := max(areaAbove(oracle, hull, from, to), 1e-12)
	pool.Area = areaAbove(router, hull, from, to) / all
	pool.LookupArea = areaAbove(lookup, hull, from, to) / all
}
