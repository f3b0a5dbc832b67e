//go:build amd64 && !purego

package predict

// The functions in kernel_amd64.s check nothing.

//go:noescape
func sumRowsFast(rows, idf *byte, buckets *uint16, n int, lanes *[Dim]uint16) (squares uint64)

//go:noescape
func layerFast(w, in, out *float32, n, groups int)

//go:noescape
func dotFast(a, b *float32, n int) float32

// sumRows adds the rows of at most flushRows buckets: see sumRowsPlain. The
// table is larger than the caches near a core, and each row's additions are too
// many for the processor to find the next rows' loads by itself, so rows are
// fetched ahead of their turn.
func (e *encoder) sumRows(buckets []uint16, lanes *[Dim]uint16) (squares uint64) {
	if len(buckets) == 0 || cap(buckets) < len(buckets)+ahead || len(e.rows) < Buckets*Dim || len(e.idf) < Buckets {
		return e.sumRowsPlain(buckets, lanes)
	}
	return sumRowsFast(&e.rows[0], &e.idf[0], &buckets[0], len(buckets), lanes)
}

// ahead is by how many places in the list a row is fetched before its turn. What
// lies there past the list's end is some bucket or other, which is harmless.
const ahead = 12

// layer computes out[i] = w[i]·in + bias for rows of len(in)+1 weights.
func layer(w, in, out []float32) {
	n, rows := len(in), len(out)
	_ = w[:rows*(n+1)]
	whole := rows &^ 3
	if n > 0 && whole > 0 {
		layerFast(&w[0], &in[0], &out[0], n, whole/4)
	} else {
		whole = 0
	}
	layerPlain(w[whole*(n+1):], in, out[whole:])
}

// Dot is the inner product of a and the first len(a) elements of b. Exported for
// training, so that both add up in the same order.
func Dot(a, b []float32) float32 {
	b = b[:len(a)]
	if len(a) == 0 {
		return 0
	}
	return dotFast(&a[0], &b[0], len(a))
}
