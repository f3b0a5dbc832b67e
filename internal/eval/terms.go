package eval

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode"
)

// maxTermBytes bounds how much of a prompt the TF-IDF baselines read.
const maxTermBytes = 4096

// term is one entry of a sparse vector.
type term struct {
	id     int32
	weight float64
}

// vocabulary turns prompts into unit TF-IDF vectors over words and pairs of
// words that occur in at least two of the prompts it was made from and in at
// most half of them.
type vocabulary struct {
	ids map[string]int32
	idf []float64
}

func newVocabulary(prompts []*Prompt) *vocabulary {
	count := map[string]int{}
	for _, p := range prompts {
		for t := range termCounts(p) {
			count[t]++
		}
	}
	v := &vocabulary{ids: map[string]int32{}}
	var kept []string
	for t, n := range count {
		if n >= 2 && 2*n <= len(prompts) {
			kept = append(kept, t)
		}
	}
	slices.Sort(kept) // map order must not leak into sums
	for i, t := range kept {
		v.ids[t] = int32(i)
		v.idf = append(v.idf, math.Log(float64(1+len(prompts))/float64(1+count[t]))+1)
	}
	return v
}

// vector is sorted by id.
func (v *vocabulary) vector(p *Prompt) []term {
	var out []term
	for t, n := range termCounts(p) {
		if id, ok := v.ids[t]; ok {
			out = append(out, term{id, (1 + math.Log(float64(n))) * v.idf[id]})
		}
	}
	slices.SortFunc(out, func(a, b term) int { return cmp.Compare(a.id, b.id) })
	norm := 0.0
	for _, t := range out {
		norm += t.weight * t.weight
	}
	norm = math.Sqrt(norm)
	for i := range out {
		out[i].weight /= norm
	}
	return out
}

// termCounts counts the lower-case words of a prompt and its pairs of adjacent
// words.
func termCounts(p *Prompt) map[string]int {
	text := p.System + " " + p.Text
	if len(text) > maxTermBytes {
		text = text[:maxTermBytes]
	}
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	counts := make(map[string]int, 2*len(words))
	for i, w := range words {
		counts[w]++
		if i > 0 {
			counts[words[i-1]+" "+w]++
		}
	}
	return counts
}
