package usage

import (
	"math"
	"strings"

	"github.com/tidwall/gjson"

	"wye/envoy"
)

// Tokens is what a provider says that a call used.
type Tokens struct {
	Prompt     int64 `json:"prompt"`     // all input, cached included
	Cached     int64 `json:"cached"`     // part of Prompt that was read from the provider's cache
	Completion int64 `json:"completion"` // all output, reasoning included
	Reasoning  int64 `json:"reasoning"`  // part of Completion that nobody sees
}

func (t *Tokens) add(o Tokens) {
	t.Prompt += o.Prompt
	t.Cached += o.Cached
	t.Completion += o.Completion
	t.Reasoning += o.Reasoning
}

// maxTokens is more than any call can use. What is above is no count, and would
// spoil every sum.
const maxTokens = 1 << 40

// ParseTokens reads a provider's usage object: as in OpenAI's chat completions
// (prompt_tokens, completion_tokens and their details), in OpenAI's responses
// (input_tokens, output_tokens and their details) or in Anthropic's messages
// (input_tokens without what was cached, cache_read_input_tokens,
// cache_creation_input_tokens, output_tokens). ok is false unless both input and
// output are counts; a part that is larger than its whole is cut to it.
//
// Anthropic's streams report usage in parts: input and cache when they begin,
// output at the end. Both objects may be given, with envoy.UsageSeparator between;
// what only the first one has is taken from there.
//
// A stream that is cut off may have reported the first part alone; see
// partial.
func ParseTokens(object string) (t Tokens, ok bool) {
	first, last, two := strings.Cut(object, envoy.UsageSeparator)
	if !two {
		first, last = "", object
	}
	if !isObject(last) || two && !isObject(first) {
		return Tokens{}, false
	}
	u := parts{gjson.Parse(last), gjson.Parse(first)}
	if prompt := u.Get("prompt_tokens"); prompt.Exists() {
		t.Prompt = count(prompt)
		t.Completion = optional(u.Get("completion_tokens")) // embeddings have none
		t.Cached = optional(u.Get("prompt_tokens_details.cached_tokens"))
		t.Reasoning = optional(u.Get("completion_tokens_details.reasoning_tokens"))
	} else {
		t.Prompt = count(u.Get("input_tokens"))
		t.Completion = count(u.Get("output_tokens"))
		t.Cached = optional(u.Get("input_tokens_details.cached_tokens"))
		t.Reasoning = optional(u.Get("output_tokens_details.reasoning_tokens"))
		read, written := optional(u.Get("cache_read_input_tokens")), optional(u.Get("cache_creation_input_tokens"))
		if t.Prompt >= 0 && read >= 0 && written >= 0 {
			t.Prompt += read + written
			t.Cached += read
		}
	}
	if t.Prompt < 0 || t.Completion < 0 {
		return Tokens{}, false
	}
	t.Cached = min(max(t.Cached, 0), t.Prompt)
	t.Reasoning = min(max(t.Reasoning, 0), t.Completion)
	return t, true
}

// partial reports whether object is what an Anthropic stream begins with, whose
// output is not known yet, rather than what other streams end with. Anthropic's
// usage alone has no total.
func partial(object string) bool {
	return !strings.Contains(object, envoy.UsageSeparator) &&
		strings.Contains(object, `"input_tokens"`) && !strings.Contains(object, `"total_tokens"`)
}

func isObject(text string) bool { return gjson.Valid(text) && gjson.Parse(text).IsObject() }

// parts are usage objects, of which the first to have a member counts.
type parts [2]gjson.Result

// Get returns the member at path.
func (p *parts) Get(path string) gjson.Result {
	if r := p[0].Get(path); r.Exists() {
		return r
	}
	return p[1].Get(path)
}

// count is a whole number from 0 to maxTokens, else -1.
func count(r gjson.Result) int64 {
	if r.Type != gjson.Number || r.Num < 0 || r.Num > maxTokens || r.Num != math.Trunc(r.Num) {
		return -1
	}
	return int64(r.Num)
}

// optional is count, but 0 for what is absent or null.
func optional(r gjson.Result) int64 {
	if r.Type == gjson.Null {
		return 0
	}
	return count(r)
}
