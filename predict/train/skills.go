package train

import (
	"maps"
	"slices"
)

// defaultSkills says what skills a task or a category of tasks asks for. It is
// a labelling by hand of the sources' own categories: it makes decisions
// explainable and lets stated skills of untrained models count. Estimates of
// trained models do not use it.
func defaultSkills() map[string]map[string]float64 {
	one := func(skill string) map[string]float64 { return map[string]float64{skill: 1} }
	return map[string]map[string]float64{
		"chat":               {"chat": 0.7, "instruction_following": 0.3},
		"writing":            {"chat": 0.5, "instruction_following": 0.5},
		"knowledge-mcq":      one("knowledge"),
		"qa-open":            one("knowledge"),
		"commonsense-mcq":    {"knowledge": 0.5, "reasoning": 0.5},
		"math-word":          {"math": 0.7, "reasoning": 0.3},
		"math-competition":   one("math"),
		"code-gen":           one("code"),
		"code-reasoning":     {"code": 0.6, "reasoning": 0.4},
		"trick-reasoning":    one("reasoning"),
		"puzzle-algorithmic": {"reasoning": 0.5, "code": 0.3, "instruction_following": 0.2},
		"puzzle-arithmetic":  {"math": 0.7, "reasoning": 0.3},
		"puzzle-algebra":     one("math"),
		"puzzle-geometry":    one("math"),
		"puzzle-games":       one("reasoning"),
		"puzzle-logic":       one("reasoning"),
		"puzzle-cognition":   one("reasoning"),
		"puzzle-graphs":      {"reasoning": 0.7, "code": 0.3},
		"puzzle-arc":         one("reasoning"),
		"puzzle-induction":   one("reasoning"),
		"puzzle-code":        one("code"),

		"mmlu_pro/math":                     {"math": 0.8, "knowledge": 0.2},
		"mmlu_pro/physics":                  {"knowledge": 0.5, "math": 0.5},
		"mmlu_pro/chemistry":                {"knowledge": 0.5, "math": 0.5},
		"mmlu_pro/engineering":              {"knowledge": 0.5, "math": 0.5},
		"mmlu_pro/computer science":         {"knowledge": 0.5, "code": 0.5},
		"mmlu/abstract_algebra":             {"math": 0.8, "knowledge": 0.2},
		"mmlu/college_mathematics":          {"math": 0.8, "knowledge": 0.2},
		"mmlu/elementary_mathematics":       {"math": 0.8, "knowledge": 0.2},
		"mmlu/high_school_mathematics":      {"math": 0.8, "knowledge": 0.2},
		"mmlu/high_school_statistics":       {"math": 0.8, "knowledge": 0.2},
		"mmlu/formal_logic":                 one("reasoning"),
		"mmlu/high_school_computer_science": {"knowledge": 0.5, "code": 0.5},
	}
}

// skillNames are the skills that a predictor knows. tool_use is asked for by
// declared tools alone: no training task has it.
var skillNames = []string{"chat", "code", "instruction_following", "knowledge", "math", "reasoning", "tool_use"}

// fitSkills labels each task by its name or, failing that, by the category
// that most of its prompts have; a task with neither asks for all skills alike.
func (r *run) fitSkills() {
	w := r.w
	w.Skills = skillNames
	w.SkillOfTask = make([]float32, len(w.Tasks)*len(w.Skills))
	categories := make([]map[string]int, len(w.Tasks))
	for i, p := range r.prompts {
		if categories[r.task[i]] == nil {
			categories[r.task[i]] = map[string]int{}
		}
		categories[r.task[i]][r.data.Prompts[p].Category]++
	}
	for t, name := range w.Tasks {
		shares, ok := r.config.Skills[name]
		if !ok {
			shares = r.config.Skills[mostCommon(categories[t])]
		}
		var sum float64
		for _, s := range w.Skills {
			sum += shares[s]
		}
		for k, s := range w.Skills {
			share := 1 / float64(len(w.Skills))
			if sum > 0 {
				share = shares[s] / sum
			}
			w.SkillOfTask[t*len(w.Skills)+k] = float32(share)
		}
	}
}

// mostCommon is the key with the highest count, the first by name among equals.
func mostCommon(count map[string]int) string {
	best := ""
	for _, key := range slices.Sorted(maps.Keys(count)) {
		if best == "" || count[key] > count[best] {
			best = key
		}
	}
	return best
}
