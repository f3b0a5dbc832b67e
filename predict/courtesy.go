package predict

import "strings"

// What people say around a question is no part of it, and beside a short
// question it is most of the text. A sentence at either end is a courtesy when
// it says something polite and nothing that is not in a small vocabulary:
// dropping "Could you help me with this, please?" loses nothing, and "Please
// help me with my tax return" stays for its tax return.

// polite makes a sentence a courtesy, if all its other words are filler.
var polite = wordSet(`
	hi hello hey greetings dear morning afternoon evening welcome please kindly kind thanks thank thx thankful cheers
	appreciate appreciated grateful sorry apologies regards hope wish help assist assistance favor favour bother`) //nolint:misspell // as people write it

var filler = wordSet(`
	a about again all am an and any anyone are as assistant at be best can could day do doing everyone fine folks following
	for forward friend from gladly good great guys have here i if im in is it its just last let little lot lots many may me much
	my need nice now of on one or out possible question quick really reply response see sir so some something
	team that the there this time to today very was well what will with would wonderful you your yours youre
	advance able answer look looking madam maybe moment give giving hand ask asking`)

func wordSet(words string) map[uint64]bool {
	set := map[uint64]bool{}
	for w := range strings.FieldsSeq(words) {
		var h uint64
		for _, c := range []byte(w) {
			h = hashByte(h, c)
		}
		set[h] = true
	}
	return set
}

func hashByte(h uint64, c byte) uint64 {
	h = (h ^ uint64(c)) * mulWord
	return h ^ h>>29
}

// maxCourtesies bounds the sentences taken off each end, and maxCourtesy the
// bytes of one.
const (
	maxCourtesies = 4
	maxCourtesy   = 120
)

// question returns text without white space and courtesies at its ends; text
// that is nothing else stays whole.
func question(text []byte) []byte {
	text = trimSpace(text)
	rest := text
	for range maxCourtesies {
		n := courtesyAtStart(rest)
		if n == 0 {
			break
		}
		rest = trimSpace(rest[n:])
	}
	for range maxCourtesies {
		n := courtesyAtEnd(rest)
		if n == 0 {
			break
		}
		rest = trimSpace(rest[:len(rest)-n])
	}
	if len(rest) == 0 {
		return text
	}
	return rest
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	return b
}

// ends reports whether c ends a sentence.
func ends(c byte) bool { return c == '.' || c == '!' || c == '?' || c == ':' || c == '\n' }

// courtesyAtStart is the length of the courtesy that text starts with; 0 when
// it starts with something else. A courtesy without an end is none: it is the
// whole text.
func courtesyAtStart(text []byte) int {
	for i, c := range text[:min(len(text), maxCourtesy)] {
		if ends(c) {
			if courtesy(text[:i]) {
				return i + 1
			}
			return 0
		}
	}
	return 0
}

// courtesyAtEnd is the same for the end of text.
func courtesyAtEnd(text []byte) int {
	end := len(text)
	for end > 0 && ends(text[end-1]) {
		end--
	}
	for i := end; i > 0 && end-i <= maxCourtesy; i-- {
		if ends(text[i-1]) {
			if courtesy(text[i:end]) {
				return len(text) - i
			}
			return 0
		}
	}
	return 0
}

// courtesy reports whether the words of sentence, which has no end mark, are
// polite and nothing else.
func courtesy(sentence []byte) bool {
	found := false
	var h uint64
	inWord := false
	for i := 0; i <= len(sentence); i++ {
		c := byte(' ')
		if i < len(sentence) {
			c = sentence[i]
		}
		switch kindOf[c] {
		case kindLetter:
			h = hashByte(h, fold[c])
			inWord = true
			continue
		case kindDigit, kindHigh, kindCode, kindMath:
			return false
		}
		if c == '\'' || !inWord {
			continue // as if it were not there
		}
		switch {
		case polite[h]:
			found = true
		case !filler[h]:
			return false
		}
		h, inWord = 0, false
	}
	return found
}
