package policies

import (
	"fmt"
	"slices"
	"sync"

	"wye/policies/policyv1"
	"wye/predict"
	"wye/router"
)

// scorer lets the router ask a predictor: it translates requests and model
// indexes, and knows what quality is worth in its deployment. One belongs to one
// deployment of one snapshot.
type scorer struct {
	predictor *predict.Predictor
	models    []predict.Model // by router.ModelIndex
	prices    []*router.Price // likewise
	worth     map[router.Mode]*Worth
	scratch   *sync.Pool
}

// scoreScratch is the memory of one call; it would escape to the heap if it
// were a local variable.
type scoreScratch struct {
	input  predict.Input
	models [router.MaxSubset]predict.Model
	out    [router.MaxSubset]predict.Output
	prices [router.MaxSubset]*router.Price
}

// scorerFactory makes the scorers of one snapshot; they share what they can.
type scorerFactory struct {
	catalog []*policyv1.Model
	prices  []*router.Price
	models  map[string][]predict.Model // by predictor version, then ModelIndex
	scratch sync.Pool
	made    map[string]*calibration // by what it was made for
}

// calibration is what a deployment's predictor, subset and bands come to, which
// takes milliseconds to find and is the same for each deployment of that kind.
type calibration struct {
	worth     map[router.Mode]*Worth
	qualities []float64 // of the models of the subset, summed over all samples
}

func newScorerFactory(catalog []*policyv1.Model, models []router.Model) *scorerFactory {
	f := &scorerFactory{catalog: catalog, models: make(map[string][]predict.Model), made: make(map[string]*calibration)}
	for i := range models {
		f.prices = append(f.prices, &models[i].Price)
	}
	f.scratch.New = func() any { return new(scoreScratch) }
	return f
}

// scorer makes the scorer of a deployment with that subset and those bands, and
// finds the best single model among those that are available.
func (f *scorerFactory) scorer(
	p *predict.Predictor, subset []router.ModelIndex, bands router.Bands, available func(router.ModelIndex) bool,
) (*scorer, router.ModelIndex) {
	all, ok := f.models[p.Version()]
	if !ok {
		all = make([]predict.Model, len(f.catalog))
		for i, m := range f.catalog {
			all[i], _ = resolve(p, m)
		}
		f.models[p.Version()] = all
	}
	made := f.calibrate(p, all, subset, bands)
	s := &scorer{predictor: p, models: all, prices: f.prices, worth: made.worth, scratch: &f.scratch}
	return s, subset[bestSingle(made.qualities, func(i int) bool { return available(subset[i]) })]
}

// calibrate finds what a predictor, a subset and bands come to, or has it from
// another deployment.
func (f *scorerFactory) calibrate(p *predict.Predictor, all []predict.Model, subset []router.ModelIndex, bands router.Bands) *calibration {
	key := fmt.Sprint(p.Version(), subset, bands)
	if made := f.made[key]; made != nil {
		return made
	}
	models, prices := make([]predict.Model, len(subset)), make([]*router.Price, len(subset))
	for i, m := range subset {
		models[i], prices[i] = all[m], f.prices[m]
	}
	samples := samplesByKind(p, models, prices)
	made := &calibration{worth: make(map[router.Mode]*Worth), qualities: qualities(samples)}
	for _, mode := range []router.Mode{router.ModeBalanced, router.ModeCost} {
		made.worth[mode] = worthOf(samples, bands.Of(mode))
	}
	f.made[key] = made
	return made
}

// resolve finds what p knows of m. prior says where the estimate comes from
// when p was not trained on m, and is empty when it was.
func resolve(p *predict.Predictor, m *policyv1.Model) (model predict.Model, prior string) {
	a := m.GetAbility()
	if model, prior, ok := calibrated(p, a); ok {
		return model, prior
	}
	if name := a.GetTrainedAs(); name != "" {
		if model, ok := p.Model(name); ok {
			return model, ""
		}
	}
	model, prior = p.Prior(predict.Hint{
		Skills:      a.GetSkills(),
		Like:        a.GetLike(),
		InputPrice:  m.GetPrice().GetInput(),
		OutputPrice: m.GetPrice().GetOutput(),
		Reasoning:   a.GetReasoning(),
	})
	if a.GetSource() != "" && (a.GetLike() != "" || heeds(p, a)) {
		prior = fmt.Sprintf("%s (%s)", prior, a.GetSource())
	}
	return model, prior
}

// heeds reports whether p knows one of a's skills.
func heeds(p *predict.Predictor, a *policyv1.Ability) bool {
	return slices.ContainsFunc(p.Skills(), func(skill string) bool {
		_, stated := a.GetSkills()[skill]
		return stated
	})
}

// Version implements router.Scorer.
func (s *scorer) Version() string { return s.predictor.Version() }

// Score implements router.Scorer.
func (s *scorer) Score(req *router.Request, mode router.Mode, models []router.ModelIndex, out []router.Estimate) (rate float64) {
	scratch := s.scratch.Get().(*scoreScratch)
	scratch.input = inputOf(req)
	n := len(models) // at most MaxSubset, which NewSnapshot guarantees
	for i, m := range models {
		scratch.models[i], scratch.prices[i] = s.models[m], s.prices[m]
	}
	evidence := s.predictor.Predict(&scratch.input, scratch.models[:n], scratch.out[:n])
	for i := range models {
		e := &scratch.out[i]
		out[i] = router.Estimate{Quality: e.Quality, Uncertainty: e.Uncertainty, OutputTokens: e.OutputTokens}
	}
	if worth := s.worth[mode]; worth != nil {
		rate = Rate(s.predictor, &evidence, worth)
		rate *= ContextShare(scratch.prices[:n], scratch.out[:n], float64(req.PromptTokens), turnShare(&req.Text))
	}
	scratch.input = predict.Input{} // the views must not outlive the call
	s.scratch.Put(scratch)
	return rate
}

// turnShare is how much of the text is the last user turn's, 0 to 1.
func turnShare(t *router.Text) float64 {
	if t.TurnBytes <= 0 || t.TurnBytes >= t.Bytes {
		return 1
	}
	return float64(t.TurnBytes) / float64(t.Bytes)
}

// inputOf is what the predictor reads of req; the views are req's.
func inputOf(req *router.Request) predict.Input {
	return predict.Input{
		System:       req.Text.System,
		User:         req.Text.User,
		History:      req.Text.History,
		Tools:        req.Text.Tools,
		Bytes:        req.Text.Bytes,
		Turns:        req.Text.Turns,
		ToolCount:    req.Text.Tool,
		Images:       req.Text.Images,
		PromptTokens: req.PromptTokens,
	}
}

// Demand says which skills req asks for, the most demanded first, as the
// predictor behind s reads it; nil when s was not made by this package.
func Demand(s router.Scorer, req *router.Request) []predict.SkillDemand {
	own, ok := s.(*scorer)
	if !ok {
		return nil
	}
	in := inputOf(req)
	return own.predictor.Demand(&in)
}
