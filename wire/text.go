package wire

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. It escapes what JSON demands and
// nothing else, except that invalid UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}

// decodeEscape decodes the escape sequence that raw starts with, which a scan
// has found well-formed. It returns the character and how many bytes of raw it
// took. Half a surrogate pair is U+FFFD, as encoding/json has it.
func decodeEscape(raw []byte) (r rune, n int) {
	switch raw[1] {
	case 'u':
		r = hex4(raw[2:])
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
			if pair := utf16.DecodeRune(r, hex4(raw[8:])); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return utf8.RuneError, 6
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	return rune(raw[1]), 2 // quote, backslash, slash
}

// maxTrim bounds the bytes of white space that trimEnd takes off: more is not an
// oversight, and does cost tokens.
const maxTrim = 64

// trimEnd takes blanks and line breaks off the end of the contents of a JSON
// string.
func trimEnd(raw []byte, escaped bool) []byte {
	end := len(raw)
	for len(raw)-end < maxTrim {
		n := blankBefore(raw[:end], escaped)
		if n == 0 {
			break
		}
		end -= n
	}
	return raw[:end]
}

// blankBefore is how many bytes the blank, tab or line break that ends raw
// takes; 0 when none does.
func blankBefore(raw []byte, escaped bool) int {
	n := len(raw)
	switch {
	case n == 0:
		return 0
	case raw[n-1] == ' ':
		return 1
	case !escaped || n < 2 || raw[n-1] != 'n' && raw[n-1] != 't' && raw[n-1] != 'r':
		return 0
	}
	// The backslash before the letter may itself be escaped.
	slashes := 0
	for slashes < n-1 && raw[n-2-slashes] == '\\' {
		slashes++
	}
	return 2 * (slashes % 2)
}

// hex4 is the value of the four hex digits at the start of b.
func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c&^0x20 - 'A' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// unescape appends to dst the text of the contents of a JSON string, but stops
// before dst would grow beyond limit. It returns the bytes of raw it read.
func unescape(dst, raw []byte, limit int) (text []byte, n int) {
	for n < len(raw) && len(dst) < limit {
		rest := raw[n:]
		run := bytes.IndexByte(rest, '\\')
		if run != 0 {
			if run < 0 {
				run = len(rest)
			}
			if room := limit - len(dst); run > room {
				run = runeStart(rest, room)
				return append(dst, rest[:run]...), n + run
			}
			dst = append(dst, rest[:run]...)
			n += run
			continue
		}
		r, size := decodeEscape(rest)
		if len(dst)+utf8.RuneLen(r) > limit {
			return dst, n
		}
		dst = utf8.AppendRune(dst, r)
		n += size
	}
	return dst, n
}

// runeStart is the last position in b at or before i that does not split a
// character. It looks back no further than a character is long.
func runeStart(b []byte, i int) int {
	if i >= len(b) {
		return len(b)
	}
	for k := i; k > i-utf8.UTFMax && k >= 0; k-- {
		if utf8.RuneStart(b[k]) {
			return k
		}
	}
	return i
}

// clip keeps the head and the tail of a text that arrives in pieces. Its
// memory is bounded by its sizes and is kept from use to use.
type clip struct {
	headSize, tailSize int
	head, tail         []byte
	full               bool // the head takes no more
}

// init empties the clip, and sizes it at its first use. The head has room for
// the tail to be joined to it.
func (c *clip) init(headSize, tailSize int) {
	if c.head == nil {
		c.headSize, c.tailSize = headSize, tailSize
		c.head = make([]byte, 0, headSize+tailSize)
		c.tail = make([]byte, 0, 2*tailSize+64)
	}
	c.reset()
}

func (c *clip) reset() { c.head, c.tail, c.full = c.head[:0], c.tail[:0], false }

// separate puts a newline between what is there and what comes.
func (c *clip) separate() {
	switch {
	case len(c.head)+len(c.tail) == 0:
	case !c.full && len(c.head) < c.headSize:
		c.head = append(c.head, '\n')
	default:
		c.full = true
		c.addTail([]byte{'\n'}, false)
	}
}

// add appends the contents of a JSON string. Of a long one it unescapes only
// what the clip keeps.
func (c *clip) add(raw []byte, escaped bool) {
	if !c.full {
		var n int
		if c.head, n = unescape(c.head, raw, c.headSize); n == len(raw) {
			return
		}
		c.full = true
		raw = raw[n:]
	}
	c.addTail(raw, escaped)
}

// addTail is add for a text whose head is past.
func (c *clip) addTail(raw []byte, escaped bool) {
	if c.tailSize == 0 {
		return
	}
	// Try with a little more than the tail is long; only text that is mostly
	// escapes needs six bytes for one. The margins let half a surrogate pair
	// at the cut fall out again.
	for _, span := range [...]int{c.tailSize + c.tailSize/8 + 8, 6*c.tailSize + 24} {
		part := raw
		if cut := len(part) - span; cut > 0 {
			if escaped {
				cut = boundary(part, cut)
			}
			part = part[cut:]
		}
		before := len(c.tail)
		c.tail = appendTail(c.tail, part, escaped)
		if len(c.tail)-before >= c.tailSize+3 || len(part) == len(raw) {
			break
		}
		c.tail = c.tail[:before]
	}
	if extra := len(c.tail) - c.tailSize; extra > 0 {
		c.tail = append(c.tail[:0], c.tail[nextRune(c.tail, extra):]...)
	}
}

func appendTail(dst, raw []byte, escaped bool) []byte {
	if !escaped {
		return append(dst, raw...)
	}
	dst, _ = unescape(dst, raw, len(dst)+len(raw))
	return dst
}

// text joins the head and the last tailSize bytes of the tail. The view dies at the next change of the clip.
func (c *clip) text(tailSize int) []byte {
	return append(c.head, c.tail[nextRune(c.tail, max(0, len(c.tail)-tailSize)):]...)
}

// nextRune is the first position in b at or after i where a character
// starts.
func nextRune(b []byte, i int) int {
	for i < len(b) && !utf8.RuneStart(b[i]) {
		i++
	}
	return i
}

// boundary is the first position in the contents of a JSON string at or after
// about i where neither a character nor an escape sequence is split.
func boundary(raw []byte, i int) int {
	for back := 1; back <= 5 && back <= i; back++ {
		at := i - back
		if raw[at] != '\\' {
			continue
		}
		run := 0 // backslashes before this one: an odd number escapes it
		for at-run > 0 && raw[at-run-1] == '\\' {
			run++
		}
		if run%2 == 1 {
			break // this backslash is the end of an escape sequence
		}
		if _, size := decodeEscape(raw[at:]); at+size > i {
			return at
		}
		break
	}
	return nextRune(raw, i)
}
