package wire_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"wye/wire"
)

const (
	typeSSE  = "text/event-stream; charset=utf-8"
	typeJSON = "application/json"
)

// openings are answers with what is known of them once they are complete, and
// how much of them it takes to know it.
var openings = []struct {
	name, contentType, before, decisive, after string
	verdict                                    wire.Verdict
	status                                     int
}{
	{
		"chat stream", typeSSE, `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}]}` + "\n\n" +
			`data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}` + "\n", "\n", "data: [DONE]\n\n", wire.Answers, 0,
	},
	{
		"prompt filter results first", typeSSE, `data: {"choices":[],"prompt_filter_results":[{}]}` + "\n\n" +
			`data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}` + "\n", "\n", "", wire.Answers, 0,
	},
	{"only an end", typeSSE, "data: [DONE]\n", "\n", "", wire.Answers, 0},
	{"a choice that ends at once", typeSSE, `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\r\n", "\r", "\n", wire.Answers, 0},
	{"older completions", typeSSE, `data: {"choices":[{"text":"","finish_reason":null}]}` + "\n\n" + `data: {"choices":[{"text":"x"}]}` + "\n", "\n", "", wire.Answers, 0},
	{"comments, then an error", typeSSE, ": working\n\n: working\n\ndata: {\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}\n", "\n", "data: [DONE]\n\n", wire.Fails, 503},
	{"a number", typeSSE, `data: {"error":{"message":"x","code":502},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}` + "\n", "\n", "", wire.Fails, 502},
	{"a number as text", typeSSE, `data: {"error":{"code":"429"}}` + "\n", "\n", "", wire.Fails, 429},
	{"a rate limit", typeSSE, `data: {"error":{"code":null,"type":"rate_limit_exceeded"}}` + "\n", "\n", "", wire.Fails, 429},
	{"a key of Wye's", typeSSE, `data: {"error":{"code":401}}` + "\n", "\n", "", wire.Fails, 503},
	{"a text", typeSSE, `data: {"error":"overloaded"}` + "\n", "\n", "", wire.Fails, 503},
	{"an error in two lines", typeSSE, "data: {\"error\":\ndata: {\"code\":500}}\n", "\n", "", wire.Fails, 500},
	{"an event of no JSON", typeSSE, "event: error\ndata: oh no\n", "\n", "", wire.Fails, 503},
	{"the request's fault", typeSSE, `data: {"error":{"type":"invalid_request_error","message":"x"}}` + "\n", "\n", "", wire.Answers, 0},
	{"the request's fault by number", typeSSE, `data: {"error":{"code":400}}` + "\n", "\n", "", wire.Answers, 0},
	{"no event at all", typeSSE, `{"error":{"message":"x"}}`, "\n", "", wire.Fails, 503},
	{
		"anthropic", typeSSE, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n" +
			"event: content_block_start\ndata: {\"type\":\"content_block_start\"}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n",
		"\n", "", wire.Answers, 0,
	},
	{
		"anthropic overloaded", typeSSE, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n" +
			"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n", "\n", "", wire.Fails, 503,
	},
	{
		"responses", typeSSE, "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n" +
			"data: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n", "\n", "", wire.Answers, 0,
	},
	{
		"responses failed", typeSSE, "data: {\"type\":\"response.in_progress\"}\n\n" +
			"data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\"}}}\n", "\n", "", wire.Fails, 429,
	},
	{"responses error", typeSSE, "data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}\n", "\n", "", wire.Fails, 503},
	{"chat answer", typeJSON, `{"choices":[{"message":{"content":"Hi"}}]`, "}", "", wire.Answers, 0},
	{"an answer with no error", typeJSON, `{"error":null,"output":[]`, "}", "", wire.Answers, 0},
	{"an error", typeJSON, "\n\n" + `{"error":{"code":503}`, "}", "", wire.Fails, 503},
	{"anthropic error", typeJSON, `{"type":"error","error":{"type":"api_error"}`, "}", "", wire.Fails, 503},
	{"an error of the request", typeJSON, `{"error":{"code":422}`, "}", "", wire.Answers, 0},
	{"no JSON", typeJSON, `<html>`, "\n", "", wire.Answers, 0},
	{"a large answer", typeJSON, strings.Repeat(" ", wire.MaxOpening-1), " ", "x", wire.Answers, 0},
	{"a long preamble", typeSSE, strings.Repeat(":\n", wire.MaxOpening/2-1) + ":", "\n", "", wire.Answers, 0},
}

// A verdict is there with the byte that decides, and not before it.
func TestOpening(t *testing.T) {
	for _, c := range openings {
		t.Run(c.name, func(t *testing.T) {
			var o wire.Opening
			if !o.Begin([]byte(c.contentType)) {
				t.Fatalf("%s is not read", c.contentType)
			}
			if v := o.Feed([]byte(c.before), false); v != wire.Undecided {
				t.Fatalf("verdict %d on %q", v, c.before)
			}
			last := c.contentType == typeJSON
			if v := o.Feed([]byte(c.decisive+c.after), last); v != c.verdict || v == wire.Fails && o.Status() != c.status {
				t.Errorf("verdict %d with status %d, want %d with %d", v, o.Status(), c.verdict, c.status)
			}
			if o.Stream() == last {
				t.Errorf("Stream() = %v of %s", o.Stream(), c.contentType)
			}
		})
	}
}

// Nothing at all, or no more than preliminaries, is no answer.
func TestOpeningEndsEarly(t *testing.T) {
	for _, c := range []struct{ name, contentType, text string }{
		{"empty JSON", typeJSON, ""},
		{"white space", typeJSON, " \n"},
		{"empty stream", typeSSE, ""},
		{"comments", typeSSE, ": hello\n\n"},
		{"a role", typeSSE, `data: {"choices":[{"delta":{"role":"assistant"}}]}` + "\n\n"},
		{"half an event", typeSSE, `data: {"type":"message_start"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o wire.Opening
			o.Begin([]byte(c.contentType))
			if v := o.Feed([]byte(c.text), true); v != wire.Fails || o.Status() != 502 || !o.Ended() {
				t.Errorf("verdict %d with status %d, want a failure with 502", v, o.Status())
			}
		})
	}
	var o wire.Opening
	o.Begin([]byte(typeSSE))
	if v := o.Feed([]byte(`data: {"error":{"code":500}}`), true); v != wire.Fails || o.Status() != 500 || o.Ended() {
		t.Errorf("an error without its empty line: verdict %d, status %d", v, o.Status())
	}
}

func TestOpeningOfOtherTypes(t *testing.T) {
	var o wire.Opening
	for _, contentType := range []string{"", "text/plain", "audio/mpeg", "application/jsonl"} {
		if o.Begin([]byte(contentType)) {
			t.Errorf("%q is read", contentType)
		}
	}
	if !o.Begin([]byte("Application/JSON")) || !o.Quiet() {
		t.Error("a JSON answer that has not begun is not quiet")
	}
	if o.Feed([]byte("\n"), false); !o.Quiet() {
		t.Error("white space counts as an answer")
	}
	if o.Feed([]byte("{"), false); o.Quiet() {
		t.Error("a JSON answer that has begun is quiet")
	}
}

// However an answer is cut, the verdict is the same.
func FuzzOpening(f *testing.F) {
	for i, c := range openings {
		if len(c.before) < 4096 {
			f.Add([]byte(c.before+c.decisive+c.after), c.contentType == typeSSE, []byte{byte(i), 3, 1})
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, stream bool, cuts []byte) {
		contentType := typeJSON
		if stream {
			contentType = typeSSE
		}
		var whole, parts wire.Opening
		whole.Begin([]byte(contentType))
		want := whole.Feed(bytes.Clone(text), true)
		if want == wire.Undecided || want == wire.Fails && (whole.Status() < 408 || whole.Status() > 599) {
			t.Fatalf("verdict %d with status %d at the end", want, whole.Status())
		}
		parts.Begin([]byte(contentType))
		rest, got := slices.Clone(text), wire.Undecided
		for _, n := range cuts {
			n := min(int(n), len(rest))
			if got = parts.Feed(rest[:n], false); got != wire.Undecided {
				break
			}
			rest = rest[n:]
		}
		if got == wire.Undecided {
			got = parts.Feed(rest, true)
		}
		if got != want || parts.Status() != whole.Status() {
			t.Errorf("%q in parts %v: verdict %d, status %d; whole: %d, %d", text, cuts, got, parts.Status(), want, whole.Status())
		}
	})
}
