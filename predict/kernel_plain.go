//go:build !amd64 || purego

package predict

// ahead is slack that other architectures need behind a list of buckets.
const ahead = 0

func (e *encoder) sumRows(buckets []uint16, lanes *[Dim]uint16) (squares uint64) {
	return e.sumRowsPlain(buckets, lanes)
}

// layer computes out[i] = w[i]·in + bias for rows of len(in)+1 weights.
func layer(w, in, out []float32) { layerPlain(w, in, out) }

// Dot is the inner product of a and the first len(a) elements of b. Exported for
// training, so that both add up in the same order.
func Dot(a, b []float32) float32 { return dotPlain(a, b) }
