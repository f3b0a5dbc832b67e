package translate

import (
	"bytes"
	"strconv"
)

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

// MaxEvent bounds the data of one event of a stream, and so the memory of a
// stream's translation, in bytes.
const MaxEvent = 4 << 20

// events cuts a stream of server-sent events into the data of each. Names, ids and
// comments mean nothing to either API, whose data says what it is.
type events struct {
	line    []byte // of the stream, without its end
	data    []byte // of the event, a line feed behind each line
	afterCR bool   // a line feed that comes next belongs to the line that ended
	long    bool   // an event was longer than MaxEvent
}

// feed takes the next bytes of the stream and calls f with the data of every event
// that ends in them, without its last line feed. It goes on until an event is
// longer than MaxEvent, and from there does nothing.
func (e *events) feed(chunk []byte, f func(data []byte)) {
	for len(chunk) > 0 && !e.long {
		if e.afterCR && chunk[0] == '\n' {
			chunk = chunk[1:]
			e.afterCR = false
			continue
		}
		e.afterCR = false
		end := bytes.IndexAny(chunk, "\r\n")
		if end < 0 {
			e.line = append(e.line, chunk...)
			e.long = len(e.line)+len(e.data) > MaxEvent
			return
		}
		e.afterCR = chunk[end] == '\r'
		line := chunk[:end]
		if len(e.line) > 0 {
			e.line = append(e.line, line...)
			line = e.line
		}
		if e.long = len(line)+len(e.data) > MaxEvent; !e.long {
			e.endLine(line, f)
		}
		e.line = e.line[:0]
		chunk = chunk[end+1:]
	}
}

func (e *events) endLine(line []byte, f func([]byte)) {
	if len(line) == 0 {
		e.flush(f)
		return
	}
	if rest, ok := bytes.CutPrefix(line, []byte("data")); ok {
		switch {
		case len(rest) == 0:
			e.data = append(e.data, '\n')
		case rest[0] == ':':
			e.data = append(append(e.data, bytes.TrimPrefix(rest[1:], []byte(" "))...), '\n')
		}
	}
}

// flush ends the event.
func (e *events) flush(f func([]byte)) {
	if n := len(e.data); n > 0 {
		f(e.data[:n-1])
	}
	e.data = e.data[:0]
}

// end takes the end of the stream, at which an event that only misses its blank
// line counts.
func (e *events) end(f func([]byte)) {
	if e.long {
		return
	}
	if len(e.line) > 0 {
		e.endLine(e.line, f)
		e.line = e.line[:0]
	}
	e.flush(f)
}
