package translate

import (
	"github.com/tidwall/gjson"
)

// ChatStream translates the events of a streamed message into those of a streamed
// chat completion. It keeps no more than one event.
type ChatStream struct {
	// Created is the time that chunks give, in seconds since 1970; Usage whether
	// the client asked for a chunk with the usage.
	Created int64
	Usage   bool

	events    events
	out       out
	id, model string // JSON
	tokens    tokens
	call      int64 // number of the last tool call, -1 before the first
	open      bool  // a tool call is open, and
	empty     bool  // has no arguments yet
	begun     bool
	over      bool
}

// Append appends to dst what follows from the next bytes of the message's stream.
func (s *ChatStream) Append(dst, chunk []byte) []byte {
	s.out.b = dst
	if !s.begun {
		s.call, s.begun = -1, true
	}
	s.events.feed(chunk, s.event)
	if s.events.long {
		s.fail("", gjson.Result{}, "an event of the provider's stream is too long")
	}
	return s.take()
}

// End appends what follows from the end of the message's stream. A stream that
// was cut stays one: only a whole one ends with [DONE].
func (s *ChatStream) End(dst []byte) []byte {
	s.out.b = dst
	s.events.end(s.event)
	return s.take()
}

// UsageObject is the usage as far as the stream has told, in OpenAI's words.
func (s *ChatStream) UsageObject() []byte {
	o := out{b: []byte{'{'}}
	o.writeUsage(s.tokens)
	return o.b[len(`{"usage":`):]
}

func (s *ChatStream) take() []byte {
	b := s.out.b
	s.out.b = nil
	return b
}

// event translates one event.
func (s *ChatStream) event(data []byte) {
	if s.over || string(data) == "[DONE]" {
		return
	}
	if !gjson.ValidBytes(data) {
		s.fail("", gjson.Result{}, "an event of the provider's stream is no JSON")
		return
	}
	e := gjson.ParseBytes(data)
	switch e.Get("type").Str {
	case "message_start":
		m := e.Get("message")
		s.id, s.model = quoted(m.Get("id")), quoted(m.Get("model"))
		s.tokens.take(m.Get("usage"))
		s.delta("", func() {
			s.out.text("role", "assistant")
			s.out.text("content", "")
			s.out.member("refusal", "null")
		})
	case "content_block_start":
		s.startBlock(e.Get("content_block"))
	case "content_block_delta":
		s.blockDelta(e.Get("delta"))
	case "content_block_stop":
		s.stopBlock()
	case "message_delta":
		s.stopBlock()
		s.tokens.take(e.Get("usage"))
		if stop := e.Get("delta.stop_reason"); stop.Type == gjson.String {
			s.delta(finishReason(stop.Str), func() {})
		}
	case "message_stop":
		if s.Usage {
			s.head()
			s.out.name("choices")
			s.out.raw("[]")
			s.out.writeUsage(s.tokens)
			s.tail()
		}
		s.out.b = append(s.out.b, "data: [DONE]\n\n"...)
		s.over = true
	case "error":
		s.fail(e.Get("error.type").Str, e.Get("error.message"), "the provider's stream failed")
	}
}

// quoted is a JSON string of v.
func quoted(v gjson.Result) string {
	if v.Type == gjson.String {
		return v.Raw
	}
	return `""`
}

func (s *ChatStream) startBlock(b gjson.Result) {
	s.stopBlock()
	switch b.Get("type").Str {
	case "text":
		s.content(b.Get("text"))
	case "tool_use":
		s.call++
		s.open, s.empty = true, true
		s.toolCall(func() {
			s.out.text("id", b.Get("id").String())
			s.out.text("type", "function")
		}, func() {
			s.out.text("name", b.Get("name").String())
			s.out.text("arguments", "")
		})
	}
}

func (s *ChatStream) blockDelta(d gjson.Result) {
	switch d.Get("type").Str {
	case "text_delta":
		s.content(d.Get("text"))
	case "input_json_delta":
		if part := d.Get("partial_json"); s.open && part.Type == gjson.String && part.Str != "" {
			s.arguments(part.Raw)
		}
	}
}

// stopBlock ends a block. A call without arguments has no delta, but its arguments
// are an object to chat completions.
func (s *ChatStream) stopBlock() {
	if s.open && s.empty {
		s.arguments(`"{}"`)
	}
	s.open = false
}

func (s *ChatStream) arguments(raw string) {
	s.empty = false
	s.toolCall(func() {}, func() { s.out.member("arguments", raw) })
}

func (s *ChatStream) content(text gjson.Result) {
	if text.Type == gjson.String && text.Str != "" {
		s.delta("", func() { s.out.member("content", text.Raw) })
	}
}

func (s *ChatStream) toolCall(call, function func()) {
	s.delta("", func() {
		s.out.name("tool_calls")
		s.out.open('[')
		s.out.open('{')
		s.out.number("index", s.call)
		call()
		s.out.name("function")
		s.out.open('{')
		function()
		s.out.shut('}')
		s.out.shut('}')
		s.out.shut(']')
	})
}

// delta writes a chunk of the one choice; members writes those of its delta.
func (s *ChatStream) delta(finish string, members func()) {
	s.head()
	s.out.name("choices")
	s.out.open('[')
	s.out.open('{')
	s.out.number("index", 0)
	s.out.name("delta")
	s.out.open('{')
	members()
	s.out.shut('}')
	s.out.member("logprobs", "null")
	if finish == "" {
		s.out.member("finish_reason", "null")
	} else {
		s.out.text("finish_reason", finish)
	}
	s.out.shut('}')
	s.out.shut(']')
	if s.Usage {
		s.out.member("usage", "null")
	}
	s.tail()
}

// head starts a chunk.
func (s *ChatStream) head() {
	s.out.b = append(s.out.b, "data: {"...)
	s.out.member("id", orEmpty(s.id))
	s.out.text("object", "chat.completion.chunk")
	s.out.number("created", s.Created)
	s.out.member("model", orEmpty(s.model))
}

// tail ends one.
func (s *ChatStream) tail() { s.out.b = append(s.out.b, "}\n\n"...) }

func orEmpty(raw string) string {
	if raw == "" {
		return `""`
	}
	return raw
}

// fail ends the stream with an error, as OpenAI's streams do.
func (s *ChatStream) fail(kind string, message gjson.Result, otherwise string) {
	if s.over {
		return
	}
	s.over = true
	if message.Type != gjson.String {
		message = gjson.Parse(string(append(appendEscaped([]byte{'"'}, otherwise), '"')))
		kind = "api_error"
	}
	s.out.b = append(s.out.b, "data: "...)
	s.out.b = appendChatError(s.out.b, kind, message, 500)
	s.out.b = append(s.out.b, "\n\n"...)
}
