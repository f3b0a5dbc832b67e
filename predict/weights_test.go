package predict_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"wye/predict"
)

// reseal corrects the length and checksum of a weights file after a change to
// its content, so that a test reaches what they protect.
func reseal(b []byte) []byte {
	body := b[8+4+8+sha256.Size:]
	binary.LittleEndian.PutUint64(b[12:], uint64(len(body)))
	sum := sha256.Sum256(body)
	copy(b[20:], sum[:])
	return b
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	good := marshalled(t)
	content := 8 + 4 + 8 + sha256.Size
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		want   error
		says   string
	}{
		{"nothing", func([]byte) []byte { return nil }, predict.ErrNotWeights, ""},
		{"a text file", func([]byte) []byte { return []byte(strings.Repeat("weights ", 100)) }, predict.ErrNotWeights, ""},
		{"another format version", func(b []byte) []byte { b[8] = 99; return b }, predict.ErrFormat, "version 99"},
		{"a cut file", func(b []byte) []byte { return b[:len(b)/2] }, predict.ErrDamaged, "bytes of content"},
		{"a longer file", func(b []byte) []byte { return append(b, 0) }, predict.ErrDamaged, "bytes of content"},
		{"a flipped bit", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, predict.ErrDamaged, "checksum"},
		{"no header", func(b []byte) []byte { return reseal(b[:content+2]) }, predict.ErrDamaged, "no header"},
		{"a huge header", func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[content:], math.MaxUint32)
			return reseal(b)
		}, predict.ErrDamaged, "header of"},
		{"a header that is not JSON", func(b []byte) []byte { b[content+4] = '!'; return reseal(b) }, predict.ErrDamaged, "header"},
		{"a cut table", func(b []byte) []byte { return reseal(b[:content+1<<20]) }, predict.ErrDamaged, "cut off"},
		{"a cut tensor", func(b []byte) []byte { return reseal(b[:len(b)-4]) }, predict.ErrDamaged, "cut off"},
		{"bytes too many", func(b []byte) []byte { return reseal(append(b, 1, 2, 3, 4)) }, predict.ErrDamaged, "4 bytes too many"},
		{"a number that is none", func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[len(b)-4:], math.Float32bits(float32(math.NaN())))
			return reseal(b)
		}, predict.ErrDamaged, "not finite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := predict.Load(c.change(bytes.Clone(good)))
			if !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not say %q", err, c.says)
			}
		})
	}
}

func TestMarshalRoundTrip(t *testing.T) {
	t.Parallel()
	b := marshalled(t)
	var w predict.Weights
	if err := w.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	again, err := w.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, again) {
		t.Error("encoding the decoded weights gives other bytes")
	}
}

func TestNewRefusesWrongSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(w *predict.Weights)
		says   string
	}{
		{"short tensor", func(w *predict.Weights) { w.Bias = w.Bias[1:] }, "bias"},
		{"short table", func(w *predict.Weights) { w.Rows = w.Rows[1:] }, "n-gram table"},
		{"counts", func(w *predict.Weights) { w.Graded = nil }, "counts"},
		{"no task", func(w *predict.Weights) { w.Tasks = nil }, "out of range"},
		{"infinite", func(w *predict.Weights) {
			w.Bias = bytesOf(len(w.Bias), float32(math.Inf(1)))
		}, "not finite"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var w predict.Weights
			if err := w.UnmarshalBinary(marshalled(t)); err != nil {
				t.Fatal(err)
			}
			c.change(&w)
			if _, err := predict.New(&w); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("New: %v, want it to say %q", err, c.says)
			}
			if _, err := w.MarshalBinary(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("MarshalBinary: %v, want it to say %q", err, c.says)
			}
		})
	}
}

func bytesOf(n int, v float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// FuzzLoad resealing makes the fuzzer reach beyond the checksum.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("WYEPRED\n"), false)
	f.Add(append([]byte("WYEPRED\n\x01\x00\x00\x00"), make([]byte, 60)...), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) >= 8+4+8+sha256.Size {
			copy(b, "WYEPRED\n\x01\x00\x00\x00")
			b = reseal(b)
		}
		if p, err := predict.Load(b); (p == nil) == (err == nil) {
			t.Errorf("predictor %v, error %v", p, err)
		}
	})
}
