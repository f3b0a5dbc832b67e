package extproc

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// coding is a request's content-encoding.
type coding uint8

const (
	codingIdentity coding = iota
	codingGzip
	codingZstd
	codingBrotli
	codingUnsupported
)

// parseCoding reads a content-encoding header. Codings on top of each other
// are unsupported: no client sends them, and bombs do.
func parseCoding(v []byte) coding {
	switch string(bytes.ToLower(bytes.TrimSpace(v))) {
	case "", "identity":
		return codingIdentity
	case "gzip", "x-gzip":
		return codingGzip
	case "zstd":
		return codingZstd
	case "br":
		return codingBrotli
	}
	return codingUnsupported
}

// zstdMaxWindow bounds what a frame makes the decoder allocate. It is the
// largest window that RFC 9659 allows in HTTP.
const zstdMaxWindow = 8 << 20

// brotliWindow is how many bytes the decoder of src may allocate beside its
// output: the stream's window, which its first byte gives (RFC 7932, section
// 9.1). 0 is no valid stream.
func brotliWindow(src []byte) int {
	if len(src) == 0 {
		return 0
	}
	bits := 16
	if b := src[0]; b&1 != 0 {
		switch n, m := b>>1&7, b>>4&7; {
		case n != 0:
			bits = 17 + int(n)
		case m == 0:
			bits = 17
		case m == 1: // reserved: the large windows of a later format
			return 0
		default:
			bits = 8 + int(m)
		}
	}
	return 1 << bits
}

var errBrotliWindow = errors.New("brotli: it does not start with a window size")

var errDecodedTooLarge = errors.New("decoded body too large")

// decoders are pools of the decoders' state. The zero value is ready.
type decoders struct{ gzip, zstd sync.Pool }

// decode appends the decoded src to dst, at most limit bytes of it; reserve is
// asked before dst grows by n bytes. Errors: errDecodedTooLarge, reserve's, and
// the decoder's own.
func (d *decoders) decode(dst, src []byte, c coding, limit int, reserve func(n int) error) ([]byte, error) {
	switch c {
	case codingGzip:
		z, ok := d.gzip.Get().(*gzip.Reader)
		if !ok {
			z = new(gzip.Reader)
		}
		defer d.gzip.Put(z)
		if err := z.Reset(bytes.NewReader(src)); err != nil {
			return dst, fmt.Errorf("gzip: %w", err)
		}
		return readAll(dst, z, limit, reserve)
	case codingZstd:
		z, ok := d.zstd.Get().(*zstd.Decoder)
		if !ok {
			var err error
			// Concurrency 1 decodes in the caller's goroutine.
			z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdMaxWindow))
			if err != nil {
				return dst, fmt.Errorf("zstd: %w", err)
			}
		}
		defer func() {
			_ = z.Reset(nil) // Cannot fail, and lets go of src.
			d.zstd.Put(z)
		}()
		if err := z.Reset(bytes.NewReader(src)); err != nil {
			return dst, fmt.Errorf("zstd: %w", err)
		}
		return readAll(dst, z, limit, reserve)
	case codingBrotli:
		// No pool: a decoder keeps its window, of up to 16 MiB, which is taken
		// from the same budget as the body.
		window := brotliWindow(src)
		if window == 0 {
			return dst, errBrotliWindow
		}
		if err := reserve(window); err != nil {
			return dst, err
		}
		return readAll(dst, brotli.NewReader(bytes.NewReader(src)), limit, reserve)
	case codingIdentity, codingUnsupported:
	}
	return dst, fmt.Errorf("content coding %d has no decoder", c)
}

func readAll(dst []byte, r io.Reader, limit int, reserve func(n int) error) ([]byte, error) {
	base := len(dst)
	for {
		if len(dst) == cap(dst) {
			n := min(max(cap(dst), 1<<minClassBits), max(limit-cap(dst), 1))
			if err := reserve(n); err != nil {
				return dst, err
			}
			dst = slices.Grow(dst, n)
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if len(dst)-base > limit {
			return dst, errDecodedTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
