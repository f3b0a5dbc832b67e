package predict

// local is what graded prompts of the operator's own traffic say of a model
// beyond its other estimate: a Bayesian linear correction of the logit over the
// embedding.
type local struct {
	shift    float32
	weights  [Dim]float32
	variance float32
}

// adjust returns the corrected logit and its variance.
func (l *local) adjust(e *[Dim]float32, logit, variance float32) (float32, float32) {
	return logit + l.shift + dot(e[:], l.weights[:]), min(variance, l.variance)
}
