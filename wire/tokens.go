package wire

import (
	"bytes"
	"unicode/utf8"
)

// tally estimates tokens and counts bytes of unescaped text. Both estimates
// are linear in counts of byte classes, so one table look-up a byte yields
// both.
type tally struct {
	bytes     int
	best, max int // in 1/tokenUnit
}

const tokenUnit = 1024

// Byte classes. The lead byte of a multi-byte character stands for its script.
const (
	clsBreak = iota // line breaks, tabs, other control characters
	clsSpace
	clsLower
	clsUpper
	clsDigit
	clsPunct
	clsNext // continuation byte
	clsLatin
	clsGreek  // Greek and Cyrillic
	clsMiddle // Armenian, Hebrew, Arabic …: two bytes
	clsIndic
	clsOther3
	clsKana
	clsHan
	clsHangul
	clsAstral
	clsCount
)

var class = func() (t [256]uint8) {
	for i := range t {
		switch {
		case i < ' ' || i == 0x7F:
			t[i] = clsBreak
		case i == ' ':
			t[i] = clsSpace
		case 'a' <= i && i <= 'z':
			t[i] = clsLower
		case 'A' <= i && i <= 'Z':
			t[i] = clsUpper
		case '0' <= i && i <= '9':
			t[i] = clsDigit
		case i < 0x80:
			t[i] = clsPunct
		case i < 0xC0:
			t[i] = clsNext
		case i < 0xCD:
			t[i] = clsLatin
		case i < 0xD4:
			t[i] = clsGreek
		case i < 0xE0:
			t[i] = clsMiddle
		case i == 0xE0 || i == 0xE1:
			t[i] = clsIndic
		case i == 0xE2 || i >= 0xEE && i < 0xF0:
			t[i] = clsOther3
		case i == 0xE3:
			t[i] = clsKana
		case i < 0xEA:
			t[i] = clsHan
		case i < 0xEE:
			t[i] = clsHangul
		default:
			t[i] = clsAstral
		}
	}
	return t
}()

// weights holds, for the class of a byte and of the byte before it, the best
// estimate in the lower half and the safe one in the upper half.
var weights = buildWeights()

// chunk bounds the bytes summed up before the halves of the sum are taken
// apart, so that the lower one cannot run over.
const chunk = 1 << 16

// text counts the contents of a JSON string.
func (t *tally) text(raw []byte, escaped bool) {
	if !escaped {
		t.run(raw, clsBreak)
		return
	}
	var char [4]byte
	prev := uint8(clsBreak)
	for len(raw) > 0 {
		n := bytes.IndexByte(raw, '\\')
		if n < 0 {
			n = len(raw)
		}
		if n > 0 {
			prev = t.run(raw[:n], prev)
			raw = raw[n:]
			continue
		}
		r, size := decodeEscape(raw)
		raw = raw[size:]
		prev = t.run(utf8.AppendRune(char[:0], r), prev)
	}
}

// run counts text that follows a byte of class prev, and returns the class of
// its last byte.
func (t *tally) run(b []byte, prev uint8) uint8 {
	t.bytes += len(b)
	for len(b) > 0 {
		part := b[:min(len(b), chunk)]
		b = b[len(part):]
		var sum uint64
		for _, c := range part {
			cls := class[c] & (clsCount - 1)
			sum += weights[prev&(clsCount-1)][cls]
			prev = cls
		}
		t.best += int(sum & (1<<32 - 1))
		t.max += int(sum >> 32)
	}
	return prev
}

// cost is what something that is no text adds to the estimates, in tokens.
type cost struct{ best, max int }

var (
	perRequest = cost{3, 16}
	perMessage = cost{4, 8}
	perTool    = cost{8, 24}
	// perImage covers what providers document for one image at full detail,
	// with one exception: gpt-4o-mini bills images at a multiple of their size.
	perImage = cost{800, 4096}
	// perFile is for a document that is only named or short.
	perFile = cost{1500, 8192}
)

// A document's length tells little of its tokens: a page of a PDF is a few
// hundred bytes of text or a megabyte of scan. These bounds are a convention.
const (
	fileBytesBest, fileTokensBest = 40, 50_000
	fileBytesMax, fileTokensMax   = 4, 150_000
)

func (t *tally) overhead(c cost) {
	t.best += c.best * tokenUnit
	t.max += c.max * tokenUnit
}

// file counts a document that takes n bytes of the body.
func (t *tally) file(n int) {
	t.overhead(perFile)
	t.overhead(cost{min(n/fileBytesBest, fileTokensBest), min(n/fileBytesMax, fileTokensMax)})
}

// tokens returns both estimates of the prompt, rounded up.
func (t *tally) tokens() (best, most int) {
	up := func(n, c int) int { return (n+tokenUnit-1)/tokenUnit + c }
	return up(t.best, perRequest.best), up(t.max, perRequest.max)
}

// weight is what one byte adds, in tokens.
type weight struct{ best, max float64 }

func buildWeights() (t [clsCount][clsCount]uint64) {
	pack := func(w weight) uint64 {
		return uint64(w.best*tokenUnit+0.5) | uint64(w.max*tokenUnit+0.5)<<32
	}
	for prev := range uint8(clsCount) {
		for cls := range uint8(clsCount) {
			t[prev][cls] = pack(weightOf(prev, cls))
		}
	}
	return t
}

// weightOf is what a byte of class cls adds after one of class prev.
func weightOf(prev, cls uint8) weight {
	same := prev == cls
	switch cls {
	case clsBreak, clsPunct:
		if same {
			return weight{0.3, 0.75}
		}
		return weight{0.8, 1}
	case clsSpace:
		if same {
			return weight{0.1, 0.2}
		}
		return weight{0.05, 0.3}
	case clsLower, clsUpper:
		switch {
		case same:
			return weight{0.12, 0.5}
		case cls == clsLower && (prev == clsUpper || prev == clsNext):
			return weight{0.3, 0.6}
		}
		return weight{0.6, 1}
	case clsDigit:
		if same {
			return weight{0.3, 1}
		}
		return weight{0.8, 1}
	case clsNext:
		return weight{0, 0}
	case clsLatin, clsGreek:
		return weight{0.5, 1.2}
	case clsMiddle:
		return weight{0.5, 1.6}
	case clsHangul, clsHan, clsKana:
		return weight{0.8, 2}
	}
	return weight{1, 3}
}
