package extproc

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"wye/envoy"
	"wye/limits"
	"wye/router"
	"wye/wire"
)

// stream is one request on its way through Wye. It belongs to one goroutine
// and is reused for later requests.
type stream struct {
	server *Server
	progress
	// shape is a wire.Shape: the client's, in which it reads errors. The guard's
	// goroutine reads it too.
	shape atomic.Uint32

	// Memory that outlives a request.
	in    inbound
	out   outbound
	facts requestFacts
	id    []byte
	// limitText is what eachLimit and appendBudget write into.
	limitText [40]byte
	dropped   []byte // names of the fields that the rewrite left out
	removed   []byte // what of the body the first rewrite removed or changed
	scan      wire.Facts
	request   router.Request
	decision  router.Decision
	opening   wire.Opening // of a response that is watched
}

// progress is how far a stream has come.
type progress struct {
	grpc  grpc.ServerStream
	guard *guard

	// From the first message on.
	begun    bool
	fallback bool // a backend's cluster asks, not the listener
	// translation is how to translate for a translating cluster; nil on all other
	// streams.
	translation *translation
	edit        wire.Edit
	zone        string    // data zone of the Envoy; empty: none
	byAttempt   bool      // the Envoy takes chains by attempt
	prepared    *prepared // nil: there is no policy
	// standing is where the deployment, and from ofCaller on its caller, stands
	// against its limits on requests and on tokens; zero for a limit that it does
	// not have.
	standing [2 * ofCaller]limits.Standing
	settled  bool // Envoy's route has the groups of prepared
	watching bool // a response, from which the request's answers do not come

	body     *[]byte // from server.buffers; nil: nothing arrived
	limit    int     // of body, in bytes
	reserved int     // of server.inflight
	elapsed  time.Duration
}

func newStream(s *Server) *stream { return &stream{server: s} }

// begin readies the stream for a new request.
func (st *stream) begin(ss grpc.ServerStream) {
	st.grpc = ss
	st.shape.Store(uint32(wire.ShapeChat))
	st.guard = newGuard(ss.Context(), st.server.config.IdleTimeout, func() { st.server.expire(ss, st) })
}

// end gives back what the stream holds.
func (st *stream) end() {
	st.guard.release()
	st.in.release()
	if st.body != nil {
		st.server.buffers.Put(st.body)
	}
	st.server.inflight.give(st.reserved)
	st.decision.Reset()
	st.facts.reset()
	st.id, st.request, st.progress = st.id[:0], router.Request{}, progress{}
}

// abandon answers for a stream that panicked.
func (st *stream) abandon() error {
	st.server.inflight.give(st.reserved)
	defer st.guard.release()
	if st.watching {
		return errWatch // Envoy lets the response pass.
	}
	if !st.guard.answer() {
		return errExpired
	}
	return st.server.sendImmediate(st.grpc, errInternal, st, true)
}

var (
	errExpired = status.Error(codes.DeadlineExceeded, "no message arrived within the idle timeout")
	errOrder   = errors.New("message out of order")
	// The other modes' answers differ, and none of them can route:
	// docs/adr/0002-one-full-duplex-reply.md.
	errBodyMode = status.Error(codes.FailedPrecondition,
		"the ext_proc filter must have request_body_mode FULL_DUPLEX_STREAMED and request_header_mode and request_trailer_mode SEND")
)

const unaskedResponse = "a part of the response, which the filter must not send (response_header_mode: SKIP)"

const fullDuplexStreamed = uint64(extprocfilterv3.ProcessingMode_FULL_DUPLEX_STREAMED)

// expire answers a request whose rest does not arrive. It runs in the guard's
// goroutine and must touch nothing of the stream's state but its shape.
func (s *Server) expire(ss grpc.ServerStream, st *stream) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
		}
	}()
	// The stream is cancelled next; a failure to answer changes nothing.
	_ = s.sendImmediate(ss, errBodyTimeout, st, false)
	if f := s.config.Observer.Problem; f != nil {
		f(&Event{Request: new(router.Request), Decision: new(router.Decision)}, errBodyTimeout)
	}
}

// run receives messages until the request is answered. The stream ends with
// the answer, unless its response is to be translated: otherwise Envoy is never
// asked for more.
func (st *stream) run() error {
	for {
		if err := st.grpc.RecvMsg(&st.in); err != nil {
			return st.receiveFailed(err)
		}
		if !st.guard.extend(st.server.config.IdleTimeout) {
			return errExpired
		}
		if st.in.observe {
			return nil // Whatever we say is ignored.
		}
		done, err := st.message()
		if done || err != nil {
			return err
		}
	}
}

// receiveFailed says how a stream ends that Envoy ended.
func (st *stream) receiveFailed(err error) error {
	if !st.guard.release() {
		return errExpired
	}
	if errors.Is(err, io.EOF) {
		return nil // The client left before its request was complete.
	}
	if code := status.Code(err); code != codes.Canceled {
		st.server.observeProtocol(err)
	}
	return err
}

