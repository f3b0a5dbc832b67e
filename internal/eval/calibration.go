package eval

import (
	"cmp"
	"math"
	"slices"
)

// eceBins is the number of equally filled bins of the calibration error.
const eceBins = 15

// reliability prepares the expected calibration error of estimates over all
// models: cells in order of estimate, cut into bins once.
type reliability struct {
	predicted, score []float64
	prompt           []int
}

func newReliability(p *Pool, es *estimates) *reliability {
	n := len(p.Models)
	order := make([]int, len(p.Score))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(es.candidates[a].Estimate.Quality, es.candidates[b].Estimate.Quality)
	})
	r := &reliability{}
	for _, at := range order {
		r.predicted = append(r.predicted, float64(es.candidates[at].Estimate.Quality))
		r.score = append(r.score, p.Score[at])
		r.prompt = append(r.prompt, at/n)
	}
	return r
}

// ece is the mean gap between estimate and score over the bins.
func (r *reliability) ece(weights []float64) float64 {
	total, gaps := 0.0, 0.0
	for b := range eceBins {
		from, to := b*len(r.prompt)/eceBins, (b+1)*len(r.prompt)/eceBins
		gap := 0.0
		for i := from; i < to; i++ {
			w := weights[r.prompt[i]]
			gap += w * (r.predicted[i] - r.score[i])
			total += w
		}
		gaps += math.Abs(gap)
	}
	return gaps / total
}

// goodScore is the score from which an answer counts as correct in AUC.
const goodScore = 0.5

// ranking prepares the AUC of one model's estimates over the prompts.
type ranking struct {
	prompt    []int
	predicted []float32
	good      []bool
}

func newRanking(p *Pool, es *estimates, model int) *ranking {
	n := len(p.Models)
	r := &ranking{}
	for i := range p.Prompts {
		r.prompt = append(r.prompt, i)
	}
	slices.SortStableFunc(r.prompt, func(a, b int) int {
		return cmp.Compare(es.candidates[a*n+model].Estimate.Quality, es.candidates[b*n+model].Estimate.Quality)
	})
	for _, i := range r.prompt {
		r.predicted = append(r.predicted, es.candidates[i*n+model].Estimate.Quality)
		r.good = append(r.good, p.Score[i*n+model] >= goodScore)
	}
	return r
}

// auc is the probability that a prompt the model got right has a higher
// estimate than one it got wrong, ties counting half. NaN when all or none are
// right.
func (r *ranking) auc(weights []float64) float64 {
	var goods, bads, wins float64
	for i := 0; i < len(r.prompt); {
		var good, bad float64
		j := i
		for ; j < len(r.prompt) && r.predicted[j] == r.predicted[i]; j++ {
			if w := weights[r.prompt[j]]; r.good[j] {
				good += w
			} else {
				bad += w
			}
		}
		wins += good * (bads + bad/2)
		goods += good
		bads += bad
		i = j
	}
	if goods == 0 || bads == 0 {
		return math.NaN()
	}
	return wins / (goods * bads)
}

// meanAUC averages over the models for which it is defined.
func meanAUC(rs []*ranking, weights []float64) float64 {
	sum, n := 0.0, 0
	for _, r := range rs {
		if v := r.auc(weights); !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}
