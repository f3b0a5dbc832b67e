package fakeprovider

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tidwall/gjson"
)

// created is the time that all completions say they were made.
const created = 1_760_000_000

// whole answers in one JSON object.
func (s *Server) whole(w http.ResponseWriter, r *http.Request, _ *Exchange, a *answer, f *Fault) {
	if !sleep(r, time.Duration(a.textTokens+a.reasoningTokens)*s.config.TokenInterval) {
		return
	}
	b := make([]byte, 0, 1024+2*a.choices*len(a.content))
	b = a.appendStart(b, "chat.completion")
	for i := range a.choices {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"index":`...)
		b = strconv.AppendInt(b, int64(i), 10)
		b = append(b, `,"message":{"role":"assistant","content":`...)
		if a.call == nil {
			b = gjson.AppendJSONString(b, a.content)
		} else {
			b = append(b, "null"...)
			b = a.call.append(append(b, `,"tool_calls":[`...), a.call.arguments, true, false)
			b = append(b, ']')
		}
		b = append(b, `,"refusal":null},"logprobs":null,"finish_reason":"`...)
		b = append(b, a.finish...)
		b = append(b, `"}`...)
	}
	b = append(b, `],"usage":`...)
	b = append(a.appendUsage(b), "}\n"...)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if f.CutAfterChunks > 0 {
		_, _ = w.Write(b[:len(b)/2])
		_ = http.NewResponseController(w).Flush()
		breakOff()
	}
	s.complete(a)
	_, _ = w.Write(b) // a client that is gone does not matter
}

func (a *answer) appendStart(b []byte, object string) []byte {
	b = append(b, `{"id":"`...)
	b = append(b, a.id...)
	b = append(b, `","object":"`...)
	b = append(b, object...)
	b = append(b, `","created":`...)
	b = strconv.AppendInt(b, created, 10)
	b = append(b, `,"model":`...)
	b = gjson.AppendJSONString(b, a.servedAs)
	return append(b, `,"system_fingerprint":"fp_fake","choices":[`...)
}

// append appends the call, or with indexed a part of it as streams have them.
func (c *call) append(b []byte, arguments string, named, indexed bool) []byte {
	b = append(b, '{')
	if indexed {
		b = append(b, `"index":0,`...)
	}
	if named {
		b = append(b, `"id":"`...)
		b = append(b, c.id...)
		b = append(b, `","type":"function",`...)
	}
	b = append(b, `"function":{`...)
	if named {
		b = append(b, `"name":`...)
		b = append(gjson.AppendJSONString(b, c.name), ',')
	}
	b = append(b, `"arguments":`...)
	return append(gjson.AppendJSONString(b, arguments), "}}"...)
}

func (a *answer) appendUsage(b []byte) []byte {
	number := func(name string, n int) {
		b = append(b, name...)
		b = strconv.AppendInt(b, int64(n), 10)
	}
	number(`{"prompt_tokens":`, a.promptTokens)
	number(`,"completion_tokens":`, a.completionTokens())
	number(`,"total_tokens":`, a.promptTokens+a.completionTokens())
	number(`,"prompt_tokens_details":{"cached_tokens":`, a.cachedTokens)
	number(`,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":`, a.choices*a.reasoningTokens)
	return append(b, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`...)
}

// events writes the events of one stream.
type events struct {
	s        *Server
	w        http.ResponseWriter
	r        *http.Request
	flush    *http.ResponseController
	exchange *Exchange
	a        *answer
	fault    *Fault
	buffer   []byte
	sent     int
}

// stream answers in server-sent events.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, x *Exchange, a *answer, f *Fault) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	recorded := *x
	e := &events{s: s, w: w, r: r, flush: http.NewResponseController(w), exchange: &recorded, a: a, fault: f}
	if !sleep(r, time.Duration(a.reasoningTokens)*s.config.TokenInterval) {
		return
	}
	for i := range a.choices {
		e.delta(i, `"role":"assistant","content":"","refusal":null`, "", "")
	}
	if a.call != nil {
		for i := range a.choices {
			for n, part := range append([]string{""}, cut(a.call.arguments, 12)...) {
				e.delta(i, "", string(a.call.append([]byte(`"tool_calls":[`), part, n == 0, true))+"]", "")
			}
		}
	}
	for _, piece := range a.pieces {
		if !sleep(r, s.config.TokenInterval) {
			return
		}
		for i := range a.choices {
			e.delta(i, "", `"content":`+string(gjson.AppendJSONString(nil, piece)), "")
		}
	}
	for i := range a.choices {
		e.delta(i, "", "", a.finish)
	}
	if a.usage {
		b := a.appendStart(append(e.buffer[:0], "data: "...), "chat.completion.chunk")
		e.write(append(a.appendUsage(append(b, `],"usage":`...)), "}\n\n"...))
	}
	e.exchange.Chunks = append(e.exchange.Chunks, time.Now())
	s.last.Store(e.exchange) // before the client can know the stream is over
	s.complete(a)
	_, _ = w.Write([]byte("data: [DONE]\n\n"))
}

// delta writes one event about a choice.
func (e *events) delta(choice int, role, content, finish string) {
	b := e.a.appendStart(append(e.buffer[:0], "data: "...), "chat.completion.chunk")
	b = append(b, `{"index":`...)
	b = strconv.AppendInt(b, int64(choice), 10)
	b = append(b, `,"delta":{`...)
	b = append(append(b, role...), content...)
	b = append(b, `},"logprobs":null,"finish_reason":`...)
	if finish == "" {
		b = append(b, "null}]"...)
	} else {
		b = append(append(append(b, '"'), finish...), `"}]`...)
	}
	if e.a.usage {
		b = append(b, `,"usage":null`...)
	}
	e.write(append(b, "}\n\n"...))
}

// write sends one event at once.
func (e *events) write(event []byte) {
	if e.fault.CutAfterChunks > 0 && e.sent == e.fault.CutAfterChunks {
		e.s.last.Store(e.exchange)
		breakOff()
	}
	e.sent++
	e.exchange.Chunks = append(e.exchange.Chunks, time.Now())
	// A client that is gone is noticed at the next sleep, or not at all.
	_, _ = e.w.Write(event)
	_ = e.flush.Flush()
	e.buffer = event[:0]
}
