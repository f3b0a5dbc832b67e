package eval

import (
	"cmp"
	"math"
	"slices"

	"wye/router"
)

// neighbourCount is the k of the nearest-neighbour baseline.
const neighbourCount = 40

// neighbours answers with the mean outcomes of the graded prompts that share
// most words with the prompt.
type neighbours struct {
	means    *means
	words    *vocabulary
	postings [][]posting // by term
	graded   *Graded
	scores   []float64 // scratch: similarity to each graded prompt
}

type posting struct {
	prompt int32
	weight float64
}

func newNeighbours(p *Pool, g *Graded) *neighbours {
	n := &neighbours{means: newMeans(p, g), words: newVocabulary(g.Prompts), graded: g}
	n.postings = make([][]posting, len(n.words.idf))
	n.scores = make([]float64, len(g.Prompts))
	for i, prompt := range g.Prompts {
		for _, t := range n.words.vector(prompt) {
			n.postings[t.id] = append(n.postings[t.id], posting{int32(i), t.weight})
		}
	}
	return n
}

// Estimate implements Estimator.
func (n *neighbours) Estimate(p *Prompt, out []router.Estimate) bool {
	n.means.Estimate(p, out)
	near := n.nearest(p)
	width := len(out)
	for k := range out {
		var score, scores, tokens, lengths float64
		for _, i := range near {
			if v := n.graded.Score[i*width+k]; !math.IsNaN(v) {
				score += v
				scores++
			}
			if v := n.graded.Tokens[i*width+k]; !math.IsNaN(v) {
				tokens += v
				lengths++
			}
		}
		if scores > 0 {
			out[k].Quality = float32(score / scores)
		}
		if lengths > 0 {
			out[k].OutputTokens = float32(tokens / lengths)
		}
	}
	return len(near) == 0
}

// nearest returns the most similar graded prompts, the first of equals first.
func (n *neighbours) nearest(p *Prompt) []int {
	clear(n.scores)
	for _, t := range n.words.vector(p) {
		for _, at := range n.postings[t.id] {
			n.scores[at.prompt] += t.weight * at.weight
		}
	}
	var near []int
	for i, s := range n.scores {
		if s > 0 {
			near = append(near, i)
		}
	}
	slices.SortStableFunc(near, func(a, b int) int { return cmp.Compare(n.scores[b], n.scores[a]) })
	return near[:min(len(near), neighbourCount)]
}
