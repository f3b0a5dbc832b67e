package extproc

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"wye/envoy"
	"wye/wire"
)

// OpeningFault is why an answer of status 200 was given up.
type OpeningFault uint8

// The reasons.
const (
	OpeningError  OpeningFault = iota // it is, or its first event is, an error
	OpeningEnd                        // it ended before it began
	OpeningSilent                     // nothing came in time
)

// String is the reason in one word.
func (f OpeningFault) String() string {
	return [...]string{"error", "end", "silence"}[f]
}

var errWatch = status.Error(codes.Internal, "the response could not be watched")

// firstTokenTimeout reads from the stream's initial metadata, which is part of a
// cluster's configuration, how long a response's first token may take. ok is
// false on the streams of requests, which have none.
func firstTokenTimeout(ctx context.Context) (timeout time.Duration, ok bool) {
	v := metadata.ValueFromIncomingContext(ctx, envoy.MetadataFirstToken)
	if len(v) == 0 {
		return 0, false
	}
	ms, err := strconv.ParseUint(v[0], 10, 31)
	return time.Duration(ms) * time.Millisecond, err == nil && ms > 0
}

// watch reads a response, whose headers have come, up to its first token. Envoy
// holds all of it until the headers are answered, and sends the body meanwhile
// (send_body_without_waiting_for_header_response). An answer that begins well is
// let go by ending the stream, after which Envoy passes on what it holds and
// whatever follows without Wye. One that fails gets a status that Envoy's router
// retries. Nothing that goes wrong here fails a request: see failure_mode_allow
// in the filter's configuration.
func (st *stream) watch(timeout time.Duration) error {
	st.watching = true
	if !st.guard.release() {
		return errExpired
	}
	o, ss, s := &st.opening, st.grpc, st.server
	if !st.readable() || st.reserve(wire.MaxOpening) != nil {
		return answerHeaders(ss, 0)
	}
	var quiet atomic.Bool
	quiet.Store(true)
	st.guard = newGuard(ss.Context(), timeout, func() { s.silent(ss, quiet.Load()) })
	chunk, end := []byte(nil), st.in.end
	for {
		verdict := o.Feed(chunk, end)
		quiet.Store(o.Quiet())
		if verdict != wire.Undecided {
			if !st.guard.answer() {
				return errExpired
			}
			return st.conclude(verdict)
		}
		if err := ss.RecvMsg(&st.in); err != nil {
			return st.receiveFailed(err) // a response that broke is Envoy's to retry
		}
		switch st.in.kind {
		case kindResponseBody:
			chunk, end = st.in.body, st.in.end
		case kindResponseTrailers:
			chunk, end = nil, true
		case kindNone, kindHeaders, kindBody, kindTrailers, kindResponseHeaders:
			return st.outOfOrder("another part of the response than its body")
		}
	}
}

// readable reports whether the response is one that may fail, of a type that can
// be read.
func (st *stream) readable() bool {
	var contentType []byte
	for _, h := range st.in.headers {
		switch string(h.key) {
		case ":status":
			if string(h.value) != "200" {
				return false
			}
		case "content-encoding":
			if string(h.value) != "identity" {
				return false
			}
		case "content-type":
			contentType = h.value
		}
	}
	return st.opening.Begin(contentType)
}

// conclude acts on what the response has shown.
func (st *stream) conclude(v wire.Verdict) error {
	if v != wire.Fails {
		return answerHeaders(st.grpc, 0)
	}
	fault := OpeningError
	if st.opening.Ended() {
		fault = OpeningEnd
	}
	st.server.observeOpening(fault)
	return answerHeaders(st.grpc, st.opening.Status())
}

// silent answers when the time for the first token is up. It runs in the guard's
// goroutine. An answer in JSON that has begun has no first token, and passes.
func (s *Server) silent(ss grpc.ServerStream, quiet bool) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
		}
	}()
	// The stream is cancelled next; a failure to answer changes nothing.
	if !quiet {
		_ = answerHeaders(ss, 0)
		return
	}
	_ = answerHeaders(ss, http.StatusGatewayTimeout)
	s.observeOpening(OpeningSilent)
}

func (s *Server) observeOpening(f OpeningFault) {
	if s.config.Observer.Opening != nil {
		s.config.Observer.Opening(f)
	}
}

// answerHeaders answers the response's headers, with another status unless it is
// zero.
func answerHeaders(ss grpc.ServerStream, status int) error {
	dst, headers := open(nil, outResponseHeaders)
	if status != 0 {
		var common, mutation int
		dst, common = open(dst, partResponse)
		dst, mutation = open(dst, commonHeaders)
		dst = appendSetHeader(dst, ":status", strconv.Itoa(status))
		dst = shut(shut(dst, mutation), common)
	}
	return ss.SendMsg(&outbound{data: mem.BufferSlice{mem.SliceBuffer(shut(dst, headers))}})
}
