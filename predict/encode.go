package predict

const (
	// Dim is the length of an embedding; one bucket's row is one cache line.
	Dim = 64
	// Facts is the number of dense facts of a text beside its embedding.
	Facts = 10
	// Width is the length of the networks' input.
	Width = Dim + Facts

	rowBias = 128 // rows hold value+rowBias, so that they add up as unsigned
)

// weightUnit is the weight of an n-gram that occurs once; others weigh
// 1+ln(count) times as much, rounded by the class of their count.
const weightUnit = 16

// classes is how many classes of counts there are.
const classes = 5

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
	classWeight = [classes]int32{16, 27, 36, 46, 62}
)

// sum adds the table rows of g's n-grams, weighted by their counts, into acc
// and returns the squared length of the text's weighted vector before
// projection, in the same units. Most n-grams occur once: they are added as
// they come, the others class by class.
func (e *encoder) sum(g *grams, acc *[Dim]int32) (energy float32) {
	// Branches that are hard to foresee cost more than a store: each bucket is
	// written to both lists and kept in one.
	once, repeated := 0, 0
	for _, b := range g.buckets[:g.distinct] {
		g.byClass[0][once], g.repeated[repeated] = b, b
		isOnce := 0
		if g.count[b] == 1 {
			isOnce = 1
		}
		once += isOnce
		repeated += 1 - isOnce
	}
	n := [classes]int{once}
	for _, b := range g.repeated[:repeated] {
		class := countClass[g.count[b]] % classes
		g.byClass[class][n[class]] = b
		n[class]++
	}
	var total uint64
	for class, weight := range classWeight {
		total += e.sumClass(g.byClass[class][:n[class]], weight, acc)
	}
	return float32(total) * e.idfUnit * e.idfUnit
}

// sumClass adds the rows of buckets, all of one weight, into acc.
func (e *encoder) sumClass(buckets []uint16, weight int32, acc *[Dim]int32) (energy uint64) {
	var lanes [Dim]uint16
	for len(buckets) > 0 {
		rows := min(len(buckets), flushRows)
		energy += e.sumRows(buckets[:rows], &lanes)
		buckets = buckets[rows:]
		bias := int32(rows * rowBias)
		for j := 0; j < Dim; j += 16 {
			for k := range 8 {
				acc[j+2*k] += (int32(lanes[j+k]) - bias) * weight
				acc[j+2*k+1] += (int32(lanes[j+8+k]) - bias) * weight
			}
		}
	}
	return energy * uint64(weight*weight)
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
		switch markOf[c] {
		case markNone:
		case markQuestion:
			marks++
		case markOption:
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

// Marks that facts looks for.
const (
	markNone = iota
	markQuestion
	markOption // may follow the letter of an option
)

var markOf = [256]uint8{'?': markQuestion, '.': markOption, ')': markOption, ':': markOption}