// message takes one message in; done: the request is answered.
func (st *stream) message() (done bool, err error) {
	switch st.in.kind {
	case kindNone:
		return false, nil
	case kindHeaders:
		if st.begun {
			return true, st.outOfOrder("a second request_headers")
		}
		if st.in.hasConfig && st.in.bodyMode != fullDuplexStreamed {
			st.server.observeProtocol(errBodyMode)
			return true, errBodyMode
		}
		if p := st.takeHeaders(); p != nil {
			return true, st.refuse(p)
		}
		if !st.in.end {
			return false, nil
		}
	case kindBody:
		if !st.begun {
			return true, st.outOfOrder("request_body before request_headers")
		}
		if p := st.takeBody(st.in.body); p != nil {
			return true, st.refuse(p)
		}
		if !st.in.end {
			return false, nil
		}
	case kindTrailers:
		if !st.begun {
			return true, st.outOfOrder("request_trailers before request_headers")
		}
		// Envoy 1.40 sends a body that it keeps for retries on twice when trailers
		// follow it, and the surplus would be read as the next client's request.
		if st.fallback {
			return true, st.refuse(errFallback)
		}
		return true, st.refuse(errTrailers)
	case kindResponseHeaders:
		if timeout, ok := firstTokenTimeout(st.grpc.Context()); ok && !st.begun {
			return true, st.watch(timeout)
		}
		return true, st.outOfOrder(unaskedResponse)
	case kindResponseBody, kindResponseTrailers:
		return true, st.outOfOrder(unaskedResponse)
	}
	return true, st.answer()
}

func (st *stream) outOfOrder(what string) error {
	st.server.observeProtocol(errOrder)
	return status.Errorf(codes.InvalidArgument, "%v: %s", errOrder, what)
}

// snapshot returns the policy in force, or the part of it that the Envoy has if
// that stands in a data zone; nil if there is none.
func (st *stream) snapshot() *router.Snapshot {
	s := st.server.config.Router.Snapshot()
	if s == nil || st.zone == "" {
		return s
	}
	return s.InZone(st.zone)
}

// zoneOf is the data zone that the Envoy of a stream stands in, empty for none.
func zoneOf(ctx context.Context) string {
	if zone := metadata.ValueFromIncomingContext(ctx, envoy.MetadataZone); len(zone) > 0 {
		return zone[0]
	}
	return ""
}

// chainByAttempt reports whether the Envoy of a stream takes chains by attempt.
func chainByAttempt(ctx context.Context) bool {
	form := metadata.ValueFromIncomingContext(ctx, envoy.MetadataChain)
	return len(form) > 0 && form[0] == envoy.ChainByAttempt
}

// takeHeaders reads the request's headers and decides whether its body is worth
// waiting for.
func (st *stream) takeHeaders() *wire.Problem {
	st.begun = true
	s := st.server
	st.zone = zoneOf(st.grpc.Context())
	st.byAttempt = chainByAttempt(st.grpc.Context())
	snapshot := st.snapshot()
	st.id = s.config.AppendID(st.id[:0])
	st.limit = s.config.MaxBodyBytes
	if snapshot != nil {
		st.prepared = s.prepared.of(snapshot, s.config.MaxBodyBytes)
		st.limit = st.prepared.maxBody
	}
	if st.edit, st.fallback = fallbackEdit(st.grpc.Context()); st.fallback {
		st.removed = append(st.removed[:0], st.in.removed...)
		// The body was rewritten before, which may have made it longer.
		st.limit += fallbackSlack
		st.facts.api = upstreamAPI(st.in.headers)
		if st.translation = translationOf(st.grpc.Context()); st.translation != nil {
			st.facts.api = st.translation.client
		}
		st.shape.Store(uint32(ShapeOf(st.facts.api)))
		if st.facts.api != router.APIChat && st.translation == nil {
			st.edit.MaxTokensField = "" // other APIs have one name
		}
		return nil
	}
	if snapshot == nil {
		return errNoPolicy
	}
	p := st.facts.read(st.in.headers)
	if p == nil && len(st.prepared.callerHeaders) > 0 {
		p = st.facts.takeCallers(st.in.headers, st.prepared.callerHeaders, s.config.Limits)
	}
	st.shape.Store(uint32(ShapeOf(st.facts.api)))
	if p != nil {
		return p
	}
	if st.facts.contentLength > st.limit {
		return tooLarge(st.limit)
	}
	return nil
}

// takeBody adds a chunk to the body.
func (st *stream) takeBody(chunk []byte) *wire.Problem {
	if len(chunk) == 0 {
		return nil
	}
	need := len(st.bytes()) + len(chunk)
	if need > st.limit {
		return tooLarge(st.limit)
	}
	if need > st.reserved {
		if err := st.grow(need); err != nil {
			return errOverloaded
		}
	}
	*st.body = append(*st.body, chunk...)
	return nil
}

