package usage_test

import (
	"testing"

	"wye/usage"
)

func TestParseTokens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, object string
		want         usage.Tokens
		bad          bool
	}{
		{
			name:   "chat completions",
			object: `{"prompt_tokens":11,"completion_tokens":22,"total_tokens":33,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":7}}`,
			want:   usage.Tokens{Prompt: 11, Cached: 5, Completion: 22, Reasoning: 7},
		},
		{name: "no details", object: `{"prompt_tokens":11,"completion_tokens":22}`, want: usage.Tokens{Prompt: 11, Completion: 22}},
		{name: "null details", object: `{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}`, want: usage.Tokens{Prompt: 1, Completion: 2}},
		{name: "embeddings", object: `{"prompt_tokens":8,"total_tokens":8}`, want: usage.Tokens{Prompt: 8}},
		{name: "as floats", object: `{"prompt_tokens":11.0,"completion_tokens":2.2e1}`, want: usage.Tokens{Prompt: 11, Completion: 22}},
		{
			name:   "responses",
			object: `{"input_tokens":36,"input_tokens_details":{"cached_tokens":30},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":80},"total_tokens":123}`,
			want:   usage.Tokens{Prompt: 36, Cached: 30, Completion: 87, Reasoning: 80},
		},
		{
			name:   "messages",
			object: `{"input_tokens":10,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":5}`,
			want:   usage.Tokens{Prompt: 1110, Cached: 1000, Completion: 5},
		},
		{
			name:   "messages, in two events",
			object: `{"input_tokens":10,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":1}` + "\x1e" + `{"output_tokens":5}`,
			want:   usage.Tokens{Prompt: 1110, Cached: 1000, Completion: 5},
		},
		{
			name:   "messages, the last event wins",
			object: `{"input_tokens":10,"output_tokens":1}` + "\x1e" + `{"input_tokens":11,"cache_read_input_tokens":2,"output_tokens":5}`,
			want:   usage.Tokens{Prompt: 13, Cached: 2, Completion: 5},
		},
		{name: "only output", object: `{"output_tokens":5}`, bad: true},
		{name: "one of two is cut off", object: `{"input_tokens":10` + "\x1e" + `{"output_tokens":5}`, bad: true},
		{name: "nothing before the separator", object: "\x1e" + `{"input_tokens":10,"output_tokens":5}`, bad: true},
		{name: "parts above the whole", object: `{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":9},"completion_tokens_details":{"reasoning_tokens":9}}`, want: usage.Tokens{Prompt: 1, Cached: 1, Completion: 2, Reasoning: 2}},
		{name: "bad parts count for nothing", object: `{"prompt_tokens":1,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":-9}}`, want: usage.Tokens{Prompt: 1, Completion: 2}},
		{name: "negative", object: `{"prompt_tokens":-1,"completion_tokens":2}`, bad: true},
		{name: "fraction", object: `{"prompt_tokens":1.5,"completion_tokens":2}`, bad: true},
		{name: "text", object: `{"prompt_tokens":"1","completion_tokens":2}`, bad: true},
		{name: "beyond any call", object: `{"prompt_tokens":1e300,"completion_tokens":2}`, bad: true},
		{name: "only a part", object: `{"prompt_tokens_details":{"cached_tokens":5}}`, bad: true},
		{name: "cut off", object: `{"prompt_tokens":1,"completion`, bad: true},
		{name: "a list", object: `[1]`, bad: true},
		{name: "empty", object: ``, bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := usage.ParseTokens(tt.object)
			if ok == tt.bad || got != tt.want {
				t.Errorf("%+v, %t", got, ok)
			}
		})
	}
}

// Whatever a provider writes, the counts make sense.
func FuzzParseTokens(f *testing.F) {
	f.Add(`{"prompt_tokens":11,"completion_tokens":22,"prompt_tokens_details":{"cached_tokens":5}}`)
	f.Add(`{"input_tokens":10,"cache_creation_input_tokens":1e12,"cache_read_input_tokens":1000,"output_tokens":5}`)
	f.Fuzz(func(t *testing.T, object string) {
		u, ok := usage.ParseTokens(object)
		if !ok && u != (usage.Tokens{}) {
			t.Errorf("refused, and yet %+v", u)
		}
		if u.Cached < 0 || u.Cached > u.Prompt || u.Reasoning < 0 || u.Reasoning > u.Completion || u.Prompt > 1<<42 || u.Completion > 1<<42 {
			t.Errorf("%+v", u)
		}
	})
}
