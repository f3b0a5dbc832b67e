package eval

import (
	"math"

	"wye/router"
)

// baseline is a simple router that learns from graded prompts and then goes
// through the same selection rule as Wye.
type baseline struct {
	name string
	fit  func(p *Pool, g *Graded) Estimator
}

// lookupName is the baseline that plots show.
const lookupName = "true task lookup"

// The baselines of every pool that has graded prompts to learn from.
var baselines = []baseline{
	{"prompt-blind mean", func(p *Pool, g *Graded) Estimator { return newMeans(p, g) }},
	{lookupName, func(p *Pool, g *Graded) Estimator { return newLookup(p, g) }},
	{"TF-IDF kNN", func(p *Pool, g *Graded) Estimator { return newNeighbours(p, g) }},
	{"TF-IDF ridge", func(p *Pool, g *Graded) Estimator { return newRidge(p, g) }},
}

// means knows each model's mean score and answer length and looks at no prompt.
type means struct {
	score, tokens []float64
}

func newMeans(p *Pool, g *Graded) *means {
	n := len(p.Models)
	m := &means{make([]float64, n), make([]float64, n)}
	for k := range n {
		m.score[k] = columnMean(g.Score, n, k, 0.5)
		m.tokens[k] = columnMean(g.Tokens, n, k, proxyTokens)
	}
	return m
}

// columnMean is the mean of the known values of column k, or none when there
// is none.
func columnMean(values []float64, width, k int, none float64) float64 {
	sum, n := 0.0, 0
	for i := k; i < len(values); i += width {
		if v := values[i]; !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	if n == 0 {
		return none
	}
	return sum / float64(n)
}

// Estimate implements Estimator.
func (m *means) Estimate(_ *Prompt, out []router.Estimate) bool {
	for k := range out {
		out[k] = router.Estimate{Quality: float32(m.score[k]), OutputTokens: float32(m.tokens[k])}
	}
	return false
}

// lookup is told the true task of a prompt and answers with each model's mean
// on it, shrunk towards its mean overall.
type lookup struct {
	means *means
	tasks map[string][]taskSum // by task, one entry a model
}

type taskSum struct{ score, n, tokens, tokensN float64 }

// lookupPrior is how many prompts the overall mean counts as.
const lookupPrior = 5

func newLookup(p *Pool, g *Graded) *lookup {
	n := len(p.Models)
	l := &lookup{means: newMeans(p, g), tasks: map[string][]taskSum{}}
	for i, prompt := range g.Prompts {
		sums := l.tasks[prompt.Task]
		if sums == nil {
			sums = make([]taskSum, n)
			l.tasks[prompt.Task] = sums
		}
		for k := range n {
			if v := g.Score[i*n+k]; !math.IsNaN(v) {
				sums[k].score += v
				sums[k].n++
			}
			if v := g.Tokens[i*n+k]; !math.IsNaN(v) {
				sums[k].tokens += v
				sums[k].tokensN++
			}
		}
	}
	return l
}

// Estimate implements Estimator.
func (l *lookup) Estimate(p *Prompt, out []router.Estimate) bool {
	sums, ok := l.tasks[p.Task]
	if !ok {
		l.means.Estimate(p, out)
		return true
	}
	for k, s := range sums {
		out[k] = router.Estimate{
			Quality:      float32((s.score + lookupPrior*l.means.score[k]) / (s.n + lookupPrior)),
			OutputTokens: float32((s.tokens + lookupPrior*l.means.tokens[k]) / (s.tokensN + lookupPrior)),
		}
	}
	return false
}
