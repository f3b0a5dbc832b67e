package train

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"wye/predict"
)

// nets are the networks of one fit and what goes with them.
type nets struct {
	tasks    *mlp      // names the task
	item     *mlp      // level, axes, length, length axes
	models   []float32 // stride a model: bias, axes, length bias, length axes
	stride   int
	axes     int
	taskItem []float32 // by task: mean level and axes
	centre   []float32 // by task: mean embedding, of unit length
	near     []float32 // by task: mean and reciprocal deviation of its prompts' cosine to the centre
}

// folds is the number of parts in cross-fitting by prompt.
const folds = 3

// foldOf assigns a group of prompts to a fold.
func foldOf(group string, n int) int {
	h := fnv.New32a()
	h.Write([]byte(group))
	return int(h.Sum32() % uint32(n))
}

// slots bounds how many fits run at once: each is single-threaded, and there is
// no point in more than there are processors, which does not change results.
var slots = make(chan struct{}, 2)

// parallel runs the functions at the same time and waits for all.
func parallel(fs ...func()) {
	var wg sync.WaitGroup
	for _, f := range fs {
		wg.Go(f)
	}
	wg.Wait()
}

func inSlot(f func()) func() {
	return func() {
		slots <- struct{}{}
		defer func() { <-slots }()
		f()
	}
}

// fitNets trains on the prompts that include admits, for the given epochs of
// the task and the item network. Stage numbers its random draws and takes two
// numbers.
func (r *run) fitNets(include []bool, taskEpochs, itemEpochs int, stage uint64) *nets {
	n := &nets{axes: r.config.Axes, stride: 2 + r.config.Axes + r.config.LengthAxes}
	var order []int
	for i, ok := range include {
		if ok {
			order = append(order, i)
		}
	}
	parallel(
		inSlot(func() { r.fitTaskNet(n, taskEpochs, slices.Clone(order), r.rng(stage)) }),
		inSlot(func() { r.fitItemNet(n, itemEpochs, slices.Clone(order), r.rng(stage+1)) }),
	)
	r.summarise(n, order)
	return n
}

