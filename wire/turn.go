package wire

import "encoding/binary"

// turn is where the messages of one request begin and end, and those of the
// request before it: byte offsets in the body.
type turn struct {
	any   bool // a message was read
	first int  // start of the first message
	end   int  // of the last one
	// earlier is the end of the message before the last of the assistant's, which
	// is where the request ended that it answers; 0: there is none.
	earlier int
	// preamble is how long that is which providers put before the messages: tools
	// and the response's schema.
	preamble int
}

// add takes the next message in.
func (t *turn) add(start, end int, who role) {
	if !t.any {
		t.any, t.first = true, start
	} else if who == roleAssistant {
		t.earlier = t.end
	}
	t.end = end
}

// turnTail is how many bytes before a turn's end its key is over.
const turnTail = 256

// TurnKeys names what body, of which f are the facts, asks of a model: this is
// the key of its conversation so far, and earlier that of the request which the
// last of the assistant's messages answers, 0 when there is none. The latter is
// what this was for that request, if the client has appended to the same bytes
// since: that is, if a provider's prompt cache could help, too.
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
	if t.earlier > 0 {
		earlier = f.turnKey(body, t.earlier)
	}
	return f.turnKey(body, t.end), earlier
}

// turnKey is the key of the messages up to the offset end; never 0.
func (f *Facts) turnKey(body []byte, end int) uint64 {
	var lengths [16]byte
	binary.LittleEndian.PutUint64(lengths[:], uint64(end-f.turn.first))
	binary.LittleEndian.PutUint64(lengths[8:], uint64(f.turn.preamble))
	h := mix(f.PrefixHash, lengths[:])
	return max(mix(h, body[max(f.turn.first, end-turnTail):end]), 1)
}
