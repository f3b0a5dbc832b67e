package wire

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"

	"github.com/tidwall/gjson"
)

// MaxOpening is how many bytes of an answer Opening looks at. An answer that has
// not shown by then what it is counts as one.
const MaxOpening = 64 << 10

// Verdict is what is known of an answer whose beginning was read.
type Verdict uint8

// The verdicts.
const (
	Undecided Verdict = iota // nothing but preliminaries so far
	Answers                  // the model has begun to answer, or the client must see what came
	Fails                    // an error or an end came before the model began
)

// Opening reads the beginning of an answer of status 200, JSON or server-sent
// events in any of the APIs, until it is clear whether the model answers or the
// provider failed after it had promised success. How the answer is cut into
// chunks makes no difference. Begin readies it; it is reusable.
type Opening struct {
	stream bool
	kept   []byte // JSON: all of it; a stream: the line that is not complete
	event  []byte // name of the event that is not complete
	data   []byte // its data
	lines  int    // of data
	read   int    // bytes
	filled bool   // a byte that is not white space came
	after  bool   // the last byte was \r, so that a \n belongs to it
	status int
	ended  bool // it failed by its end
}

// Begin starts over for an answer of the content type; false: an answer of that
// type cannot be read, and is to pass.
func (o *Opening) Begin(contentType []byte) bool {
	*o = Opening{kept: o.kept[:0], event: o.event[:0], data: o.data[:0]}
	media, _, _ := bytes.Cut(contentType, []byte(";"))
	media = bytes.TrimSpace(media)
	o.stream = bytes.EqualFold(media, []byte("text/event-stream"))
	return o.stream || bytes.EqualFold(media, []byte("application/json"))
}

// Stream reports whether the answer is server-sent events.
func (o *Opening) Stream() bool { return o.stream }

// Status is a status of RFC 9110 for an answer that Fails: what the provider
// named, as far as another provider may do better, else 502 or 503.
func (o *Opening) Status() int { return o.status }

// Ended reports of an answer that Fails that it did so by its end.
func (o *Opening) Ended() bool { return o.ended }

// Quiet reports whether nothing came but white space, or, of a stream, nothing
// at all that has a meaning.
func (o *Opening) Quiet() bool { return o.stream || !o.filled }

// Feed takes the next chunk; end: it is the last. Once the verdict is not
// Undecided the rest does not matter.
func (o *Opening) Feed(chunk []byte, end bool) Verdict {
	full := len(chunk) >= MaxOpening-o.read
	chunk = chunk[:min(len(chunk), MaxOpening-o.read)]
	o.read += len(chunk)
	v := Undecided
	if o.stream {
		v = o.feedEvents(chunk)
	} else {
		o.kept = append(o.kept, chunk...)
		o.filled = o.filled || len(bytes.TrimSpace(chunk)) > 0
	}
	switch {
	case v != Undecided:
		return v
	case full:
		return Answers
	case !end:
		return Undecided
	case o.stream:
		v = o.lastEvent()
	default:
		v = o.judgeJSON()
	}
	if v == Undecided {
		o.ended = true
		return o.fail(http.StatusBadGateway)
	}
	return v
}

func (o *Opening) fail(status int) Verdict {
	o.status = status
	return Fails
}

// feedEvents takes lines, which end with \n, \r or both.
func (o *Opening) feedEvents(chunk []byte) Verdict {
	for len(chunk) > 0 {
		if o.after && chunk[0] == '\n' {
			o.after, chunk = false, chunk[1:]
			continue
		}
		o.after = false
		i := bytes.IndexAny(chunk, "\r\n")
		if i < 0 {
			o.kept = append(o.kept, chunk...)
			break
		}
		o.kept = append(o.kept, chunk[:i]...)
		o.after = chunk[i] == '\r'
		chunk = chunk[i+1:]
		v := o.line(o.kept)
		o.kept = o.kept[:0]
		if v != Undecided {
			return v
		}
	}
	return Undecided
}

// lastEvent is the event that the end of the stream leaves without its empty
// line.
func (o *Opening) lastEvent() Verdict {
	if v := o.line(o.kept); v != Undecided {
		return v
	}
	return o.dispatch()
}

