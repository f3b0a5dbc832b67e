package extproc

import (
	"bytes"
	"testing"

	"github.com/andybalholm/brotli"
)

func TestBrotliWindow(t *testing.T) {
	t.Parallel()
	for bits := 10; bits <= 24; bits++ {
		var b bytes.Buffer
		w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: 1, LGWin: bits})
		if _, err := w.Write(make([]byte, 1<<12)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		// The fastest encoder may take a larger window than it is asked for.
		if got := brotliWindow(b.Bytes()); got != 1<<bits && (bits >= 18 || got != 1<<18) {
			t.Errorf("window of 2^%d: %d", bits, got)
		}
	}
	for src, want := range map[string]int{"": 0, "\x11": 0, "\x01": 1 << 17, "\x21": 1 << 10, "\x00": 1 << 16, "\x0f": 1 << 24} {
		if got := brotliWindow([]byte(src)); got != want {
			t.Errorf("%x: %d, want %d", src, got, want)
		}
	}
}
