package predict

import (
	"encoding/binary"
	"errors"
	"iter"
)

// trafficSamples is how many graded prompts a calibration carries at most, so
// that a deployment's rates can be found on the operator's own traffic.
const trafficSamples = 128

// trafficUnit is one step of the numbers that a calibration carries, whose
// values are within 16 of zero.
const trafficUnit = 1.0 / 2048

// trafficSize is the bytes of one prompt: the networks' raw input and how
// familiar the n-grams are, 16 bits each, and 32 for its tokens, of which the
// highest marks a prompt with tools or images.
const trafficSize = 2*(Width+1) + 4

const strangeBit = 1 << 31

// traffic is prompts of the operator's own, as the predictor reads them.
type traffic struct {
	readings []reading
	tokens   []int
}

// pack returns what a calibration carries of examples, spread evenly over them.
func (p *Predictor) pack(examples []Example) []byte {
	n := min(len(examples), trafficSamples)
	out := make([]byte, 0, n*trafficSize)
	s := p.scratch.Get().(*scratch)
	defer p.scratch.Put(s)
	for i := range n {
		in := &examples[i*len(examples)/n].Input
		p.encoder.raw(in, s)
		for _, v := range s.in {
			out = appendStep(out, v)
		}
		out = appendStep(out, s.familiar)
		tokens := uint32(min(max(in.PromptTokens, 0), strangeBit-1))
		if in.strange() {
			tokens |= strangeBit
		}
		out = binary.LittleEndian.AppendUint32(out, tokens)
	}
	return out
}

func appendStep(b []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint16(b, uint16(int16(min(max(v/trafficUnit, -32768), 32767))))
}

// unpack reads what pack wrote.
func (p *Predictor) unpack(b []byte) (t traffic, err error) {
	if len(b)%trafficSize != 0 || len(b) > trafficSamples*trafficSize {
		return t, errors.New("the samples are damaged")
	}
	s := p.scratch.Get().(*scratch)
	defer p.scratch.Put(s)
	for ; len(b) > 0; b = b[trafficSize:] {
		step := func(i int) float32 {
			return float32(int16(binary.LittleEndian.Uint16(b[2*i:]))) * trafficUnit
		}
		for i := range s.in {
			s.in[i] = step(i)
		}
		copy(s.embedding[:], s.in[:])
		s.familiar = step(Width)
		tokens := binary.LittleEndian.Uint32(b[2*(Width+1):])
		p.think(s, tokens&strangeBit != 0)
		t.readings = append(t.readings, s.reading)
		t.tokens = append(t.tokens, int(tokens&^strangeBit))
	}
	return t, nil
}

// Traffic runs over the graded prompts of the operator's own that the models'
// calibrations carry, with estimates for models. There is none unless every
// model is calibrated: what one model does there says nothing of another. Kind
// is -1; the slice of a Sample is overwritten by the next.
func (p *Predictor) Traffic(models []Model) iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		for _, m := range models {
			if m.a.local == nil || len(m.a.local.traffic.readings) == 0 {
				return
			}
		}
		out := make([]Output, len(models))
		for _, m := range models {
			t := &m.a.local.traffic
			for i := range t.readings {
				for k, m := range models {
					out[k] = p.estimate(&t.readings[i], m.a)
				}
				if !yield(Sample{Kind: -1, PromptTokens: t.tokens[i], Outputs: out}) {
					return
				}
			}
		}
	}
}
