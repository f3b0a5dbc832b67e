package predict

// Hint says what is known of a model that the predictor was not trained on.
type Hint struct {
	// Skills are scores from 0 to 1 by skill, e.g. from published benchmarks;
	// SkillNames lists the names that count.
	Skills map[string]float64
	// Like names a trained model that this one resembles.
	Like string
	// InputPrice and OutputPrice are US dollars per million tokens.
	InputPrice, OutputPrice float64
	// Reasoning is set for models that think at length before they answer.
	Reasoning bool
}

// Prior returns a model that was never trained, with wide uncertainty, and
// where its estimate comes from.
func (p *Predictor) Prior(h Hint) (Model, string) {
	if m, ok := p.models[h.Like]; ok {
		c := *m
		c.spread = likeSpread
		return Model{&c}, "like " + h.Like
	}
	t := len(p.w.Tasks)
	a := &ability{axes: make([]float32, p.w.Axes), residual: make([]float32, t), variance: make([]float32, t),
		lengthAxes: make([]float32, p.w.LengthAxesSize), lengthTask: make([]float32, t), spread: unknownSpread, lengthBias: 5}
	return Model{a}, "nothing is known"
}

const (
	likeSpread    = 0.7
	unknownSpread = 1.5
)

// SkillDemand is how much a prompt asks for one skill.
type SkillDemand struct {
	Skill string
	Share float32 // 0 to 1; the shares of a prompt sum to one
}

// Demand says what the prompt asks for, the most demanded skill first.
func (p *Predictor) Demand(in *Input) []SkillDemand {
	return nil
}
