package train

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"wye/predict"
)

// run is the state of one training run.
type run struct {
	config Config
	data   *Data
	log    io.Writer
	w      *predict.Weights

	prompts   []int       // indexes into data.Prompts of the training split
	x         [][]float32 // standardised input of each training prompt
	embedding [][]float32 // its embedding
	augmented [][]float32 // a second version of x: the same prompt put otherwise
	familiar  []float32   // how familiar its n-grams are
	answers   [][]Outcome // of each training prompt
	task      []int       // of each training prompt
	weight    []float64   // of each training prompt: the rarer its task, the more
	sampled   []bool      // of each training prompt: whether the weights carry it
}

// Fit trains on the training split of data and reports progress, a line a
// stage, to log. With table, the n-gram table is taken from there instead of
// fitted, which saves most of the time and keeps embeddings comparable.
func Fit(data *Data, config Config, table *predict.Weights, log io.Writer) (*predict.Weights, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	r := &run{config: config, data: data, log: log, w: &predict.Weights{}}
	if err := r.prepare(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	w := r.w
	w.Version, w.Data, w.Seed = config.Version, data.Digest, config.Seed
	w.Models = data.Models
	w.Hidden, w.ItemHiddenSize, w.Axes, w.LengthAxesSize = config.TaskHidden, config.ItemHidden, config.Axes, config.LengthAxes

	texts := make([]string, len(r.prompts))
	for i, p := range r.prompts {
		texts[i] = data.Prompts[p].Text
	}
	if table != nil {
		w.Rows, w.IDF, w.RowScale, w.IDFUnit = table.Rows, table.IDF, table.RowScale, table.IDFUnit
	} else {
		r.say("n-gram table from %d prompts", len(r.prompts))
		balance := make([]float64, len(texts))
		for i := range balance {
			balance[i] = math.Sqrt(r.weight[i])
		}
		fitTable(w, texts, balance, config.SVDIterations, r.rng(1))
	}
	r.standardise(texts)
	r.fitAugmented(texts)

	r.say("networks: %d tasks, %d models", len(w.Tasks), len(w.Models))
	r.fitAll()
	return w, nil
}

// fitAll trains the networks that ship, and, to know how far they can be
// believed, others without some of the prompts, without some of the tasks, and
// without whole benchmarks.
func (r *run) fitAll() {
	all := make([]bool, len(r.x))
	r.drawSamples()
	prompts, tasks := make([]int, len(r.x)), make([]int, len(r.x))
	for i, p := range r.prompts {
		all[i] = !r.sampled[i]
		prompts[i] = foldOf(r.data.Prompts[p].Group, folds)
		tasks[i] = r.data.Prompts[p].Fold
	}
	var final *nets
	var unseenPrompts, unseenTasks, unseenKinds []held
	var crossed []*nets
	parallel(
		func() { final = r.fitNets(all, r.config.TaskEpochs, r.config.ItemEpochs, 2) },
		func() { unseenPrompts, crossed = r.crossFit(prompts, 100) },
		func() { unseenTasks, _ = r.crossFit(tasks, 200) },
		func() { unseenKinds, _ = r.crossFit(r.kindFolds(), 400) },
	)
	final.store(r.w)
	r.fitRest(unseenPrompts, unseenTasks, unseenKinds, prompts, r.onTasks(crossed))
}

// fitRest fits what does not need the networks themselves.
func (r *run) fitRest(unseenPrompts, unseenTasks, unseenKinds []held, prompts []int, onTasks []float64) {
	r.say("tables")
	r.fitTables(unseenPrompts)
	r.fitGuard(unseenPrompts, unseenTasks, unseenKinds)
	r.rebase(onTasks)
	r.shrinkDifferences(unseenPrompts, prompts)
	r.fitAverages()
	r.fitPrices()
	r.fitSkills()
	r.fitSamples()
}

func (r *run) say(format string, a ...any) { fmt.Fprintf(r.log, format+"\n", a...) }

// rng returns the random numbers of one stage, so that stages do not depend on
// each other's draws.
func (r *run) rng(stage uint64) *rand.Rand { return rand.New(rand.NewPCG(r.config.Seed, stage)) }

// prepare picks the training prompts and numbers their tasks.
func (r *run) prepare() error {
	d := r.data
	r.w.Graded = make([]int, len(d.Models))
	byPrompt := make([][]Outcome, len(d.Prompts))
	for from := 0; from < len(d.Outcomes); {
		to := from
		for to < len(d.Outcomes) && d.Outcomes[to].Prompt == d.Outcomes[from].Prompt {
			to++
		}
		byPrompt[d.Outcomes[from].Prompt] = d.Outcomes[from:to]
		from = to
	}
	count := map[string]int{}
	names := taskNames(d)
	for i := range d.Prompts {
		if d.Prompts[i].Split == SplitTrain && len(byPrompt[i]) > 0 {
			r.prompts = append(r.prompts, i)
			r.answers = append(r.answers, byPrompt[i])
			count[names(&d.Prompts[i])]++
			for _, o := range byPrompt[i] {
				r.w.Graded[o.Model]++
			}
		}
	}
	if len(r.prompts) == 0 {
		return errors.New("no graded prompt in the training split")
	}
	for name := range count {
		r.w.Tasks = append(r.w.Tasks, name)
	}
	slices.Sort(r.w.Tasks)
	for _, p := range r.prompts {
		name := names(&d.Prompts[p])
		t, _ := slices.BinarySearch(r.w.Tasks, name)
		r.task = append(r.task, t)
		r.weight = append(r.weight, 1/math.Sqrt(float64(count[name])))
	}
	var sum float64
	for _, v := range r.weight {
		sum += v
	}
	for i := range r.weight {
		r.weight[i] *= float64(len(r.weight)) / sum
	}
	return nil
}

// taskNames returns what a prompt's task is called: as the data call it, but two
// sources that share a task, such as an easy and a hard set of the same puzzles,
// have one each, of a kind that is named for the source.
func taskNames(d *Data) func(p *Prompt) string {
	source, shared := map[string]string{}, map[string]bool{}
	for i := range d.Prompts {
		p := &d.Prompts[i]
		if s, ok := source[p.Task]; ok && s != p.Source {
			shared[p.Task] = true
		}
		source[p.Task] = p.Source
	}
	return func(p *Prompt) string {
		if !shared[p.Task] {
			return p.Task
		}
		return p.Source + "/" + strings.TrimPrefix(p.Task, predict.KindOf(p.Task)+"/")
	}
}

// standardise encodes the texts and fits the mean and deviation of the input.
func (r *run) standardise(texts []string) {
	r.x, r.embedding, r.familiar = make([][]float32, len(texts)), make([][]float32, len(texts)), make([]float32, len(texts))
	each(len(texts), func(i int) {
		r.x[i] = make([]float32, predict.Width)
		r.familiar[i] = r.w.Encode(&predict.Input{User: []byte(texts[i])}, r.x[i])
		r.embedding[i] = slices.Clone(r.x[i][:predict.Dim])
	})
	r.w.Mean, r.w.InvStd = make([]float32, predict.Width), make([]float32, predict.Width)
	for c := range predict.Width {
		var sum, square float64
		for _, x := range r.x {
			sum += float64(x[c])
			square += float64(x[c]) * float64(x[c])
		}
		n := float64(len(r.x))
		mean := sum / n
		r.w.Mean[c] = float32(mean)
		r.w.InvStd[c] = float32(1 / math.Sqrt(max(square/n-mean*mean, 1e-8)))
	}
	for _, x := range r.x {
		standard(r.w, x)
	}
}

// standard standardises one raw input in place, as predict does.
func standard(w *predict.Weights, x []float32) {
	for c, v := range x {
		v = float32((v - w.Mean[c]) * w.InvStd[c])
		x[c] = min(max(v, -predict.InputClip), predict.InputClip)
	}
}
