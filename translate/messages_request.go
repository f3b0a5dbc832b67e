package translate

import (
	"strings"

	"github.com/tidwall/gjson"
)

// messages is a Messages request on its way to a chat completions request: its
// top-level fields, as far as they are more than copied.
type messages struct {
	out
	options Options
	Request
	model, system, messages  gjson.Result
	tools, choice            gjson.Result
	maxTokens, stops         gjson.Result
	temperature, topP        gjson.Result
	thinking, effort, format gjson.Result
	user                     gjson.Result
	lastRole                 string
	images                   []gjson.Result // of results of tools, for the user's message after them
}

// AppendChatRequest appends the chat completions request that means the Messages
// request body. body is one JSON object; an error is an *Unable. A stream is asked
// to end with its usage, as messages do.
func AppendChatRequest(dst, body []byte, options Options) ([]byte, Request, error) {
	m := messages{out: out{b: dst}, options: options}
	if err := each(gjson.ParseBytes(body), m.field); err != nil {
		return dst, Request{}, err
	}
	start := len(dst)
	m.b = append(m.b, '{')
	if err := m.write(); err != nil {
		return dst[:start], Request{}, err
	}
	m.shut('}')
	return m.b, m.Request, nil
}

// field takes one top-level field.
func (m *messages) field(name string, v gjson.Result) error {
	if isNull(v) {
		return nil
	}
	switch name {
	case "model":
		m.model = v
	case "messages":
		m.messages = v
	case "system":
		m.system = v
	case "max_tokens":
		m.maxTokens = v
	case "stop_sequences":
		m.stops = v
	case "temperature":
		m.temperature = v
	case "top_p":
		m.topP = v
	case "stream":
		m.Stream = v.Bool()
	case "tools":
		m.tools = v
	case "tool_choice":
		m.choice = v
	case "thinking":
		m.thinking = v
	case "output_config":
		m.effort = v.Get("effort")
		if f := v.Get("format"); !isNull(f) {
			m.format = f
		}
	case "output_format":
		m.format = v
	case "metadata":
		m.user = v.Get("user_id")
	case "routing_config": // for the router
	case "container":
		return unable("container")
	case "mcp_servers":
		if len(v.Array()) > 0 {
			return unable("mcp_servers")
		}
	default:
		m.Dropped = append(m.Dropped, name)
	}
	return nil
}

// write writes the members of the request.
func (m *messages) write() error {
	m.member("model", m.model.Raw)
	m.name("messages")
	m.open('[')
	if err := m.writeSystem(); err != nil {
		return err
	}
	if err := each(m.messages, func(_ string, v gjson.Result) error { return m.message(v) }); err != nil {
		return err
	}
	if m.lastRole != "user" {
		// Anthropic's models go on with such an answer, others begin another.
		return unable("an answer that was begun for the model")
	}
	m.shut(']')
	if err := m.writeTools(); err != nil {
		return err
	}
	field := m.options.MaxTokensField
	if field == "" {
		field = "max_tokens"
	}
	if m.maxTokens.Type == gjson.Number {
		m.member(field, m.maxTokens.Raw)
	}
	if m.temperature.Type == gjson.Number {
		m.member("temperature", m.temperature.Raw)
	}
	if m.topP.Type == gjson.Number {
		m.member("top_p", m.topP.Raw)
	}
	if stops := m.stops.Array(); len(stops) > maxStops {
		return unable("more than four stop sequences")
	} else if len(stops) > 0 {
		m.member("stop", m.stops.Raw)
	}
	m.writeEffort()
	if err := m.writeFormat(); err != nil {
		return err
	}
	if m.user.Type == gjson.String {
		m.member("user", m.user.Raw)
	}
	if m.Stream {
		m.member("stream", "true")
		m.member("stream_options", `{"include_usage":true}`)
	}
	return nil
}

// maxStops is how many stop sequences OpenAI's API takes.
const maxStops = 4

// writeSystem writes the system prompt as one message of one text, which every
// provider takes.
func (m *messages) writeSystem() error {
	if !m.system.Exists() || m.system.Raw == `""` || m.system.Raw == "[]" {
		return nil
	}
	m.open('{')
	m.text("role", "system")
	if m.system.Type == gjson.String {
		m.member("content", m.system.Raw)
	} else if err := m.joined(m.system, `\n\n`); err != nil {
		return err
	}
	m.shut('}')
	return nil
}

// joined writes content as one string of the texts of blocks.
func (m *messages) joined(blocks gjson.Result, separator string) error {
	m.name("content")
	m.b = append(m.b, '"')
	first := true
	err := each(blocks, func(_ string, b gjson.Result) error {
		if kind := b.Get("type").Str; kind != "text" {
			return unable("a system prompt with a block of type %.32q", kind)
		}
		if !first {
			m.b = append(m.b, separator...)
		}
		first = false
		m.b = append(m.b, inner(b.Get("text"))...)
		return nil
	})
	m.b = append(m.b, '"')
	return err
}

// message writes one message.
func (m *messages) message(v gjson.Result) error {
	content := v.Get("content")
	m.lastRole = v.Get("role").Str
	switch m.lastRole {
	case "user":
		return m.userMessage(content)
	case "assistant":
		return m.assistantMessage(content)
	default:
		return unable("a message of role %.32q", m.lastRole)
	}
}

