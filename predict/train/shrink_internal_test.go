package train

import (
	"math"
	"math/rand/v2"
	"testing"

	"wye/predict"
)

// TestFitShares recovers how far predicted differences hold.
func TestFitShares(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	want := believed{1, 0.5, 0}
	var prompts [][]apart
	for range 4000 {
		prompt := make([]apart, 6)
		common := rng.NormFloat64()
		for j := range prompt {
			a := &prompt[j]
			a.common = 0 // the level is wrong, which must not matter much
			z := common / 2
			for k := range a.parts {
				a.parts[k] = rng.NormFloat64()
				z += want[k] * a.parts[k]
			}
			if rng.Float64() < sigmoid(z) {
				a.score = 1
			}
		}
		prompts = append(prompts, prompt)
	}
	got := fitShares(prompts)
	for k := range got {
		if math.Abs(got[k]-want[k]) > 0.08 {
			t.Errorf("share %d is %.3f, want %.3f", k, got[k], want[k])
		}
	}
	if got := fitShares(nil); got != fullBelief {
		t.Errorf("shares without evidence are %v, want %v", got, fullBelief)
	}
	if got := fitShares(prompts[:1]); math.Abs(got[2]-1) > 0.2 {
		t.Errorf("one prompt moves a share to %v", got[2])
	}
}

// tables is a run with two kinds of two tasks and three models, of which the
// last was never graded on the first kind.
func tables() *run {
	w := &predict.Weights{
		Bias: []float32{0.1, 0.2, 0.3}, Ability: []float32{1, -1, 0.5},
		TaskItem: []float32{0.5, 1, -0.5, 2, 0, -1, 1, 0.5},
		Residual: []float32{0.5, -0.25, 0.125, 0, 1, 0.5, -1, 0.25, 0, 0.75, 0.5, -0.5},
		Within:   []float32{1, 0.5, 0.8, 0.6},
	}
	w.Axes, w.Tasks, w.Models = 1, []string{"a/x", "a/y", "b/x", "b/y"}, []string{"one", "two", "three"}
	two := []Outcome{{Model: 0}, {Model: 1}}
	return &run{w: w, task: []int{0, 0, 0, 1, 2, 3}, answers: [][]Outcome{two, two, two, two, {{Model: 2}}, {{Model: 2}}}}
}

func TestShrink(t *testing.T) {
	t.Parallel()
	const tasks = 4
	before, r := tables(), tables()
	r.shrink("a", believed{1, 0, 0.5})
	common := func(r *run, t int) float64 { return (r.onTask(0, t) + r.onTask(1, t)) / 2 }
	apartOn := func(r *run, t int) float64 { return r.onTask(0, t) - r.onTask(1, t) }
	kind := 0.75*apartOn(before, 0) + 0.25*apartOn(before, 1)
	for task := range 2 {
		if a, b := common(before, task), common(r, task); math.Abs(a-b) > 1e-6 {
			t.Errorf("task %d: the models' mean moved from %v to %v", task, a, b)
		}
		if got := apartOn(r, task); math.Abs(got-kind) > 1e-6 {
			t.Errorf("task %d: models differ by %v, want the kind's %v", task, got, kind)
		}
		if got, want := r.w.Within[task], before.w.Within[task]/2; got != want {
			t.Errorf("task %d: prompts are believed by %v, want %v", task, got, want)
		}
	}
	for m := range r.w.Models {
		for task := 2; task < tasks; task++ {
			if got, want := r.w.Residual[m*tasks+task], before.w.Residual[m*tasks+task]; got != want {
				t.Errorf("model %d: residual on another kind's task %d moved from %v to %v", m, task, want, got)
			}
		}
	}
	r = tables()
	r.shrink("a", believed{0.5, 1, 1})
	for task := range 2 {
		if got, want := apartOn(r, task), apartOn(before, task)-kind/2; math.Abs(got-want) > 1e-6 {
			t.Errorf("task %d: models differ by %v, want %v", task, got, want)
		}
	}
}

// TestRebase: what the tables say of a model on a task is what the networks that
// they were fitted on said, whatever those that ship say.
func TestRebase(t *testing.T) {
	t.Parallel()
	const tasks = 4
	before, r := tables(), tables()
	onTasks := make([]float64, len(r.w.Residual))
	for i := range onTasks {
		onTasks[i] = float64(i%5) - 2
	}
	r.rebase(onTasks)
	for m := range r.w.Models {
		for task := range tasks {
			got := float64(r.w.TaskItem[2*task]) + r.onTask(m, task)
			want := onTasks[m*tasks+task] + float64(before.w.Residual[m*tasks+task])
			if math.Abs(got-want) > 1e-6 {
				t.Errorf("model %d, task %d: logit %v, want %v", m, task, got, want)
			}
		}
	}
}
