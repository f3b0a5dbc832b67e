package extproc

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"wye/envoy"
	"wye/router"
	"wye/translate"
	"wye/wire"
)

// response is a provider's response on its way through a translation.
type response struct {
	shape   wire.Shape // the client's
	begun   bool       // its headers were read
	status  int
	answer  bool // a JSON answer, or an error if it is none
	encoded bool // compressed, and so unreadable
	// stream translates events as they pass; nil for an answer that is translated
	// as a whole.
	stream streamTranslator
	sent   int // bytes of a stream
}

// Envoy 1.40 crashes when a client that does not read makes it stop reading from
// a provider that has sent all of its response, while this stream has a part of
// it: docs/adr/0020-translation.md. So what is left of a response when its end is
// known goes in one message, however long it is, with which Envoy is done with the
// provider; and what goes before is bounded below what Envoy holds for a client.
const (
	wholeBody     = 1 << 31 // of sendBody
	maxTranslated = 48 << 20
)

var errTooLong = status.Error(codes.ResourceExhausted, "a translated stream is too long")

// streamTranslator is what package translate has for streams.
type streamTranslator interface {
	Append(dst, chunk []byte) []byte
	End(dst []byte) []byte
}

// respond translates the response that the provider gives to the request. It may
// take as long as the model does: what bounds it is Envoy's timeout of the
// attempt, which ends the stream.
func (st *stream) respond() error {
	st.guard.release()
	st.limit = st.server.config.MaxBodyBytes
	st.facts.contentLength = 0
	for {
		if err := st.grpc.RecvMsg(&st.in); err != nil {
			if errors.Is(err, io.EOF) {
				return nil // The attempt is over.
			}
			if status.Code(err) != codes.Canceled {
				st.server.observeProtocol(err)
			}
			return err
		}
		done, err := st.responseMessage()
		if done || err != nil {
			return err
		}
	}
}

// responseMessage takes one message in; done: the response is translated.
func (st *stream) responseMessage() (done bool, err error) {
	r := &st.translation.response
	switch st.in.kind {
	case kindNone:
		return false, nil
	case kindResponseHeaders:
		if r.begun {
			return true, st.outOfOrder("a second response_headers")
		}
		st.takeResponseHeaders()
		switch {
		case st.in.end:
			return true, st.sendBare()
		case r.stream != nil:
			return false, st.sendResponseHeaders(0, -1)
		}
		return false, nil
	case kindResponseBody:
		if !r.begun {
			return true, st.outOfOrder("response_body before response_headers")
		}
		if r.stream != nil {
			return st.in.end, st.sendEvents(st.in.body, st.in.end, st.in.end)
		}
		if p := st.takeBody(st.in.body); p != nil {
			r.encoded = true // too large to be read is as good as unreadable
			st.limit = len(st.bytes())
		}
		if !st.in.end {
			return false, nil
		}
		return true, st.sendWhole(true)
	case kindResponseTrailers:
		if !r.begun {
			return true, st.outOfOrder("response_trailers before response_headers")
		}
		if r.stream != nil {
			err = st.sendEvents(nil, true, false)
		} else {
			err = st.sendWhole(false)
		}
		if err != nil {
			return true, err
		}
		dst, trailers := open(nil, outResponseTrailer)
		return true, st.sendMessage(shut(dst, trailers))
	case kindHeaders, kindBody, kindTrailers:
		return true, st.outOfOrder("a part of the request after its end")
	}
	return true, st.outOfOrder("an unknown part")
}

// takeResponseHeaders finds out what the response is.
func (st *stream) takeResponseHeaders() {
	t := st.translation
	r := &t.response
	r.begun = true
	var kind []byte
	for i := range st.in.headers {
		h := &st.in.headers[i]
		switch string(h.key) {
		case ":status":
			r.status, _ = strconv.Atoi(string(h.value)) // 0 is no status of an answer
		case "content-type":
			kind, _, _ = bytes.Cut(h.value, []byte(";"))
		case "content-encoding":
			r.encoded = string(h.value) != "identity"
		}
	}
	r.answer = r.status == http.StatusOK
	if r.answer && !r.encoded && bytes.EqualFold(bytes.TrimSpace(kind), []byte("text/event-stream")) {
		if t.provider == router.APIChat {
			r.stream = new(translate.MessagesStream)
		} else {
			r.stream = &translate.ChatStream{Created: time.Now().Unix(), Usage: t.request.Usage}
		}
	}
}