// userMessage writes the results of tools as messages of their own, and what else
// there is behind them.
func (m *messages) userMessage(content gjson.Result) error {
	if content.Type == gjson.String {
		m.open('{')
		m.text("role", "user")
		m.member("content", content.Raw)
		m.shut('}')
		return nil
	}
	m.images = m.images[:0]
	var rest []gjson.Result
	err := each(content, func(_ string, b gjson.Result) error {
		if b.Get("type").Str == "tool_result" {
			return m.toolMessage(b)
		}
		rest = append(rest, b)
		return nil
	})
	if err != nil {
		return err
	}
	// The results of tools are texts here; what they show, the user shows.
	if rest = append(m.images, rest...); len(rest) == 0 {
		return nil
	}
	m.open('{')
	m.text("role", "user")
	if len(rest) == 1 && rest[0].Get("type").Str == "text" {
		m.member("content", rest[0].Get("text").Raw)
		m.shut('}')
		return nil
	}
	m.name("content")
	m.open('[')
	for _, b := range rest {
		if err := m.part(b); err != nil {
			return err
		}
	}
	m.shut(']')
	m.shut('}')
	return nil
}

// toolMessage writes a tool's result.
func (m *messages) toolMessage(b gjson.Result) error {
	m.open('{')
	m.text("role", "tool")
	m.text("tool_call_id", b.Get("tool_use_id").String())
	m.name("content")
	content := b.Get("content")
	if content.Type == gjson.String {
		m.raw(content.Raw)
		m.shut('}')
		return nil
	}
	m.b = append(m.b, '"')
	first := true
	err := each(content, func(_ string, part gjson.Result) error {
		switch kind := part.Get("type").Str; kind {
		case "text":
			if !first {
				m.b = append(m.b, `\n`...)
			}
			first = false
			m.b = append(m.b, inner(part.Get("text"))...)
		case "image", "document":
			m.images = append(m.images, part)
		default:
			return unable("a tool's result of type %.32q", kind)
		}
		return nil
	})
	m.b = append(m.b, '"')
	m.shut('}')
	return err
}

// part writes one block that the user shows.
func (m *messages) part(b gjson.Result) error {
	source := b.Get("source")
	kind, from := b.Get("type").Str, source.Get("type").Str
	m.open('{')
	switch {
	case kind == "text":
		m.text("type", "text")
		m.member("text", quoted(b.Get("text")))
	case kind == "image" && (from == "base64" || from == "url"):
		m.text("type", "image_url")
		m.name("image_url")
		m.open('{')
		if from == "url" {
			m.member("url", quoted(source.Get("url")))
		} else {
			m.text("url", dataURL(source))
		}
		m.shut('}')
	case kind == "document" && from == "text":
		m.text("type", "text")
		m.member("text", quoted(source.Get("data")))
	case kind == "document" && from == "base64":
		m.text("type", "file")
		m.name("file")
		m.open('{')
		name := b.Get("title").String()
		if name == "" {
			name = "document.pdf"
		}
		m.text("filename", name)
		m.text("file_data", dataURL(source))
		m.shut('}')
	case kind == "image" || kind == "document":
		return unable("a source of type %.32q of an %s", from, kind)
	default:
		return unable("content of type %.32q", kind)
	}
	m.shut('}')
	return nil
}

func dataURL(source gjson.Result) string {
	return "data:" + source.Get("media_type").String() + ";base64," + source.Get("data").String()
}

// assistantMessage writes what the model said and called. Its thoughts stay
// behind: they are signed for the model that had them.
func (m *messages) assistantMessage(content gjson.Result) error {
	m.open('{')
	m.text("role", "assistant")
	if content.Type == gjson.String {
		m.member("content", content.Raw)
		m.shut('}')
		return nil
	}
	var calls []gjson.Result
	var text strings.Builder
	err := each(content, func(_ string, b gjson.Result) error {
		switch kind := b.Get("type").Str; kind {
		case "text":
			text.WriteString(inner(b.Get("text")))
		case "tool_use":
			calls = append(calls, b)
		case "thinking", "redacted_thinking":
		default:
			return unable("an assistant's content of type %.32q", kind)
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.name("content")
	if text.Len() == 0 && len(calls) > 0 {
		m.raw("null")
	} else {
		m.raw(`"` + text.String() + `"`)
	}
	m.writeCalls(calls)
	m.shut('}')
	return nil
}

// writeCalls writes tool_use blocks as the calls of a message; none: nothing.
func (o *out) writeCalls(calls []gjson.Result) {
	if len(calls) == 0 {
		return
	}
	o.name("tool_calls")
	o.open('[')
	for _, b := range calls {
		o.open('{')
		o.text("id", b.Get("id").String())
		o.text("type", "function")
		o.name("function")
		o.open('{')
		o.text("name", b.Get("name").String())
		input := b.Get("input").Raw
		if input == "" {
			input = "{}"
		}
		o.text("arguments", input)
		o.shut('}')
		o.shut('}')
	}
	o.shut(']')
}