// epochs runs step over the prompts of order, batch by batch and shuffled each
// time, with a learning rate that falls linearly to zero.
func (r *run) epochs(n int, order []int, rng *rand.Rand, sample func(i int), step func(rate float64)) {
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

// fitTaskNet trains the network that names the task.
func (r *run) fitTaskNet(n *nets, epochs int, order []int, rng *rand.Rand) {
	net := newMLP(predict.Width, r.config.TaskHidden, len(r.w.Tasks), float32(r.config.Dropout), float32(r.config.Decay), rng)
	out := make([]float32, net.out)
	r.epochs(epochs, order, rng, func(i int) {
		x := r.version(i, rng)
		net.forward(x, out, rng)
		softmax(out)
		scale := float32(r.weight[i] / float64(r.config.Batch))
		for j, p := range out {
			// Most tasks are out of the question most of the time, and
			// skipping them saves most of the work.
			if p < 1e-4 {
				p = 0
			}
			out[j] = float32(scale * p)
		}
		out[r.task[i]] -= scale
		net.backward(x, out)
	}, net.step)
	n.tasks = net
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

// lengthShare is the weight of the length loss beside the score loss.
const lengthShare = 0.1

// fitItemNet trains the item response model of scores and lengths: a network
// for what the prompt demands, and an ability vector a model.
func (r *run) fitItemNet(n *nets, epochs int, order []int, rng *rand.Rand) {
	axes, lengthAxes, stride := r.config.Axes, r.config.LengthAxes, n.stride
	net := newMLP(predict.Width, r.config.ItemHidden, stride, float32(r.config.Dropout), float32(r.config.Decay), rng)
	models := newAdam(len(r.w.Models)*stride, float32(r.config.AxisDecay))
	for i := range models.value {
		models.value[i] = float32(rng.NormFloat64() * 0.1)
	}
	for m, length := range r.meanLengths(order) {
		models.value[m*stride+1+axes] = length
	}
	out, grad := make([]float32, stride), make([]float32, stride)
	r.epochs(epochs, order, rng, func(i int) {
		x := r.version(i, rng)
		net.forward(x, out, rng)
		clear(grad)
		// Answers to one prompt are far from independent.
		scale := r.weight[i] / float64(r.config.Batch) / math.Sqrt(float64(len(r.answers[i])))
		for _, o := range r.answers[i] {
			m := models.value[o.Model*stride:][:stride]
			dm := models.grad[o.Model*stride:][:stride]
			logit := out[0] + m[0] + predict.Dot(m[1:1+axes], out[1:])
			d := float32(scale * (sigmoid(float64(logit)) - float64(o.Score)))
			grad[0] += d
			dm[0] += d
			axpy(d, m[1:1+axes], grad[1:])
			axpy(d, out[1:1+axes], dm[1:])
			if tokens := o.Tokens; tokens > 0 {
				length := out[1+axes] + m[1+axes] + predict.Dot(m[2+axes:], out[2+axes:])
				e := float64(length) - math.Log(float64(tokens))
				d := float32(scale * lengthShare * min(max(e, -2), 2))
				grad[1+axes] += d
				dm[1+axes] += d
				axpy(d, m[2+axes:][:lengthAxes], grad[2+axes:])
				axpy(d, out[2+axes:][:lengthAxes], dm[2+axes:])
			}
		}
		net.backward(x, grad)
	}, func(rate float64) {
		net.step(rate)
		models.step(rate)
	})
	n.item, n.models = net, models.value
}

// meanLengths are the models' mean log answer lengths, shrunk towards all
// models' mean, so that the network need only learn differences.
func (r *run) meanLengths(order []int) []float32 {
	sum, n := make([]float64, len(r.w.Models)), make([]float64, len(r.w.Models))
	var allSum, all float64
	for _, i := range order {
		for _, o := range r.answers[i] {
			if math.IsNaN(float64(o.Tokens)) || o.Tokens <= 0 {
				continue
			}
			l := math.Log(float64(o.Tokens))
			sum[o.Model] += l
			n[o.Model]++
			allSum += l
			all++
		}
	}
	mean := math.Log(256)
	if all > 0 {
		mean = allSum / all
	}
	out := make([]float32, len(sum))
	for m := range sum {
		out[m] = float32((sum[m] + 20*mean) / (n[m] + 20))
	}
	return out
}

// summarise fills in the means by task.
func (r *run) summarise(n *nets, order []int) {
	tasks, width := len(r.w.Tasks), 1+n.axes
	n.taskItem = make([]float32, tasks*width)
	n.centre = make([]float32, tasks*predict.Dim)
	count := make([]float32, tasks)
	out := make([]float32, n.stride)
	for _, i := range order {
		n.item.forward(r.x[i], out, nil)
		t := r.task[i]
		axpy(1, out[:width], n.taskItem[t*width:])
		axpy(1, r.embedding[i], n.centre[t*predict.Dim:])
		count[t]++
	}
	for t, c := range count {
		centre := n.centre[t*predict.Dim:][:predict.Dim]
		scale := 1 / max(float32(math.Sqrt(float64(predict.Dot(centre, centre)))), 1e-9)
		for k := range centre {
			centre[k] *= scale
		}
		for k := range width {
			n.taskItem[t*width+k] /= max(c, 1)
		}
	}
	sum, square := make([]float64, tasks), make([]float64, tasks)
	for _, i := range order {
		t := r.task[i]
		cosine := float64(predict.Dot(r.embedding[i], n.centre[t*predict.Dim:]))
		sum[t] += cosine
		square[t] += cosine * cosine
	}
	n.near = make([]float32, 2*tasks)
	for t, c := range count {
		mean := sum[t] / max(float64(c), 1)
		variance := square[t]/max(float64(c), 1) - mean*mean
		n.near[2*t] = float32(mean)
		// A template repeated to the letter has no deviation to speak of.
		n.near[2*t+1] = float32(1 / math.Sqrt(max(variance, 1e-3)))
	}
}

// store puts the networks into w.
func (n *nets) store(w *predict.Weights) {
	w.TaskHidden, w.TaskOut = n.tasks.lower.value, n.tasks.upper.value
	w.ItemHidden, w.ItemOut = n.item.lower.value, n.item.upper.value
	w.TaskItem, w.TaskCentre, w.TaskNear = n.taskItem, n.centre, n.near
	for m := range w.Models {
		p := n.models[m*n.stride:][:n.stride]
		w.Bias = append(w.Bias, p[0])
		w.Ability = append(w.Ability, p[1:1+n.axes]...)
		w.LengthBias = append(w.LengthBias, p[1+n.axes])
		w.LengthAxes = append(w.LengthAxes, p[2+n.axes:]...)
	}
}