// line takes one line of a stream.
func (o *Opening) line(line []byte) Verdict {
	line = bytes.TrimPrefix(line, []byte("\ufeff"))
	if len(line) == 0 {
		return o.dispatch()
	}
	if line[0] == '{' { // an error that is no event, as some servers write it
		return o.judge(nil, line)
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		o.event = append(o.event[:0], value...)
	case "data":
		if o.lines > 0 {
			o.data = append(o.data, '\n')
		}
		o.lines++
		o.data = append(o.data, value...)
	}
	return Undecided // among others a comment, which is how servers say that they live
}

// dispatch ends an event.
func (o *Opening) dispatch() Verdict {
	v := Undecided
	if o.lines > 0 {
		v = o.judge(o.event, o.data)
	}
	o.event, o.data, o.lines = o.event[:0], o.data[:0], 0
	return v
}

// preliminary events come before the model has said anything.
var preliminary = []string{
	// Anthropic
	"ping", "message_start", "content_block_start",
	// Responses
	"response.created", "response.queued", "response.in_progress", "response.output_item.added", "response.content_part.added",
}

// judge reads one event.
func (o *Opening) judge(event, data []byte) Verdict {
	if !gjson.ValidBytes(data) { // [DONE] is one
		if string(event) == "error" {
			return o.fail(http.StatusServiceUnavailable)
		}
		return Answers
	}
	root := gjson.ParseBytes(data)
	kind := root.Get("type").String()
	if fault, ok := faultOf(root); ok || kind == "error" || kind == "response.failed" || string(event) == "error" {
		return o.fault(fault, root)
	}
	if slices.Contains(preliminary, kind) {
		return Undecided
	}
	choices := root.Get("choices")
	if kind != "" || !choices.IsArray() {
		return Answers
	}
	if slices.ContainsFunc(choices.Array(), said) {
		return Answers
	}
	return Undecided
}

// said reports whether a choice of a chunk has content, or an end.
func said(choice gjson.Result) bool {
	if choice.Get("finish_reason").String() != "" || choice.Get("text").String() != "" {
		return true
	}
	content := false
	choice.Get("delta").ForEach(func(name, value gjson.Result) bool {
		empty := value.Type == gjson.Null || value.String() == "" ||
			value.IsArray() && value.Get("#").Int() == 0 || value.IsObject() && len(value.Map()) == 0
		content = content || name.String() != "role" && !empty
		return !content
	})
	return content
}

// judgeJSON reads an answer that is no stream, to its end.
func (o *Opening) judgeJSON() Verdict {
	if !o.filled {
		return Undecided
	}
	if !gjson.ValidBytes(o.kept) {
		return Answers
	}
	root := gjson.ParseBytes(o.kept)
	if fault, ok := faultOf(root); ok || root.Get("type").String() == "error" {
		return o.fault(fault, root)
	}
	return Answers
}

// faultOf finds the error that an answer or an event consists of.
func faultOf(root gjson.Result) (fault gjson.Result, ok bool) {
	for _, path := range []string{"error", "response.error"} {
		if e := root.Get(path); e.IsObject() || e.Type == gjson.String && e.String() != "" {
			return e, true
		}
	}
	return gjson.Result{}, false
}

// faultStatus is what the types and codes of errors mean that do not come with a
// number. What is not here is the provider's.
var faultStatus = map[string]int{
	"invalid_request_error": http.StatusBadRequest, "invalid_prompt": http.StatusBadRequest, "not_found_error": http.StatusNotFound,
	"context_length_exceeded": http.StatusBadRequest, "content_filter": http.StatusBadRequest, "content_policy_violation": http.StatusBadRequest,
	"request_too_large": http.StatusRequestEntityTooLarge,
	"rate_limit_error":  http.StatusTooManyRequests, "rate_limit_exceeded": http.StatusTooManyRequests, "insufficient_quota": http.StatusTooManyRequests,
	"timeout_error": http.StatusGatewayTimeout,
}

// fault is the verdict on an error. One that says that the request is at fault
// is the client's to see, as one of status 400 would be.
func (o *Opening) fault(fault, root gjson.Result) Verdict {
	status := http.StatusServiceUnavailable
	for _, field := range []gjson.Result{
		fault.Get("status"), fault.Get("status_code"), fault.Get("code"), root.Get("code"), fault.Get("type"),
	} {
		if n, err := strconv.Atoi(field.String()); err == nil && n >= 400 && n < 600 {
			status = n
			break
		}
		if n, ok := faultStatus[field.String()]; ok {
			status = n
			break
		}
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden: // not by the client's fault: its request was taken
		return o.fail(http.StatusServiceUnavailable)
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return o.fail(status)
	}
	if status < 500 {
		return Answers
	}
	return o.fail(status)
}
