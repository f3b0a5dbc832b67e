package train

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"

	"wye/predict"
)

// run is the state of one training run.
type run struct {
	config Config
	data   *Data
	log    io.Writer
	w      *predict.Weights

	prompts []int       // indexes into data.Prompts of the training split
	x       [][]float32 // standardised input of each training prompt
	answers [][]Outcome // of each training prompt
	task    []int       // of each training prompt
	weight  []float64   // of each training prompt: the rarer its task, the more
	item    *mlp
	models  *adam // per model: bias, axes, length bias, length axes
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

	r.say("networks: %d tasks, %d models", len(w.Tasks), len(w.Models))
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.fitTasks()
	}()
	r.fitItems()
	<-done

	r.say("tables")
	r.fitResiduals()
	r.fitAverages()
	r.fitGuard()
	w.Temperature, w.WithinLevel, w.Within = 1, 1, 1
	return w, nil
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
	for i := range d.Prompts {
		if d.Prompts[i].Split == SplitTrain && len(byPrompt[i]) > 0 {
			r.prompts = append(r.prompts, i)
			r.answers = append(r.answers, byPrompt[i])
			count[d.Prompts[i].Task]++
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
		t, _ := slices.BinarySearch(r.w.Tasks, d.Prompts[p].Task)
		r.task = append(r.task, t)
		r.weight = append(r.weight, 1/math.Sqrt(float64(count[d.Prompts[p].Task])))
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

// standardise encodes the texts and fits the mean and deviation of the input.
func (r *run) standardise(texts []string) {
	r.x = make([][]float32, len(texts))
	each(len(texts), func(i int) {
		r.x[i] = make([]float32, predict.Width)
		r.w.Encode(&predict.Input{User: []byte(texts[i])}, r.x[i])
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

// epochs runs step over the training prompts in random order, batch by batch,
// with a learning rate that falls linearly to zero.
func (r *run) epochs(n int, rng *rand.Rand, sample func(i int), step func(rate float64)) {
	order := make([]int, len(r.x))
	for i := range order {
		order[i] = i
	}
	batches := (len(order) + r.config.Batch - 1) / r.config.Batch
	for e := range n {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for b := range batches {
			for _, i := range order[b*r.config.Batch : min((b+1)*r.config.Batch, len(order))] {
				sample(i)
			}
			step(r.config.LearnRate * (1 - float64(e*batches+b)/float64(n*batches)))
		}
	}
}

// fitTasks trains the network that names the task.
func (r *run) fitTasks() {
	rng := r.rng(2)
	net := newMLP(predict.Width, r.config.TaskHidden, len(r.w.Tasks), float32(r.config.Dropout), float32(r.config.Decay), rng)
	out := make([]float32, net.out)
	r.epochs(r.config.TaskEpochs, rng, func(i int) {
		net.forward(r.x[i], out, rng)
		softmax(out)
		out[r.task[i]]--
		scale := float32(r.weight[i] / float64(r.config.Batch))
		for j := range out {
			out[j] *= scale
		}
		net.backward(r.x[i], out)
	}, net.step)
	r.w.TaskHidden, r.w.TaskOut = net.lower.value, net.upper.value
}

func softmax(x []float32) {
	top := slices.Max(x)
	var sum float32
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v - top)))
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}

// stride is the number of parameters of one model in run.models.
func (r *run) stride() int { return 2 + r.config.Axes + r.config.LengthAxes }

// fitItems trains the item response model of scores and lengths: a network for
// what the prompt demands, and an ability vector a model.
func (r *run) fitItems() {
	rng := r.rng(3)
	axes, lengthAxes, stride := r.config.Axes, r.config.LengthAxes, r.stride()
	r.item = newMLP(predict.Width, r.config.ItemHidden, stride, float32(r.config.Dropout), float32(r.config.Decay), rng)
	r.models = newAdam(len(r.w.Models)*stride, float32(r.config.AxisDecay))
	for i := range r.models.value {
		r.models.value[i] = float32(rng.NormFloat64() * 0.1)
	}
	r.startLengths()
	out, grad := make([]float32, stride), make([]float32, stride)
	r.epochs(r.config.ItemEpochs, rng, func(i int) {
		r.item.forward(r.x[i], out, rng)
		clear(grad)
		// Answers to one prompt are far from independent.
		scale := r.weight[i] / float64(r.config.Batch) / math.Sqrt(float64(len(r.answers[i])))
		for _, o := range r.answers[i] {
			m := r.models.value[o.Model*stride:][:stride]
			dm := r.models.grad[o.Model*stride:][:stride]
			logit := out[0] + m[0] + dot32(m[1:1+axes], out[1:])
			d := float32(scale * (sigmoid(float64(logit)) - float64(o.Score)))
			grad[0] += d
			dm[0] += d
			axpy(d, m[1:1+axes], grad[1:])
			axpy(d, out[1:1+axes], dm[1:])
			if tokens := o.Tokens; tokens > 0 {
				length := out[1+axes] + m[1+axes] + dot32(m[2+axes:], out[2+axes:])
				e := float64(length) - math.Log(float64(tokens))
				d := float32(scale * lengthShare * min(max(e, -2), 2))
				grad[1+axes] += d
				dm[1+axes] += d
				axpy(d, m[2+axes:][:lengthAxes], grad[2+axes:])
				axpy(d, out[2+axes:][:lengthAxes], dm[2+axes:])
			}
		}
		r.item.backward(r.x[i], grad)
	}, func(rate float64) {
		r.item.step(rate)
		r.models.step(rate)
	})
	w := r.w
	w.ItemHidden, w.ItemOut = r.item.lower.value, r.item.upper.value
	for m := range w.Models {
		p := r.models.value[m*stride:][:stride]
		w.Bias = append(w.Bias, p[0])
		w.Ability = append(w.Ability, p[1:1+axes]...)
		w.LengthBias = append(w.LengthBias, p[1+axes])
		w.LengthAxes = append(w.LengthAxes, p[2+axes:]...)
	}
}

// lengthShare is the weight of the length loss beside the score loss.
const lengthShare = 0.1

// startLengths starts every model at the mean log length of its answers, or of
// all where it has none, so that the shared network learns differences.
func (r *run) startLengths() {
	at := 1 + r.config.Axes
	sum, n := make([]float64, len(r.w.Models)), make([]float64, len(r.w.Models))
	var allSum, all float64
	for _, answers := range r.answers {
		for _, o := range answers {
			if o.Tokens > 0 {
				l := math.Log(float64(o.Tokens))
				sum[o.Model] += l
				n[o.Model]++
				allSum += l
				all++
			}
		}
	}
	mean := math.Log(256)
	if all > 0 {
		mean = allSum / all
	}
	for m := range sum {
		r.models.value[m*r.stride()+at] = float32((sum[m] + 20*mean) / (n[m] + 20))
	}
}
