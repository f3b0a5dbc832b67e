package translate

import (
	"errors"
	"net/http"

	"github.com/tidwall/gjson"
)

// ErrAnswer is an answer that is not what its API says.
var ErrAnswer = errors.New("the provider's answer is not of its API")

// finishReasons are OpenAI's words for Anthropic's stop reasons; others are
// "stop".
var finishReasons = map[string]string{
	"max_tokens": "length", "model_context_window_exceeded": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}

func finishReason(stop string) string {
	if r, ok := finishReasons[stop]; ok {
		return r
	}
	return "stop"
}

// tokens are what a message's usage counts.
type tokens struct{ input, read, written, output, thought int64 }

// take takes over the counts that v has: events repeat some of them.
func (t *tokens) take(v gjson.Result) {
	for name, at := range map[string]*int64{
		"input_tokens": &t.input, "cache_read_input_tokens": &t.read, "cache_creation_input_tokens": &t.written, "output_tokens": &t.output,
		"output_tokens_details.thinking_tokens": &t.thought,
	} {
		if n := v.Get(name); n.Type == gjson.Number && n.Int() >= 0 {
			*at = n.Int()
		}
	}
}

// writeUsage writes the counts as OpenAI sums them up: what was read from a cache
// and what was written to one are part of the prompt.
func (o *out) writeUsage(t tokens) {
	prompt := t.input + t.read + t.written
	o.name("usage")
	o.open('{')
	o.number("prompt_tokens", prompt)
	o.number("completion_tokens", t.output)
	o.number("total_tokens", prompt+t.output)
	o.name("prompt_tokens_details")
	o.open('{')
	o.number("cached_tokens", t.read)
	if t.written > 0 {
		o.number("cache_write_tokens", t.written)
	}
	o.shut('}')
	if t.thought > 0 {
		o.name("completion_tokens_details")
		o.open('{')
		o.number("reasoning_tokens", t.thought)
		o.shut('}')
	}
	o.shut('}')
}

// AppendChatAnswer appends the chat completion that means the message body.
// created is its time, in seconds since 1970, which messages do not have.
// Thoughts stay behind: chat completions do not show them.
func AppendChatAnswer(dst, body []byte, created int64) ([]byte, error) {
	if !gjson.ValidBytes(body) {
		return dst, ErrAnswer
	}
	m := gjson.ParseBytes(body)
	if m.Get("type").Str != "message" || !m.Get("content").IsArray() {
		return dst, ErrAnswer
	}
	o := out{b: append(dst, '{')}
	id, model := m.Get("id"), m.Get("model")
	o.text("id", id.String())
	o.text("object", "chat.completion")
	o.number("created", created)
	o.text("model", model.String())
	o.name("choices")
	o.open('[')
	o.open('{')
	o.number("index", 0)
	o.name("message")
	o.open('{')
	o.text("role", "assistant")
	o.writeContent(m.Get("content"))
	o.member("refusal", "null")
	o.shut('}')
	o.member("logprobs", "null")
	o.text("finish_reason", finishReason(m.Get("stop_reason").Str))
	o.shut('}')
	o.shut(']')
	var t tokens
	t.take(m.Get("usage"))
	o.writeUsage(t)
	o.shut('}')
	return o.b, nil
}

// writeContent writes content and tool_calls of a message.
func (o *out) writeContent(blocks gjson.Result) {
	o.name("content")
	said := false
	var calls []gjson.Result
	_ = each(blocks, func(_ string, b gjson.Result) error {
		switch b.Get("type").Str {
		case "text":
			if !said {
				o.b = append(o.b, '"')
			}
			said = true
			o.b = append(o.b, inner(b.Get("text"))...)
		case "tool_use":
			calls = append(calls, b)
		}
		return nil
	})
	switch {
	case said:
		o.b = append(o.b, '"')
	case len(calls) > 0:
		o.b = append(o.b, "null"...)
	default:
		o.b = append(o.b, `""`...)
	}
	o.writeCalls(calls)
}

// AppendChatError appends the error of a Messages provider, which answered status,
// as OpenAI words errors. A body that is no error of Anthropic's becomes one
// without its text, which may be anything.
func AppendChatError(dst, body []byte, status int) []byte {
	kind, message := "", gjson.Result{}
	if gjson.ValidBytes(body) {
		kind, message = gjson.GetBytes(body, "error.type").Str, gjson.GetBytes(body, "error.message")
	}
	return appendChatError(dst, kind, message, status)
}

func appendChatError(dst []byte, kind string, message gjson.Result, status int) []byte {
	o := out{b: append(dst, '{')}
	o.name("error")
	o.open('{')
	if message.Type == gjson.String {
		o.member("message", message.Raw)
	} else {
		o.text("message", "The provider answered "+statusText(status)+".")
	}
	word, code := "invalid_request_error", ""
	switch kind {
	case "authentication_error":
		code = "invalid_api_key"
	case "not_found_error":
		code = "model_not_found"
	case "request_too_large":
		code = "request_too_large"
	case "rate_limit_error":
		word, code = "rate_limit_error", "rate_limit_exceeded"
	case "overloaded_error":
		word, code = "server_error", "overloaded"
	case "api_error", "timeout_error":
		word = "server_error"
	case "invalid_request_error", "permission_error", "billing_error":
	default:
		switch {
		case status == http.StatusTooManyRequests:
			word, code = "rate_limit_error", "rate_limit_exceeded"
		case status >= http.StatusInternalServerError:
			word = "server_error"
		}
	}
	o.text("type", word)
	o.member("param", "null")
	if code == "" {
		o.member("code", "null")
	} else {
		o.text("code", code)
	}
	o.shut('}')
	o.shut('}')
	return o.b
}

// statusText is a status in words, such as 529 or 400 Bad Request.
func statusText(status int) string {
	text := string(appendInt(nil, status))
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	return text
}
