package translate

import (
	"slices"

	"github.com/tidwall/gjson"
)

// MessagesStream translates the chunks of a streamed chat completion into the
// events of a streamed message. It keeps no more than one chunk and the numbers of
// the tool calls.
type MessagesStream struct {
	events  events
	out     out
	tokens  tokens
	started bool
	over    bool
	counted bool   // the usage has come
	finish  string // finish_reason; empty: not yet
	refused bool

	blocks int64  // started so far
	open   string // type of the block that is open; empty: none is
	calls  []call // in the order of their blocks
}

// call is a tool call: its number in the chunks, and its block's.
type call struct{ index, block int64 }

// maxCalls bounds the tool calls of one stream.
const maxCalls = 1024

// Append appends to dst what follows from the next bytes of the chat completion's
// stream.
func (s *MessagesStream) Append(dst, chunk []byte) []byte {
	s.out.b = dst
	s.events.feed(chunk, s.event)
	if s.events.long {
		s.fail("an event of the provider's stream is too long")
	}
	return s.take()
}

// End appends what follows from the end of the chat completion's stream. One that
// was cut before its finish_reason stays cut.
func (s *MessagesStream) End(dst []byte) []byte {
	s.out.b = dst
	s.events.end(s.event)
	if s.finish != "" {
		s.stop()
	}
	return s.take()
}

func (s *MessagesStream) take() []byte {
	b := s.out.b
	s.out.b = nil
	return b
}

// event translates one chunk.
func (s *MessagesStream) event(data []byte) {
	switch {
	case s.over:
		return
	case string(data) == "[DONE]":
		if s.started {
			s.stop()
		}
		return
	case !gjson.ValidBytes(data):
		s.fail("an event of the provider's stream is no JSON")
		return
	}
	c := gjson.ParseBytes(data)
	if e := c.Get("error"); e.Exists() && !isNull(e) {
		s.failWith(e.Get("message"))
		return
	}
	if !s.started {
		s.start(c)
	}
	if usage := c.Get("usage"); usage.IsObject() {
		s.tokens.takeChat(usage)
		s.counted = true
	}
	choice := c.Get("choices.0")
	if choice.Get("index").Int() == 0 {
		s.delta(choice.Get("delta"))
		if finish := choice.Get("finish_reason"); finish.Type == gjson.String && finish.Str != "" {
			s.finish = finish.Str
			s.closeBlock()
		}
	}
	if s.finish != "" && s.counted {
		s.stop()
	}
}

// begin starts an event; it ends with end.
func (s *MessagesStream) begin(name string) {
	s.out.b = append(append(append(s.out.b, "event: "...), name...), "\ndata: {"...)
	s.out.text("type", name)
}

func (s *MessagesStream) end() { s.out.b = append(s.out.b, "}\n\n"...) }

// start tells what is known before the answer. How long the prompt was comes at
// the end.
func (s *MessagesStream) start(c gjson.Result) {
	s.started = true
	s.begin("message_start")
	s.out.name("message")
	s.out.open('{')
	s.out.member("id", quoted(c.Get("id")))
	s.out.text("type", "message")
	s.out.text("role", "assistant")
	s.out.member("model", quoted(c.Get("model")))
	s.out.member("content", "[]")
	s.out.member("stop_reason", "null")
	s.out.member("stop_sequence", "null")
	s.out.writeMessageUsage(tokens{})
	s.out.shut('}')
	s.end()
}

func (s *MessagesStream) delta(d gjson.Result) {
	for _, name := range []string{"content", "refusal"} {
		text := d.Get(name)
		if text.Type != gjson.String || text.Str == "" {
			continue
		}
		s.refused = s.refused || name == "refusal"
		if s.open != "text" {
			s.openBlock("text", func() { s.out.text("text", "") })
		}
		s.blockDelta(s.blocks-1, "text_delta", "text", text.Raw)
	}
	d.Get("tool_calls").ForEach(func(_, c gjson.Result) bool {
		s.toolCall(c)
		return !s.over
	})
}

// toolCall takes a piece of a tool call. Calls come one after the other; a late
// piece of an earlier one is still told, by the number of its block.
func (s *MessagesStream) toolCall(c gjson.Result) {
	index := c.Get("index").Int()
	i := slices.IndexFunc(s.calls, func(k call) bool { return k.index == index })
	if i < 0 {
		if len(s.calls) == maxCalls {
			s.fail("the provider's stream has too many tool calls")
			return
		}
		s.openBlock("tool_use", func() {
			s.out.text("id", c.Get("id").String())
			s.out.member("name", quoted(c.Get("function.name")))
			s.out.member("input", "{}")
		})
		i = len(s.calls)
		s.calls = append(s.calls, call{index, s.blocks - 1})
	}
	if part := c.Get("function.arguments"); part.Type == gjson.String && part.Str != "" {
		s.blockDelta(s.calls[i].block, "input_json_delta", "partial_json", part.Raw)
	}
}

// openBlock starts the next block after the one that is open; members writes what
// belongs to its type.
func (s *MessagesStream) openBlock(kind string, members func()) {
	s.closeBlock()
	s.begin("content_block_start")
	s.out.number("index", s.blocks)
	s.out.name("content_block")
	s.out.open('{')
	s.out.text("type", kind)
	members()
	s.out.shut('}')
	s.end()
	s.open = kind
	s.blocks++
}

func (s *MessagesStream) closeBlock() {
	if s.open == "" {
		return
	}
	s.begin("content_block_stop")
	s.out.number("index", s.blocks-1)
	s.end()
	s.open = ""
}

func (s *MessagesStream) blockDelta(block int64, kind, name, raw string) {
	s.begin("content_block_delta")
	s.out.number("index", block)
	s.out.name("delta")
	s.out.open('{')
	s.out.text("type", kind)
	s.out.member(name, raw)
	s.out.shut('}')
	s.end()
}

// stop ends the message.
func (s *MessagesStream) stop() {
	if s.over {
		return
	}
	s.over = true
	s.closeBlock()
	s.begin("message_delta")
	s.out.name("delta")
	s.out.open('{')
	s.out.text("stop_reason", stopReason(s.finish, len(s.calls) > 0, s.refused))
	s.out.member("stop_sequence", "null")
	s.out.shut('}')
	s.out.writeMessageUsage(s.tokens)
	s.end()
	s.begin("message_stop")
	s.end()
}

// fail ends the stream with an error, as Anthropic's streams do.
func (s *MessagesStream) fail(what string) {
	s.failWith(gjson.Result{Type: gjson.String, Str: what, Raw: string(append(appendEscaped([]byte{'"'}, what), '"'))})
}

func (s *MessagesStream) failWith(message gjson.Result) {
	if s.over {
		return
	}
	s.over = true
	s.out.b = append(s.out.b, "event: error\ndata: "...)
	s.out.b = appendMessageError(s.out.b, message, 500)
	s.out.b = append(s.out.b, "\n\n"...)
}
