package predict

import "encoding/binary"

const (
	hashBits = 16
	// Buckets is the number of hash buckets that n-grams fall into.
	Buckets = 1 << hashBits
	// maxText bounds one text after normalisation; the slack lets an 8-byte
	// load start at its last byte.
	maxText   = maxUserHead + maxUserTail + 1
	textSlack = 8
	// maxDistinct bounds the distinct buckets of one text: three character
	// n-grams, a word and a word pair can start at each byte.
	maxDistinct = 5 * maxText
)

// Multipliers of the n-gram hashes: odd 64-bit constants with well mixed bits.
const (
	mul3    = 0x9e3779b97f4a7c15
	mul4    = 0xc2b2ae3d27d4eb4f
	mul5    = 0x165667b19e3779f9
	mulWord = 0xff51afd7ed558ccd
	mulPair = 0xd6e8feb86659fd93
)

// Kinds of bytes, counted for the facts of a text.
const (
	kindOther = iota
	kindLetter
	kindDigit
	kindSpace
	kindHigh // part of a non-ASCII character
	kindCode // brackets and the like
	kindMath // operators and TeX
	kinds
)

// fold maps each byte to its normal form: lower case, every digit 0, any white
// space a blank. kindOf gives its kind.
var fold, kindOf = func() (f, k [256]byte) {
	for i := range f {
		c := byte(i)
		f[i] = c
		switch {
		case c >= 'A' && c <= 'Z':
			f[i], k[i] = c+'a'-'A', kindLetter
		case c >= 'a' && c <= 'z':
			k[i] = kindLetter
		case c >= '0' && c <= '9':
			f[i], k[i] = '0', kindDigit
		case c <= ' ':
			f[i], k[i] = ' ', kindSpace
		case c >= 0x80:
			k[i] = kindHigh
		}
	}
	for _, c := range []byte("{}[];<>_`#|&") {
		k[c] = kindCode
	}
	for _, c := range []byte(`\$^+=*/%~`) {
		k[c] = kindMath
	}
	return f, k
}()

// grams collects the n-grams of one text: how often each bucket occurs, and
// which do. It is large and reused.
type grams struct {
	count    [Buckets]uint8
	buckets  [maxDistinct + 1]uint16
	distinct int
	byClass  [classes][maxDistinct + ahead]uint16 // scratch of encoder.sum
	repeated [maxDistinct]uint16                  // likewise
	text     [maxText + textSlack]byte
	length   int
	kind     [kinds]int
}

// reset forgets the last text. It touches only the buckets that were used.
func (g *grams) reset() {
	for _, b := range g.buckets[:g.distinct] {
		g.count[b] = 0
	}
	g.distinct, g.length = 0, 0
	g.kind = [kinds]int{}
}

// read normalises first and last, joined by a blank when both are there, and
// counts the n-grams.
func (g *grams) read(first, last []byte) {
	g.reset()
	g.fold(first)
	if len(last) > 0 {
		g.fold([]byte{' '})
		g.fold(last)
	}
	if g.length > 0 && g.text[g.length-1] == ' ' {
		g.length--
		g.kind[kindSpace]--
	}
	clear(g.text[g.length : g.length+textSlack])
	g.characters()
	g.words()
}

// fold appends the normal form of b: runs of white space become one blank, and
// leading ones nothing.
func (g *grams) fold(b []byte) {
	n := g.length
	for _, c := range b {
		f := fold[c]
		if f == ' ' && (n == 0 || g.text[n-1] == ' ') {
			continue
		}
		if n >= maxText {
			break
		}
		g.text[n] = f
		n++
		g.kind[kindOf[c]]++
	}
	g.length = n
}

func (g *grams) add(bucket uint16) {
	// Whether a bucket is new is hard to foresee for a branch.
	c := g.count[bucket]
	g.buckets[g.distinct] = bucket
	isNew, more := 0, uint8(0)
	if c == 0 {
		isNew = 1
	}
	if c < 255 {
		more = 1
	}
	g.distinct += isNew
	g.count[bucket] = c + more
}

// characters counts the 3-, 4- and 5-grams of the normalised text.
func (g *grams) characters() {
	const shift = 64 - hashBits
	for i := 0; i+3 <= g.length; i++ {
		w := binary.LittleEndian.Uint64(g.text[i:])
		g.add(uint16((w & 0xffffff) * mul3 >> shift))
		g.add(uint16((w & 0xffffffff) * mul4 >> shift))
		g.add(uint16((w & 0xffffffffff) * mul5 >> shift))
	}
}

// words counts words and pairs of neighbouring words.
func (g *grams) words() {
	const shift = 64 - hashBits
	var h, before uint64
	inWord := false
	for i := 0; i <= g.length; i++ {
		c := g.text[i] // the slack ends the last word
		switch kindOf[c] {
		case kindLetter, kindDigit, kindHigh:
			h = hashByte(h, c)
			inWord = true
		default:
			if inWord {
				g.add(uint16(h * mulPair >> shift))
				g.add(uint16((before*mul3 ^ h) * mulPair >> shift))
				before, h, inWord = h, 0, false
			}
		}
	}
}

// Grams returns the buckets of the n-grams in text, each once and in order of
// first occurrence, and how much each weighs by its count: the sparse vector
// that the n-gram table projects, before inverse document frequencies. The
// text is clipped as Input.User is. For training.
func Grams(text []byte) (buckets []uint16, weights []float32) {
	g := new(grams)
	g.readUser(text)
	buckets = append(buckets, g.buckets[:g.distinct]...)
	weights = make([]float32, len(buckets))
	for i, b := range buckets {
		weights[i] = float32(classWeight[countClass[g.count[b]]]) / weightUnit
	}
	return buckets, weights
}

// readUser reads the question of a last user turn, clipped.
func (g *grams) readUser(text []byte) {
	text = question(text)
	var last []byte
	if len(text) > maxUserHead+maxUserTail {
		text, last = text[:maxUserHead], tail(text, maxUserTail)
	}
	g.read(text, last)
}
