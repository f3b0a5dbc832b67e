package translate

import (
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// stopReasons are Anthropic's words for OpenAI's finish reasons; others are
// "end_turn".
var stopReasons = map[string]string{
	"length": "max_tokens", "tool_calls": "tool_use", "function_call": "tool_use", "content_filter": "refusal",
}

func stopReason(finish string, called, refused bool) string {
	r, ok := stopReasons[finish]
	switch {
	case ok:
		return r
	case called: // not every provider says so
		return "tool_use"
	case refused:
		return "refusal"
	}
	return "end_turn"
}

// takeChat takes over the counts of a chat completion's usage.
func (t *tokens) takeChat(v gjson.Result) {
	positive := func(name string) int64 { return max(v.Get(name).Int(), 0) }
	prompt := positive("prompt_tokens")
	t.read = min(positive("prompt_tokens_details.cached_tokens"), prompt)
	t.written = min(positive("prompt_tokens_details.cache_write_tokens"), prompt-t.read)
	t.input, t.output = prompt-t.read-t.written, positive("completion_tokens")
	t.thought = positive("completion_tokens_details.reasoning_tokens")
}

// writeMessageUsage writes the counts as Anthropic does: what was read from a
// cache is beside the prompt.
func (o *out) writeMessageUsage(t tokens) {
	o.name("usage")
	o.open('{')
	o.number("input_tokens", t.input)
	o.number("cache_creation_input_tokens", t.written)
	o.number("cache_read_input_tokens", t.read)
	o.number("output_tokens", t.output)
	if t.thought > 0 {
		o.name("output_tokens_details")
		o.open('{')
		o.number("thinking_tokens", t.thought)
		o.shut('}')
	}
	o.shut('}')
}

// AppendMessageAnswer appends the message that means the chat completion body, or
// its first choice. A tool call whose arguments are no JSON object, as one may be
// that the output cap cut off, has an empty input.
func AppendMessageAnswer(dst, body []byte) ([]byte, error) {
	if !gjson.ValidBytes(body) {
		return dst, ErrAnswer
	}
	answer := gjson.ParseBytes(body)
	choice := answer.Get("choices.0")
	said := choice.Get("message")
	if !said.IsObject() {
		return dst, ErrAnswer
	}
	o := out{b: append(dst, '{')}
	o.text("id", answer.Get("id").String())
	o.text("type", "message")
	o.text("role", "assistant")
	o.text("model", answer.Get("model").String())
	o.name("content")
	o.open('[')
	refusal := said.Get("refusal")
	for _, text := range []gjson.Result{said.Get("content"), refusal} {
		if text.Type == gjson.String && text.Str != "" {
			o.open('{')
			o.text("type", "text")
			o.member("text", text.Raw)
			o.shut('}')
		}
	}
	calls := said.Get("tool_calls").Array()
	for _, call := range calls {
		o.open('{')
		o.text("type", "tool_use")
		o.text("id", call.Get("id").String())
		o.text("name", call.Get("function.name").String())
		input := strings.TrimSpace(call.Get("function.arguments").String())
		if !gjson.Valid(input) || input[0] != '{' {
			input = "{}"
		}
		o.member("input", input)
		o.shut('}')
	}
	o.shut(']')
	refused := refusal.Type == gjson.String && refusal.Str != ""
	o.text("stop_reason", stopReason(choice.Get("finish_reason").Str, len(calls) > 0, refused))
	o.member("stop_sequence", "null")
	var t tokens
	t.takeChat(answer.Get("usage"))
	o.writeMessageUsage(t)
	o.shut('}')
	return o.b, nil
}

// AppendMessageError appends the error of a chat completions provider, which
// answered status, as Anthropic words errors. A body that is no error of OpenAI's
// becomes one without its text, which may be anything.
func AppendMessageError(dst, body []byte, status int) []byte {
	var message gjson.Result
	if gjson.ValidBytes(body) {
		message = gjson.GetBytes(body, "error.message")
	}
	return appendMessageError(dst, message, status)
}

func appendMessageError(dst []byte, message gjson.Result, status int) []byte {
	o := out{b: append(dst, '{')}
	o.text("type", "error")
	o.name("error")
	o.open('{')
	kind := "invalid_request_error"
	switch status {
	case http.StatusUnauthorized:
		kind = "authentication_error"
	case http.StatusForbidden:
		kind = "permission_error"
	case http.StatusNotFound:
		kind = "not_found_error"
	case http.StatusRequestEntityTooLarge:
		kind = "request_too_large"
	case http.StatusTooManyRequests:
		kind = "rate_limit_error"
	case http.StatusServiceUnavailable, 529:
		kind = "overloaded_error"
	case http.StatusGatewayTimeout:
		kind = "timeout_error"
	default:
		if status >= http.StatusInternalServerError {
			kind = "api_error"
		}
	}
	o.text("type", kind)
	if message.Type == gjson.String {
		o.member("message", message.Raw)
	} else {
		o.text("message", "The provider answered "+statusText(status)+".")
	}
	o.shut('}')
	o.shut('}')
	return o.b
}
