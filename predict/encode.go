package predict

import "encoding/binary"

const (
	// Dim is the length of an embedding; one bucket's row is one cache line.
	Dim = 64
	// Facts is the number of dense facts of a text beside its embedding.
	Facts = 10
	// Width is the length of the networks' input.
	Width = Dim + Facts

	rowBias = 128 // rows hold value+rowBias, so that they add up as unsigned
	// flushRows rows of at most 255 fit a 16-bit lane.
	flushRows = 256
)

// weightUnit is the weight of an n-gram that occurs once; others weigh
// 1+ln(count) times as much, rounded by the class of their count.
const weightUnit = 16

var (
	countClass = func() (c [256]uint8) {
		for i := range c {
			switch {
			case i <= 1:
			case i == 2:
				c[i] = 1
			case i <= 4:
				c[i] = 2
			case i <= 8:
				c[i] = 3
			default:
				c[i] = 4
			}
		}
		return c
	}()
	classWeight = [...]int32{16, 27, 36, 46, 62}
)

// sum adds the table rows of g's n-grams, weighted by their counts, into acc
// and returns the squared length of the text's weighted vector before
// projection, in the same units. Most n-grams occur once: they are added as
// they come, the others class by class.
func (e *encoder) sum(g *grams, acc *[Dim]int32) (energy float32) {
	repeated := g.repeated[:0]
	once := g.once[:0]
	for _, b := range g.buckets[:g.distinct] {
		if g.count[b] == 1 {
			once = append(once, b)
		} else {
			repeated = append(repeated, b)
		}
	}
	total := e.sumClass(once, classWeight[0], acc)
	for class := 1; class < len(classWeight) && len(repeated) > 0; class++ {
		of, rest := once[:0], repeated[:0]
		for _, b := range repeated {
			if int(countClass[g.count[b]]) == class {
				of = append(of, b)
			} else {
				rest = append(rest, b)
			}
		}
		repeated = rest
		total += e.sumClass(of, classWeight[class], acc)
	}
	return float32(total) * e.idfUnit * e.idfUnit
}

// ahead is how many rows before its turn a row is touched. The table is larger
// than the caches near a core, and a row's additions are too many for the
// processor to find the next rows' loads by itself.
const ahead = 12

// sumClass adds the rows of buckets, all of one weight, into acc.
func (e *encoder) sumClass(buckets []uint16, weight int32, acc *[Dim]int32) (energy uint64) {
	const even = 0x00ff00ff00ff00ff
	var lo, hi [Dim / 8]uint64
	var squares, touched uint64
	rows := 0
	for i, b := range buckets {
		if i+ahead < len(buckets) {
			touched += uint64(e.rows[int(buckets[i+ahead])*Dim])
		}
		squares += uint64(e.idf[b]) * uint64(e.idf[b])
		row := (*[Dim]byte)(e.rows[int(b)*Dim:])
		for j := range lo {
			w := binary.LittleEndian.Uint64(row[j*8:])
			lo[j] += w & even
			hi[j] += w >> 8 & even
		}
		if rows++; rows == flushRows {
			flush(acc, &lo, &hi, rows, weight)
			rows = 0
		}
	}
	flush(acc, &lo, &hi, rows, weight)
	e.keep(touched)
	return squares * uint64(weight*weight)
}

// keep makes the compiler believe that what was touched matters.
//
//go:noinline
func (*encoder) keep(uint64) {}

// flush moves the 16-bit lanes into acc and clears them.
func flush(acc *[Dim]int32, lo, hi *[Dim / 8]uint64, rows int, weight int32) {
	bias := int32(rows * rowBias)
	for j := range lo {
		for k := range 4 {
			acc[j*8+2*k] += (int32(lo[j]>>(16*k)&0xffff) - bias) * weight
			acc[j*8+2*k+1] += (int32(hi[j]>>(16*k)&0xffff) - bias) * weight
		}
	}
	*lo, *hi = [Dim / 8]uint64{}, [Dim / 8]uint64{}
}

// encoder holds the frozen n-gram table.
type encoder struct {
	rows    []byte    // Buckets x Dim, biased by rowBias
	idf     []byte    // Buckets, in idfUnit
	scale   []float32 // Dim: value of one step of a row
	idfUnit float32
}

// embed writes the unit-length embedding of g's text and returns how familiar
// its n-grams are: the share of the text's vector that the embedding captures,
// up to a constant factor. An empty text is the zero vector and wholly
// unfamiliar.
func (e *encoder) embed(g *grams, out *[Dim]float32) (captured float32) {
	var acc [Dim]int32
	energy := e.sum(g, &acc)
	var norm float32
	for i, a := range acc {
		v := float32(float32(a) * e.scale[i])
		out[i] = v
		norm += float32(v * v)
	}
	if norm <= 0 || energy <= 0 {
		*out = [Dim]float32{}
		return 0
	}
	inv := 1 / sqrt32(norm)
	for i := range out {
		out[i] = float32(out[i] * inv)
	}
	return sqrt32(norm / energy)
}

// facts are dense features of the normalised text. None depends on case, white
// space or trailing punctuation.
func (g *grams) facts(out []float32) {
	n := float32(max(g.length, 1))
	share := func(kind int) float32 { return sqrt32(float32(g.kind[kind]) / n) }
	marks := 0
	options := 0
	for i, c := range g.text[:g.length] {
		switch c {
		case '?':
			marks++
		case '.', ')', ':':
			// A letter between a blank or bracket and the mark: an option of
			// a multiple choice question.
			if i >= 2 && kindOf[g.text[i-1]] == kindLetter && g.text[i-1] <= 'j' &&
				(g.text[i-2] == ' ' || g.text[i-2] == '(') {
				options++
			}
		}
	}
	out[0] = log2(g.length)
	out[1] = share(kindDigit)
	out[2] = share(kindOther)
	out[3] = share(kindHigh)
	out[4] = share(kindCode)
	out[5] = share(kindMath)
	out[6] = share(kindSpace)
	out[7] = log2(marks)
	out[8] = log2(options)
	out[9] = sqrt32(float32(g.distinct) / n)
}
