package train

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"wye/predict"
)

// held is what networks that did not see a prompt say of it.
type held struct {
	tasks  [predict.TopTasks]int // the likeliest tasks
	shares [predict.TopTasks]float64
	n      int

	level, levelMean float64 // the prompt's, and the mean of its tasks
	// By answer, what the model is above the level: on the prompt's tasks, and
	// beyond that on the prompt; and its average over the tasks that were seen.
	onTasks, beyond, average []float64
	length                   []float64 // predicted log tokens, by answer
	blindLevel               float64   // mean level of the tasks that were seen
	signals                  [predict.Signals]float64
}

// crossFit trains, for each fold, networks without its prompts and returns
// what they say of them, and the networks.
func (r *run) crossFit(fold []int, stage uint64) (out []held, fitted []*nets) {
	out = make([]held, len(r.x))
	fitted = make([]*nets, slices.Max(fold)+1)
	var fits []func()
	for f := range fitted {
		fits = append(fits, func() {
			include := make([]bool, len(fold))
			seen := make([]bool, len(r.w.Tasks))
			some := false
			for i := range fold {
				include[i] = fold[i] != f
				if include[i] {
					seen[r.task[i]] = true
				} else {
					some = true
				}
			}
			if !some || !slices.Contains(include, true) {
				return
			}
			n := r.fitNets(include, r.config.CrossEpochs, r.config.CrossEpochs, stage+2*uint64(f))
			fitted[f] = n
			average, level := n.averages(len(r.w.Models), seen)
			for i := range fold {
				if !include[i] {
					out[i] = r.judge(n, i, average, level)
				}
			}
		})
	}
	parallel(fits...)
	return out, fitted
}

// kindFolds assigns the prompts to folds by kind, so that a benchmark is in one
// fold as a whole and folds are of about one size.
func (r *run) kindFolds() []int {
	// By the data's own names, in which sources share a task.
	kindOf := func(i int) string { return predict.KindOf(r.data.Prompts[r.prompts[i]].Task) }
	count := map[string]int{}
	for i := range r.prompts {
		count[kindOf(i)]++
	}
	kinds := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(count[b]-count[a], strings.Compare(a, b))
	})
	var size [folds]int
	foldOfKind := map[string]int{}
	for _, kind := range kinds {
		f := slices.Index(size[:], slices.Min(size[:]))
		foldOfKind[kind] = f
		size[f] += count[kind]
	}
	out := make([]int, len(r.prompts))
	for i := range out {
		out[i] = foldOfKind[kindOf(i)]
	}
	return out
}

// onTasks is the mean over fitted of the models' logits, models × tasks.
func (r *run) onTasks(fitted []*nets) []float64 {
	tasks := len(r.w.Tasks)
	out := make([]float64, len(r.w.Models)*tasks)
	var n float64
	for _, f := range fitted {
		if f == nil {
			continue // its fold has no prompts
		}
		n++
		width := 1 + f.axes
		for m := range r.w.Models {
			p := f.models[m*f.stride:]
			for t := range tasks {
				item := f.taskItem[t*width:][:width]
				out[m*tasks+t] += float64(item[0] + p[0] + predict.Dot(p[1:width], item[1:]))
			}
		}
	}
	for i := range out {
		out[i] /= max(n, 1)
	}
	return out
}

// averages are the models' means over the seen tasks, each counting once, and
// the mean level.
func (n *nets) averages(models int, seen []bool) (average []float64, level float64) {
	average = make([]float64, models)
	width := 1 + n.axes
	var tasks float64
	for t, ok := range seen {
		if !ok {
			continue
		}
		tasks++
		item := n.taskItem[t*width:][:width]
		level += float64(item[0])
		for m := range average {
			p := n.models[m*n.stride:]
			average[m] += float64(p[0] + predict.Dot(p[1:width], item[1:]))
		}
	}
	for m := range average {
		average[m] /= max(tasks, 1)
	}
	return average, level / max(tasks, 1)
}

// judge applies n to the i-th training prompt.
func (r *run) judge(n *nets, i int, average []float64, level float64) held {
	h := held{blindLevel: level}
	logits := make([]float32, n.tasks.out)
	row := func(m *mlp, out []float32) {
		hidden := make([]float32, m.hidden)
		for u := range hidden {
			w := m.lower.value[u*(m.in+1):][:m.in+1]
			hidden[u] = max(predict.Dot(r.x[i], w)+w[m.in], 0)
		}
		for o := range out {
			w := m.upper.value[o*(m.hidden+1):][:m.hidden+1]
			out[o] = predict.Dot(hidden, w) + w[m.hidden]
		}
	}
	row(n.tasks, logits)
	h.n = predict.TopMixture(logits, &h.tasks, &h.shares)
	out := make([]float32, n.stride)
	row(n.item, out)
	width := 1 + n.axes
	mean := make([]float32, width)
	for k := range h.n {
		axpy(float32(h.shares[k]), n.taskItem[h.tasks[k]*width:][:width], mean)
	}
	h.level, h.levelMean = float64(out[0]), float64(mean[0])
	for _, o := range r.answers[i] {
		p := n.models[o.Model*n.stride:]
		onTasks := p[0] + predict.Dot(p[1:width], mean[1:])
		all := p[0] + predict.Dot(p[1:width], out[1:])
		h.onTasks = append(h.onTasks, float64(onTasks))
		h.beyond = append(h.beyond, float64(all-onTasks))
		h.average = append(h.average, average[o.Model])
		h.length = append(h.length, float64(out[width]+p[width]+predict.Dot(p[width+1:n.stride], out[width+1:])))
	}
	var near float64
	for k := range h.n {
		t := h.tasks[k]
		near += h.shares[k] * float64(predict.Nearness(predict.Dot(r.embedding[i], n.centre[t*predict.Dim:]), n.near[2*t:]))
	}
	h.signals = [predict.Signals]float64{near, h.shares[0]}
	return h
}