// grow makes room for a body of need bytes and takes it from the budget.
func (st *stream) grow(need int) error {
	// Memory follows what arrived, not what content-length announces: it at most
	// doubles, up to the announced size, which it then meets exactly.
	bound := st.limit
	if n := st.facts.contentLength; n >= need {
		bound = n
	}
	size := max(need, min(bound, max(2*st.reserved, pregrow)))
	if err := st.reserve(size - st.reserved); err != nil {
		return err
	}
	old := st.body
	st.body = st.server.buffers.Get(size)
	*st.body = (*st.body)[:0]
	if old != nil {
		*st.body = append(*st.body, *old...)
		st.server.buffers.Put(old)
	}
	return nil
}

// pregrow is how much memory a content-length alone may claim.
const pregrow = 64 << 10

var errOverBudget = errors.New("too many body bytes in flight")

// reserve takes n bytes of the budget until the stream ends.
func (st *stream) reserve(n int) error {
	if !st.server.inflight.take(n, st.reserved+n > pregrow) {
		return errOverBudget
	}
	st.reserved += n
	return nil
}

// bytes is the body as it has arrived.
func (st *stream) bytes() []byte {
	if st.body == nil {
		return nil
	}
	return *st.body
}

// answer decides about the complete request and sends the reply.
func (st *stream) answer() error {
	if st.translation != nil {
		return st.answerTranslated()
	}
	if st.fallback {
		return st.answerFallback()
	}
	if err := st.server.hold.wait(st.grpc.Context()); err != nil {
		return st.receiveFailed(status.FromContextError(err).Err())
	}
	if !st.server.gate.enter(st.grpc.Context()) {
		if err := st.grpc.Context().Err(); err != nil {
			return st.receiveFailed(status.FromContextError(err).Err())
		}
		return st.refuse(errBusy)
	}
	body, p := st.decideAlone()
	if p != nil {
		return st.refuse(p)
	}
	if f := st.server.config.Observer.Decision; f != nil {
		f(st.event())
	}
	head := st.server.buffers.Get(0)
	*head = st.appendRouted(*head, len(*body))
	return st.send(head, body)
}

// decideAlone decides and rewrites in a place behind the gate, which it leaves.
func (st *stream) decideAlone() (*[]byte, *wire.Problem) {
	defer st.server.gate.leave() // even if it panics
	start := time.Now()
	if p := st.decide(start); p != nil {
		st.elapsed = time.Since(start)
		return nil, p
	}
	body := st.rewrite()
	st.elapsed = time.Since(start)
	return body, nil
}

// refuse answers with p.
func (st *stream) refuse(p *wire.Problem) error {
	if f := st.server.config.Observer.Problem; f != nil {
		f(st.event(), p)
	}
	if !st.guard.answer() {
		return errExpired
	}
	return st.server.sendImmediate(st.grpc, p, st, true)
}

// send sends the reply: the headers response in head, then the body in chunks.
// It takes ownership of both buffers.
func (st *stream) send(head, body *[]byte) error {
	if !st.guard.answer() {
		return errExpired
	}
	return st.sendBody(head, body, outRequestBody, maxChunk, true, nil)
}

// sendBody sends a headers response or nothing, which is in head, and the body,
// or a part of it, in chunks of so many bytes. of says whose body it is; with the
// last chunk goes what more has, fields of its message. It takes ownership of both
// buffers.
func (st *stream) sendBody(head, body *[]byte, of protowire.Number, chunk int, end bool, more []byte) error {
	n := len(*body)
	cut := len(*head)
	*head = appendBodyPrefix(*head, of, min(n, chunk), false)
	last := len(*head)
	rest := (n-1)%chunk + 1
	*head = appendBodyPrefix(append(*head, more...), of, rest, end)

	h, b := mem.NewBuffer(head, &st.server.buffers), mem.NewBuffer(body, &st.server.buffers)
	defer h.Free()
	defer b.Free()
	if cut > 0 {
		if err := st.sendParts(h.Slice(0, cut)); err != nil {
			return err
		}
	}
	at := 0
	for ; n-at > chunk; at += chunk {
		if err := st.sendParts(h.Slice(cut, last), b.Slice(at, at+chunk)); err != nil {
			return err
		}
	}
	return st.sendParts(h.Slice(last, len(*head)), b.Slice(at, n))
}

// maxChunk is the most of a body that one message carries. Envoy refuses chunks
// of more than 64 KiB.
const maxChunk = 62 << 10

// sendParts sends one message. It waits while Envoy does not read, but not
// longer than the idle timeout.
func (st *stream) sendParts(parts ...mem.Buffer) error {
	st.guard.extend(st.server.config.IdleTimeout)
	st.out.data = parts
	return st.grpc.SendMsg(&st.out)
}

func (st *stream) event() *Event {
	e := &Event{
		ID: st.id, Fallback: st.fallback, Request: &st.request, Decision: &st.decision,
		BodyBytes: len(st.bytes()), Elapsed: st.elapsed,
	}
	if st.prepared != nil {
		e.Snapshot = st.prepared.snapshot
	}
	return e
}

func (s *Server) observeProtocol(err error) {
	if s.config.Observer.Protocol != nil {
		s.config.Observer.Protocol(err)
	}
}
