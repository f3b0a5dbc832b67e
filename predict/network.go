package predict

// Bounds of the networks, so that one call's memory has a fixed size.
const (
	maxTasks   = 512
	maxHidden  = 256
	maxItemOut = 64
	// TopTasks is how many of the likeliest tasks an estimate is mixed from.
	TopTasks = 8
)

func relu(x []float32) {
	for i, v := range x {
		x[i] = max(v, 0)
	}
}

// mixture is a short list of likely tasks with probabilities that sum to one.
type mixture struct {
	task  [TopTasks]int
	share [TopTasks]float32
	n     int
}

// softTop turns logits, which it overwrites, into the mixture of their
// likeliest entries.
func (m *mixture) softTop(logits []float32) {
	m.n = 0
	for i, v := range logits {
		if m.n == TopTasks && v <= m.share[m.n-1] {
			continue
		}
		if m.n < TopTasks {
			m.n++
		}
		j := m.n - 1
		for ; j > 0 && m.share[j-1] < v; j-- {
			m.share[j], m.task[j] = m.share[j-1], m.task[j-1]
		}
		m.share[j], m.task[j] = v, i
	}
	top := m.share[0]
	var sum float32
	for i := range m.share[:m.n] {
		m.share[i] = exp32(m.share[i] - top)
		sum += m.share[i]
	}
	for i := range m.share[:m.n] {
		m.share[i] /= sum
	}
}

// TopMixture turns logits into the mixture that estimates are made of: the
// likeliest entries and their shares. It returns how many. For training.
func TopMixture(logits []float32, entries *[TopTasks]int, shares *[TopTasks]float64) int {
	var m mixture
	m.softTop(logits)
	*entries = m.task
	for i, v := range m.share {
		shares[i] = float64(v)
	}
	return m.n
}
