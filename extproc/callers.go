package extproc

import (
	"net/http"
	"slices"

	"wye/limits"
	"wye/wire"
)

// callerName is a header of the request that names its caller.
type callerName struct {
	header string
	key    uint64 // of its value; see limits.Limiter.Caller
}

// takeCallers notes what the headers names say of the caller, of which the body
// will tell which one counts. A header with two values is refused: one of them may
// be a client's own, and nothing tells which.
func (f *requestFacts) takeCallers(headers []header, names []string, l *limits.Limiter) *wire.Problem {
	for i := range headers {
		h := &headers[i]
		if len(h.value) == 0 {
			continue
		}
		at := slices.IndexFunc(names, func(name string) bool { return name == string(h.key) })
		if at < 0 {
			continue
		}
		if f.callerOf(names[at]) != limits.Unnamed {
			return refuse(http.StatusBadRequest, codeCallerTwice, "", "the header %s, which names the caller, is there twice", names[at])
		}
		f.callers = append(f.callers, callerName{names[at], l.Caller(h.value)})
	}
	return nil
}

// callerOf is the caller whom header names, limits.Unnamed if it is not there.
func (f *requestFacts) callerOf(header string) uint64 {
	for i := range f.callers {
		if f.callers[i].header == header {
			return f.callers[i].key
		}
	}
	return limits.Unnamed
}
