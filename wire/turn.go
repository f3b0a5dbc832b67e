package wire

import "encoding/binary"

// turn is where the messages of one request end, and those of the request before
// it.
type turn struct {
	any   bool // a message was read
	first int  // start of the first message, a byte offset in the body
	end   mark // of the last one
	// earlier is the end of the message before the last answer of the assistant's,
	// which is where the request ended that it answers; answered: there is one.
	earlier  mark
	answered bool
	// preamble is how long that is which providers put before the messages: tools
	// and the response's schema.
	preamble int
}

// mark is where a message ends: how long the messages are so far, and the part of
// the body, as byte offsets, whose end is taken to tell them from others.
type mark struct{ length, from, to int }

// add takes the next message in, which is from start to end in the body.
func (t *turn) add(start, end int, who role) {
	if !t.any {
		t.first = start
	}
	t.addMark(mark{end - t.first, t.first, end}, who)
}

// addMark takes the next message in, which ends at m.
func (t *turn) addMark(m mark, who role) {
	if t.any && who == roleAssistant {
		t.earlier, t.answered = t.end, true
	}
	t.any, t.end = true, m
}

// turnTail is how many bytes before a turn's end its key is over.
const turnTail = 256

// TurnKeys names what body, of which f are the facts, asks of a model: this is
// the key of its conversation so far, and earlier that of the request which the
// last of the assistant's messages answers, 0 when there is none. The latter is
// what this was for that request, if the client has appended to the same bytes
// since: that is, if a provider's prompt cache could help, too. Of Messages only
// the texts have to be the same, since clients move the marks of what is to be
// cached (cache_control) from one message to the next.
//
// A key is over the beginning of the conversation (PrefixHash), the last bytes
// and the length of the turn, and the length of the tools and the schema. It is
// no proof that all between is the same, and no defence against a client who
// makes keys meet, which only misleads the estimate of that client's own costs.
func (f *Facts) TurnKeys(body []byte) (this, earlier uint64) {
	t := &f.turn
	if !t.any {
		return 0, 0
	}
	if t.answered {
		earlier = f.turnKey(body, t.earlier)
	}
	return f.turnKey(body, t.end), earlier
}

// turnKey is the key of the messages up to m; never 0.
func (f *Facts) turnKey(body []byte, m mark) uint64 {
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:], uint64(m.length))
	binary.LittleEndian.PutUint64(lengths[8:], uint64(f.turn.preamble))
	h := mix(f.PrefixHash, lengths[:])
	return max(mix(h, body[max(m.from, m.to-turnTail):m.to]), 1)
}