// sendBare lets a response without a body pass, which is no answer.
func (st *stream) sendBare() error {
	code := 0
	if st.translation.response.answer {
		code = http.StatusBadGateway
	}
	return st.sendResponseHeaders(code, -1)
}

// sendResponseHeaders lets the response's headers pass. code, unless 0, is in the
// status's place. length is that of the body, -1 for one that is not known.
func (st *stream) sendResponseHeaders(code, length int) error {
	return st.sendMessage(st.appendResponseHeaders(nil, code, length))
}

func (st *stream) appendResponseHeaders(dst []byte, code, length int) []byte {
	dst, headers := open(dst, outResponseHeaders)
	dst, common := open(dst, partResponse)
	dst, mutation := open(dst, commonHeaders)
	if code != 0 {
		dst = appendSetHeader(dst, ":status", strconv.Itoa(code))
	}
	if st.translation.response.encoded && length >= 0 {
		dst = appendBytes(dst, mutationRemove, "content-encoding")
	}
	if length >= 0 {
		dst = appendContentLength(dst, length)
		dst = appendSetHeader(dst, "content-type", "application/json")
	} else {
		dst = appendBytes(dst, mutationRemove, "content-length")
	}
	return shut(shut(shut(dst, mutation), common), headers)
}

// sendEvents sends what follows from the next bytes of a stream; over: they are
// the last. end: the body ends here, and no trailers come.
func (st *stream) sendEvents(chunk []byte, over, end bool) error {
	r := &st.translation.response
	out := st.server.buffers.Get(0)
	*out = r.stream.Append((*out)[:0], chunk)
	if over {
		*out = r.stream.End(*out)
	}
	if len(*out) == 0 && !end {
		st.server.buffers.Put(out)
		return nil
	}
	var more []byte
	if over {
		more = st.appendUsage(nil)
	}
	head := st.server.buffers.Get(0)
	*head = (*head)[:0]
	if r.sent += len(*out); r.sent > maxTranslated {
		st.server.buffers.Put(head)
		st.server.buffers.Put(out)
		return errTooLong
	}
	return st.sendBody(head, out, outResponseBody, wholeBody, end, more)
}

// appendUsage appends, as dynamic metadata, the usage that a stream told and its
// client has not asked for.
func (st *stream) appendUsage(dst []byte) []byte {
	s, ok := st.translation.response.stream.(*translate.ChatStream)
	if !ok || s.Usage {
		return dst
	}
	dst, metadata := open(dst, outDynamicMetadata)
	dst, field := openField(dst, envoy.NamespaceUsage)
	dst, value := open(dst, entryValue)
	dst, fields := open(dst, valueStruct)
	dst = appendStringField(dst, envoy.KeyUsage, s.UsageObject())
	return shut(shut(shut(shut(dst, fields), value), field), metadata)
}

// sendWhole translates an answer or an error that is complete. What cannot be read
// is an error of the provider's, and another may be asked.
func (st *stream) sendWhole(end bool) error {
	r := &st.translation.response
	out := st.server.buffers.Get(len(st.bytes()) + rewriteSlack)
	*out = (*out)[:0]
	code := 0
	err := translate.ErrAnswer
	provider := st.translation.provider
	switch {
	case !r.answer || r.encoded:
	case provider == router.APIChat:
		*out, err = translate.AppendMessageAnswer(*out, st.bytes())
	default:
		*out, err = translate.AppendChatAnswer(*out, st.bytes(), time.Now().Unix())
	}
	switch {
	case r.answer && err != nil:
		code = errAnswer.Status
		*out = wire.AppendErrorAs((*out)[:0], r.shape, errAnswer)
	case !r.answer:
		body := st.bytes()
		if r.encoded {
			body = nil
		}
		if provider == router.APIChat {
			*out = translate.AppendMessageError(*out, body, r.status)
		} else {
			*out = translate.AppendChatError(*out, body, r.status)
		}
	}
	head := st.server.buffers.Get(0)
	*head = st.appendResponseHeaders((*head)[:0], code, len(*out))
	return st.sendBody(head, out, outResponseBody, wholeBody, end, nil)
}

// sendMessage sends one message that is whole.
func (st *stream) sendMessage(message []byte) error {
	return st.sendParts(mem.SliceBuffer(message))
}
