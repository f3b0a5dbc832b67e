package predict

import "encoding/binary"

// The loops that take most of a prediction's time, as plain Go. They define
// the result: what an architecture has instead gives the same bits.

// flushRows rows of at most 255 fit a 16-bit lane.
const flushRows = 256

// sumRowsPlain adds the rows of at most flushRows buckets into lanes, which it
// overwrites, and returns the sum of the squares of their idf steps. Each 16
// dimensions of a row are 16 lanes: the even ones, then the odd ones.
func (e *encoder) sumRowsPlain(buckets []uint16, lanes *[Dim]uint16) (squares uint64) {
	const even = 0x00ff00ff00ff00ff
	var sum [Dim / 4]uint64
	for _, b := range buckets {
		squares += uint64(e.idf[b]) * uint64(e.idf[b])
		row := (*[Dim]byte)(e.rows[int(b)*Dim:])
		for j := range Dim / 16 {
			w, v := binary.LittleEndian.Uint64(row[j*16:]), binary.LittleEndian.Uint64(row[j*16+8:])
			sum[j*4] += w & even
			sum[j*4+1] += v & even
			sum[j*4+2] += w >> 8 & even
			sum[j*4+3] += v >> 8 & even
		}
	}
	for j, s := range sum {
		for k := range 4 {
			lanes[j*4+k] = uint16(s >> (16 * k))
		}
	}
	return squares
}

// layerPlain is layer.
func layerPlain(w, in, out []float32) {
	n := len(in)
	for i := range out {
		row := w[i*(n+1):][: n+1 : n+1]
		out[i] = dotPlain(in, row) + row[n]
	}
}

// dotPlain is Dot. Products are converted to float32 explicitly, which forbids
// fused multiply-add.
func dotPlain(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		x, y := a[i:i+4:i+4], b[i:i+4:i+4]
		s0 += float32(x[0] * y[0])
		s1 += float32(x[1] * y[1])
		s2 += float32(x[2] * y[2])
		s3 += float32(x[3] * y[3])
	}
	for ; i < len(a); i++ {
		s0 += float32(a[i] * b[i])
	}
	return (s0 + s1) + (s2 + s3)
}
