package extproc

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// Pooled buffers have a capacity of at least one of these classes, each four
// times the one before. Larger ones are left to the garbage collector, so that
// a few huge requests do not become resident memory.
const (
	minClassBits  = 12 // 4 KiB
	maxClassBits  = 20 // 1 MiB
	classBits     = 2
	poolClasses   = (maxClassBits-minClassBits)/classBits + 1
	maxPooledSize = 1 << maxClassBits
)

// bufferPool is a mem.BufferPool, so that gRPC gives a reply's memory back when
// it has left for the socket. The zero value is ready.
type bufferPool struct{ classes [poolClasses]sync.Pool }

var _ mem.BufferPool = (*bufferPool)(nil)

// Get returns a buffer of length n; its content is arbitrary.
func (p *bufferPool) Get(n int) *[]byte {
	if n > maxPooledSize {
		b := make([]byte, n)
		return &b
	}
	class := 0
	if n > 1<<minClassBits {
		class = (bits.Len(uint(n-1)) - minClassBits + classBits - 1) / classBits
	}
	if b, ok := p.classes[class].Get().(*[]byte); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, 1<<(minClassBits+class*classBits))
	return &b
}

// Put takes a buffer back, whether or not it came from Get.
func (p *bufferPool) Put(b *[]byte) {
	size := cap(*b)
	if size < 1<<minClassBits || size > maxPooledSize {
		return
	}
	p.classes[(bits.Len(uint(size))-1-minClassBits)/classBits].Put(b)
}

// budget bounds a number of bytes over all streams.
type budget struct {
	limit int64
	used  atomic.Int64
}

// smallShare of the budget is kept for small bodies, so that whoever holds on to
// large ones does not keep everybody else out.
const smallShare = 8

// take reserves n bytes and reports whether there were as many left, for a large
// body or a small one.
func (b *budget) take(n int, large bool) bool {
	limit := b.limit
	if large {
		limit -= limit / smallShare
	}
	if b.used.Add(int64(n)) <= limit {
		return true
	}
	b.used.Add(-int64(n))
	return false
}

// give returns n bytes.
func (b *budget) give(n int) { b.used.Add(-int64(n)) }
