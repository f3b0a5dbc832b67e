package predict

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Hint says what is known of a model that the predictor was not trained on.
type Hint struct {
	// Skills are scores from 0 to 1 by skill, as a model would score on a mixed
	// set of questions that need it; Predictor.Skills lists the names that
	// count, and others are ignored.
	Skills map[string]float64 `json:"skills,omitempty"`
	// Like names a trained model that this one resembles.
	Like string `json:"like,omitempty"`
	// InputPrice and OutputPrice are US dollars per million tokens; zero is
	// unknown.
	InputPrice  float64 `json:"input_price,omitempty"`
	OutputPrice float64 `json:"output_price,omitempty"`
	// Reasoning is set for models that think at length before they answer and
	// bill for it.
	Reasoning bool `json:"reasoning,omitempty"`
}

// Standard deviations in logits of what a hint does not say, and other
// constants of priors. They are assumptions, not fits: the training data holds
// no published scores and no hidden thinking.
const (
	likeSpread = 0.5
	// skillSpread is for a model with every skill stated; each missing one
	// moves it towards priceSpread.
	skillSpread = 0.6
	// skillSlope moves a stated skill towards the population, because published
	// scores are on other questions.
	skillSlope = 0.7
	// reasoningTokens is how many times as many tokens a reasoning model bills.
	reasoningTokens = 4
)

// Prior returns a model that was never trained, from what h says of it, and
// where its estimate comes from, in words for explain. Like comes before
// Skills, and Skills before prices. Its uncertainty is wide.
func (p *Predictor) Prior(h Hint) (Model, string) {
	a := &ability{
		axes:       make([]float32, p.w.Axes),
		residual:   make([]float32, len(p.w.Tasks)),
		variance:   make([]float32, len(p.w.Tasks)),
		lengthBias: p.typicalLength,
		lengthAxes: make([]float32, p.w.LengthAxesSize),
		lengthTask: make([]float32, len(p.w.Tasks)),
	}
	var from string
	if like, ok := p.models[h.Like]; ok {
		*a = *like
		a.spread = likeSpread
		from = fmt.Sprintf("resembles %s, by the operator's word", h.Like)
	} else {
		blind, spread, why := p.priceBlind(h)
		a.bias, a.average, a.spread, from = blind, blind, spread, why
		if stated := p.applySkills(a, h.Skills); len(stated) > 0 {
			from = "stated skills: " + strings.Join(stated, ", ")
		}
	}
	if h.Reasoning {
		a.lengthBias += float32(math.Log(reasoningTokens))
	}
	return Model{a}, from
}

// priceBlind estimates a model's average from its price by the trend of the
// trained models, which is weak.
func (p *Predictor) priceBlind(h Hint) (average, spread float32, why string) {
	t := &p.w.Price
	if price := blended(h.InputPrice, h.OutputPrice); price > 0 {
		// Trust the trend only within the prices it was fitted on.
		x := min(max(math.Log(price), float64(t.Low)), float64(t.High))
		return t.Intercept + t.Slope*float32(x), t.Spread, "price only, by the trend of the trained models"
	}
	return t.Mean, t.MeanSpread, "nothing but the average of the trained models"
}

// blended is a price per million tokens at three input tokens to one of output.
func blended(input, output float64) float64 { return (3*input + output) / 4 }

// applySkills replaces a's estimate by the stated skills and returns which
// were used.
func (p *Predictor) applySkills(a *ability, skills map[string]float64) []string {
	w := p.w
	deviation := make([]float64, len(w.Skills))
	var stated []string
	var sum float64
	for s, name := range w.Skills {
		score, ok := skills[name]
		if !ok || math.IsNaN(score) {
			continue
		}
		score = min(max(score, 0.02), 0.98)
		raw := math.Log(score/(1-score)) - float64(p.skillLevel[s])
		deviation[s] = skillSlope*raw + (1-skillSlope)*float64(w.Price.Mean)
		stated = append(stated, name)
		sum += deviation[s]
	}
	if len(stated) == 0 {
		return nil
	}
	average := sum / float64(len(stated))
	var blind float64
	for t := range w.Tasks {
		var d float64
		for s, name := range w.Skills {
			share := float64(w.SkillOfTask[t*len(w.Skills)+s])
			if _, ok := skills[name]; ok {
				d += share * deviation[s]
			} else {
				d += share * average
			}
		}
		a.residual[t] = float32(d)
		blind += d
	}
	a.bias, a.average = 0, float32(blind/float64(len(w.Tasks)))
	covered := float32(len(stated)) / float32(len(w.Skills))
	a.spread = covered*skillSpread + (1-covered)*max(skillSpread, w.Price.Spread)
	slices.Sort(stated)
	return stated
}

// Skills lists the skills that Hint and Demand know.
func (p *Predictor) Skills() []string { return slices.Clone(p.w.Skills) }

// SkillDemand is how much a prompt asks for one skill.
type SkillDemand struct {
	Skill string
	Share float32 // 0 to 1; the shares of a prompt sum to one
}

// Demand says what the prompt asks for, the most demanded skill first and those
// below one per cent left out.
func (p *Predictor) Demand(in *Input) []SkillDemand {
	s := p.scratch.Get().(*scratch)
	defer p.scratch.Put(s)
	p.read(in, s)
	w := p.w
	n := len(w.Skills)
	var out []SkillDemand
	var sum float32
	for k, name := range w.Skills {
		var share float32
		for i, t := range s.tasks.task[:s.tasks.n] {
			share += s.tasks.share[i] * w.SkillOfTask[t*n+k]
		}
		// Declared tools are a demand that the text alone does not show.
		if in.ToolCount > 0 {
			share /= 2
			if name == toolSkill {
				share += 0.5
			}
		}
		if share >= 0.01 {
			out = append(out, SkillDemand{name, share})
			sum += share
		}
	}
	for i := range out {
		out[i].Share /= sum
	}
	slices.SortStableFunc(out, func(a, b SkillDemand) int {
		switch {
		case a.Share > b.Share:
			return -1
		case a.Share < b.Share:
			return 1
		}
		return 0
	})
	return out
}

// toolSkill is the skill that declared tools ask for.
const toolSkill = "tool_use"

// TaskShare is a kind of task that the training data has and how likely the
// prompt is one of it.
type TaskShare struct {
	Task  string
	Share float32 // 0 to 1; the shares of a prompt sum to one
}

// Tasks says what kinds of task the prompt looks like, the likeliest first.
// Estimates mix what models did on these.
func (p *Predictor) Tasks(in *Input) []TaskShare {
	s := p.scratch.Get().(*scratch)
	defer p.scratch.Put(s)
	p.read(in, s)
	out := make([]TaskShare, s.tasks.n)
	for i, t := range s.tasks.task[:s.tasks.n] {
		out[i] = TaskShare{p.w.Tasks[t], s.tasks.share[i]}
	}
	return out
}
