package train

import (
	"math/rand/v2"
	"strings"

	"wye/predict"
)

// What people write around a question without changing it.
var (
	openings = []string{
		"hi", "hello there", "good morning", "dear assistant", "quick question", "please help me with this",
		"could you please help me", "i would be grateful for your help", "can you answer the following for me, please",
		"i need a hand with something", "sorry to bother you again", "would you kindly look at this",
	}
	closings = []string{
		"thanks", "thank you very much", "many thanks in advance", "please and thank you", "cheers", "i appreciate it",
		"thanks for your time", "please be careful", "looking forward to your answer", "you are a great help", "have a nice day",
		"please do your best",
	}
)

// augment returns the prompt as somebody else might have put it: politely, with
// typing errors, or beside a system prompt that has nothing to do with it, for
// which it takes another prompt.
func augment(text, other string, rng *rand.Rand) predict.Input {
	var in predict.Input
	if rng.IntN(2) == 0 {
		text = openings[rng.IntN(len(openings))] + ". " + text
	}
	if rng.IntN(2) == 0 {
		text += "\n\n" + closings[rng.IntN(len(closings))] + "!"
	}
	if rng.IntN(2) == 0 {
		text = mistype(text, 0.03, rng)
	}
	if rng.IntN(2) == 0 {
		in.System = []byte(strings.ToValidUTF8(other, ""))
	}
	in.User = []byte(text)
	return in
}

// mistype drops, doubles or swaps a share of the ASCII letters.
func mistype(text string, share float64, rng *rand.Rand) string {
	out := make([]byte, 0, len(text)+len(text)/16)
	for i := 0; i < len(text); i++ {
		c := text[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter || rng.Float64() >= share {
			out = append(out, c)
			continue
		}
		switch rng.IntN(3) {
		case 0: // dropped
		case 1:
			out = append(out, c, c)
		default:
			if i+1 < len(text) && text[i+1] < 0x80 {
				out = append(out, text[i+1], c)
				i++
			} else {
				out = append(out, c)
			}
		}
	}
	return string(out)
}

// fitAugmented encodes a second version of every training prompt, standardised
// like the first.
func (r *run) fitAugmented(texts []string) {
	r.augmented = make([][]float32, len(texts))
	each(len(texts), func(i int) {
		rng := rand.New(rand.NewPCG(r.config.Seed, 1_000_000+uint64(i)))
		in := augment(texts[i], texts[rng.IntN(len(texts))], rng)
		r.augmented[i] = make([]float32, predict.Width)
		r.w.Encode(&in, r.augmented[i])
		standard(r.w, r.augmented[i])
	})
}

// version is the i-th training prompt as an epoch sees it: as it is, or put
// otherwise.
func (r *run) version(i int, rng *rand.Rand) []float32 {
	if rng.Float64() < r.config.Augment {
		return r.augmented[i]
	}
	return r.x[i]
}
