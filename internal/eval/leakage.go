package eval

import (
	"crypto/sha256"
	"slices"
	"strings"
)

// Leakage says whether what is evaluated was seen in training.
type Leakage struct {
	// SharedGroups are the groups with prompts both evaluated and to learn
	// from; SharedTexts counts evaluated prompts whose text, but for case and
	// whitespace, is also among those to learn from.
	SharedGroups []string `json:"shared_groups"`
	SharedTexts  int      `json:"shared_texts"`
	// Duplicates counts evaluated prompts that repeat an earlier one of the
	// same source.
	Duplicates int `json:"duplicates"`
	Evaluated  int `json:"evaluated"`
	Learnt     int `json:"learnt"`
}

// leakage compares the evaluated prompts with those to learn from.
func leakage(evaluated, learnt []*Prompt) Leakage {
	l := Leakage{Evaluated: len(evaluated), Learnt: len(learnt)}
	groups := map[string]bool{}
	texts := map[[sha256.Size]byte]bool{}
	for _, p := range learnt {
		groups[p.Group] = true
		texts[p.fingerprint("")] = true
	}
	seen := map[[sha256.Size]byte]bool{}
	shared := map[string]bool{}
	for _, p := range evaluated {
		if groups[p.Group] {
			shared[p.Group] = true
		}
		if texts[p.fingerprint("")] {
			l.SharedTexts++
		}
		own := p.fingerprint(p.Source)
		if seen[own] {
			l.Duplicates++
		}
		seen[own] = true
	}
	for g := range shared {
		l.SharedGroups = append(l.SharedGroups, g)
	}
	slices.Sort(l.SharedGroups)
	return l
}

// fingerprint hashes the text but for case and whitespace, within scope.
func (p *Prompt) fingerprint(scope string) [sha256.Size]byte {
	text := strings.Join(strings.Fields(strings.ToLower(p.System+" "+p.Text)), " ")
	return sha256.Sum256([]byte(scope + "\x00" + text + "\x00" + p.Tools))
}
