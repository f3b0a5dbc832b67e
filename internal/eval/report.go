package eval

import "wye/router"

// Report is a whole evaluation. Shares are of 1, costs US dollars a prompt,
// qualities mean scores from 0 to 1.
type Report struct {
	Data      string       `json:"data"`
	Baselines string       `json:"baselines"` // folder that baselines learnt from
	Split     string       `json:"split"`
	Predictor string       `json:"predictor"`
	Seed      uint64       `json:"seed"`
	Rounds    int          `json:"bootstrap_rounds"`
	Calibrate int          `json:"calibrate"`
	Bands     router.Bands `json:"bands"`
	Leakage   Leakage      `json:"leakage"`
	Notes     []string     `json:"notes"`
	Pools     []PoolReport `json:"pools"`
	Skipped   []Skipped    `json:"skipped"`
}

// Skipped is a source without figures, and why.
type Skipped struct {
	Source string `json:"source"`
	Why    string `json:"why"`
}

// PoolReport is what one source shows.
type PoolReport struct {
	Source    string         `json:"source"`
	Prompts   int            `json:"prompts"`
	Groups    int            `json:"groups"`
	CostBasis CostBasis      `json:"cost_basis"`
	Graded    int            `json:"graded"` // prompts to learn from
	GradedOf  string         `json:"graded_of"`
	Notes     []string       `json:"notes"`
	Best      string         `json:"best_single"`
	Models    []ModelReport  `json:"models"`
	LeftOut   []LeftOut      `json:"left_out"`
	Oracle    OracleReport   `json:"oracle"`
	Wye       RouterReport   `json:"wye"`
	Baselines []RouterReport `json:"baselines"`
	// Rules compares selection rules on the estimates of Wye.
	Rules  []RuleReport    `json:"rules"`
	Areas  []AreaReport    `json:"areas"`
	Enter  []EnterReport   `json:"enter,omitempty"`
	Pair   *PairReport     `json:"pair,omitempty"`
	Robust []RobustnessRow `json:"robustness,omitempty"`

	curves curves // for the plot
}

// ModelReport is one candidate on its own.
type ModelReport struct {
	Model     string   `json:"model"`
	From      string   `json:"estimate_from"`
	PriceFrom string   `json:"price_from"`
	WeakPrice bool     `json:"weak_price"`
	OnHull    bool     `json:"on_hull"`
	Quality   Interval `json:"quality"`
	Cost      Interval `json:"cost"`
	AUC       Interval `json:"auc"`
}

// OracleReport is the best choice in hindsight, the cheapest of equals.
type OracleReport struct {
	Quality Interval `json:"quality"`
	Cost    Interval `json:"cost"`
}

// RouterReport is one estimator behind the selection rule.
type RouterReport struct {
	Router string `json:"router"`
	// Area is what lies between the router's cost-quality curve and the hull,
	// over the logarithm of cost, as a share of the oracle's.
	Area Interval `json:"area"`
	// AreaPicked is the same over the hull of the single models that graded
	// prompts would have picked. Area's hull picks them on the evaluated
	// prompts, which favours it where models are many and prompts few.
	AreaPicked Interval `json:"area_over_picked"`
	ECE        Interval `json:"ece"`
	// AUC of the estimates within a model, averaged over models.
	AUC Interval `json:"auc"`
	// Guarded is the share of prompts for which the estimator fell back to
	// averages.
	Guarded float64      `json:"guarded"`
	Modes   []ModeReport `json:"modes"`
}

// ModeReport is what a mode reached.
type ModeReport struct {
	Mode    string   `json:"mode"`
	Quality Interval `json:"quality"`
	Cost    Interval `json:"cost"`
	// OfBest is quality as a share of the best single model's.
	OfBest Interval `json:"quality_of_best"`
	// SavedBest is the share of the best single model's cost that was saved,
	// SavedHull that of a random mix of single models of equal quality.
	SavedBest Interval `json:"saved_vs_best"`
	SavedHull Interval `json:"saved_vs_hull"`
	// AboveHull is quality minus that of a random mix of equal cost.
	AboveHull Interval `json:"above_hull"`
	// AbovePicked is AboveHull over the hull of AreaPicked.
	AbovePicked Interval `json:"above_picked"`
	Shares      []Share  `json:"shares"` // the most chosen first
}

// Share is how often a model was chosen.
type Share struct {
	Model string  `json:"model"`
	Share float64 `json:"share"`
}

// curves are the points that a plot shows.
type curves struct {
	models []Point
	hull   []Point
	oracle []Point
	wye    []Point
	lookup []Point // nil without graded prompts
	modes  []Point
}
