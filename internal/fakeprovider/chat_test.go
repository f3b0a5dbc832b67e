package fakeprovider_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"wye/internal/fakeprovider"
)

// tool has a schema of every kind.
const tools = `"tools":[{"type":"function","function":{"name":"other"}},{"type":"function","function":{"name":"book","parameters":{"type":"object","properties":{
	"place":{"type":"string"},"seats":{"type":"integer","minimum":2},"price":{"type":"number"},"now":{"type":"boolean"},"none":{"type":"null"},
	"days":{"type":"array","items":{"enum":["mon","tue"]}},"class":{"const":"second"},"extra":{"anyOf":[{"type":"string"},{"type":"null"}]},"note":{"type":["string","null"]}}}}}]`

// booking is the instance of the schema in tools.
const booking = `{"place":"sample","seats":2,"price":1,"now":true,"none":null,"days":["mon"],"class":"second","extra":"sample","note":"sample"}`

// get posts a request for model m with further fields, and returns the answer.
func get(t *testing.T, s *fakeprovider.Server, fields string) gjson.Result {
	t.Helper()
	status, _, answer := post(t, s, `{"model":"m",`+hi+fields+`}`)
	if status != 200 || !gjson.Valid(answer) {
		t.Fatalf("status %d: %s", status, answer)
	}
	return gjson.Parse(answer)
}

func TestWhole(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{ServedAs: "m-2026-01-01", Tokens: 40})
	a := get(t, s, "")
	if a.Get("model").String() != "m-2026-01-01" || a.Get("object").String() != "chat.completion" {
		t.Errorf("answer %s", a.Raw)
	}
	choice, usage := a.Get("choices.0"), a.Get("usage")
	words := int64(len(strings.Fields(choice.Get("message.content").String())))
	if n := usage.Get("completion_tokens").Int(); n != words || n < 20 || n > 80 || choice.Get("finish_reason").String() != "stop" {
		t.Errorf("%d words, usage %s", words, usage.Raw)
	}
	if usage.Get("total_tokens").Int() != usage.Get("prompt_tokens").Int()+words || usage.Get("prompt_tokens").Int() < 5 {
		t.Errorf("usage %s", usage.Raw)
	}
	if usage.Get("completion_tokens_details.reasoning_tokens").Int() != 0 {
		t.Errorf("a model that does not reason: %s", usage.Raw)
	}
	if again := get(t, s, ""); again.Raw != a.Raw {
		t.Error("the same prompt got another answer")
	}
	if n := get(t, s, `,"n":3`).Get("choices.#").Int(); n != 3 {
		t.Errorf("%d choices", n)
	}
	short := get(t, s, `,"max_tokens":3`)
	if short.Get("usage.completion_tokens").Int() != 3 || short.Get("choices.0.finish_reason").String() != "length" {
		t.Errorf("with a cap of 3: %s", short.Raw)
	}
	stats := s.Stats()
	if stats.Requests != 4 || stats.Answered != 4 || stats.CompletionTokens != 2*words+a.Get("usage.completion_tokens").Int()*3+3 {
		t.Errorf("stats %+v", stats)
	}
}

func TestReasoning(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{Reasoning: true})
	thought := func(fields string) (reasoning, completion int64, a gjson.Result) {
		a = get(t, s, fields)
		return a.Get("usage.completion_tokens_details.reasoning_tokens").Int(), a.Get("usage.completion_tokens").Int(), a
	}
	low, _, _ := thought(`,"reasoning_effort":"low"`)
	medium, completion, _ := thought("")
	high, _, _ := thought(`,"reasoning_effort":"high"`)
	if low <= 0 || medium <= low || high <= medium || completion <= medium {
		t.Errorf("reasoning tokens %d, %d, %d, completion %d", low, medium, high, completion)
	}
	if none, _, _ := thought(`,"reasoning_effort":"none"`); none != 0 {
		t.Errorf("%d reasoning tokens without effort", none)
	}
	reasoning, completion, a := thought(`,"max_completion_tokens":5`)
	if reasoning != 5 || completion != 5 || a.Get("choices.0.message.content").String() != "" || a.Get("choices.0.finish_reason").String() != "length" {
		t.Errorf("a cap that thinking uses up: %s", a.Raw)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	plain := start(t, fakeprovider.Config{Refuse: []string{"seed"}})
	reasoning := start(t, fakeprovider.Config{Reasoning: true})
	keyed := start(t, fakeprovider.Config{Key: "k"})
	with := func(field string) string { return `{"model":"m",` + hi + `,` + field + `}` }
	for _, tt := range []struct {
		name        string
		s           *fakeprovider.Server
		body        string
		status      int
		code, param string
	}{
		{"not JSON", plain, `{`, 400, "", ""},
		{"no messages", plain, `{"model":"m"}`, 400, "empty_array", "messages"},
		{"empty messages", plain, `{"model":"m","messages":[]}`, 400, "empty_array", "messages"},
		{"wrong model", plain, `{"model":"auto",` + hi + `}`, 404, "model_not_found", ""},
		{"cap of zero", plain, with(`"max_tokens":0`), 400, "integer_below_min_value", "max_tokens"},
		{"nine choices", plain, with(`"n":9`), 400, "invalid_value", "n"},
		{"refused by configuration", plain, with(`"seed":1`), 400, "unsupported_parameter", "seed"},
		{"temperature", reasoning, with(`"temperature":0.5`), 400, "unsupported_value", "temperature"},
		{"top_p", reasoning, with(`"top_p":0.5`), 400, "unsupported_value", "top_p"},
		{"stop", reasoning, with(`"stop":"x"`), 400, "unsupported_parameter", "stop"},
		{"presence_penalty", reasoning, with(`"presence_penalty":1`), 400, "unsupported_parameter", "presence_penalty"},
		{"frequency_penalty", reasoning, with(`"frequency_penalty":1`), 400, "unsupported_parameter", "frequency_penalty"},
		{"logit_bias", reasoning, with(`"logit_bias":{}`), 400, "unsupported_parameter", "logit_bias"},
		{"logprobs", reasoning, with(`"logprobs":true`), 400, "unsupported_parameter", "logprobs"},
		{"top_logprobs", reasoning, with(`"top_logprobs":2`), 400, "unsupported_parameter", "top_logprobs"},
		{"max_tokens", reasoning, with(`"max_tokens":5`), 400, "unsupported_parameter", "max_tokens"},
		{"no key", keyed, with(`"n":1`), 401, "invalid_api_key", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, _, answer := post(t, tt.s, tt.body)
			e := gjson.Get(answer, "error")
			if status != tt.status || e.Get("code").String() != tt.code || e.Get("param").String() != tt.param {
				t.Errorf("status %d: %s", status, answer)
			}
			if e.Get("message").String() == "" || e.Get("type").String() == "" || !e.Get("param").Exists() || !e.Get("code").Exists() {
				t.Errorf("not OpenAI's shape: %s", answer)
			}
		})
	}
	for _, accepted := range []string{`"temperature":1`, `"top_p":1`, `"logprobs":false`, `"stop":null`, `"max_completion_tokens":50`} {
		if status, _, answer := post(t, reasoning, with(accepted)); status != 200 {
			t.Errorf("%s: status %d: %s", accepted, status, answer)
		}
	}
	if status, _, answer := post(t, plain, with(`"temperature":0.5,"stop":"x","max_tokens":5`)); status != 200 {
		t.Errorf("a model that does not reason: %d %s", status, answer)
	}
	if status, _, answer := post(t, keyed, with(`"n":1`), "Authorization", "Bearer k"); status != 200 {
		t.Errorf("the right key: %d %s", status, answer)
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{})
	post(t, s, `{"model":"auto",`+hi+`}`)
	post(t, s, `{`)
	if got := s.Stats(); got.Requests != 2 || got.WrongModel != 1 || got.Refused != 1 || got.Answered != 0 {
		t.Errorf("stats %+v", got)
	}
}

func TestToolCall(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{})
	for choice, want := range map[string]struct{ name, arguments string }{
		`"required"`: {"other", "{}"},
		`{"type":"function","function":{"name":"book"}}`: {"book", booking},
	} {
		a := get(t, s, `,"tool_choice":`+choice+`,`+tools).Get("choices.0")
		call := a.Get("message.tool_calls.0")
		if call.Get("function.name").String() != want.name || call.Get("function.arguments").String() != want.arguments {
			t.Errorf("%s: call %s", choice, call.Raw)
		}
		if a.Get("finish_reason").String() != "tool_calls" || a.Get("message.content").Type != gjson.Null || call.Get("id").String() == "" {
			t.Errorf("%s: choice %s", choice, a.Raw)
		}
	}
	if a := get(t, s, `,"tool_choice":"auto",`+tools); a.Get("choices.0.message.tool_calls").Exists() {
		t.Errorf("a call that nobody required: %s", a.Raw)
	}
}

func TestStructuredOutput(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{})
	const format = `,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"}}}}}}`
	if got := get(t, s, format).Get("choices.0.message.content").String(); got != `{"a":[1]}` {
		t.Errorf("content %s", got)
	}
	if got := get(t, s, `,"response_format":{"type":"json_object"}`).Get("choices.0.message.content").String(); got != `{}` {
		t.Errorf("content %s", got)
	}
	if got := get(t, s, format+`,"max_tokens":1`).Get("choices.0"); got.Get("message.content").String() != `{"a"` || got.Get("finish_reason").String() != "length" {
		t.Errorf("with a cap: %s", got.Raw)
	}
	deep := strings.Repeat(`{"type":"array","items":`, 50) + `{}` + strings.Repeat(`}`, 50)
	if got := get(t, s, `,"response_format":{"type":"json_schema","json_schema":{"schema":`+deep+`}}`).Get("choices.0.message.content").String(); !gjson.Valid(got) {
		t.Errorf("content %s", got)
	}
}

func TestPromptCache(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{})
	cached := func(prompt string) (cached, prompted int64) {
		status, _, answer := post(t, s, fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":%q}]}]}`, prompt))
		if status != 200 {
			t.Fatal(answer)
		}
		return gjson.Get(answer, "usage.prompt_tokens_details.cached_tokens").Int(), gjson.Get(answer, "usage.prompt_tokens").Int()
	}
	long := strings.Repeat("0123456789abcdef", 1024) // 4,096 tokens
	if n, _ := cached(long); n != 0 {
		t.Errorf("%d cached tokens at first sight", n)
	}
	if n, of := cached(long); n != 4096 || of < n {
		t.Errorf("%d cached tokens of %d at second sight", n, of)
	}
	if n, _ := cached(long + " and more"); n != 4096 {
		t.Errorf("%d cached tokens of a longer prompt", n)
	}
	if n, _ := cached(long[:8192] + "x" + long[8192:]); n != 2048 {
		t.Errorf("%d cached tokens of a prompt that differs from the middle on", n)
	}
	if n, _ := cached("x" + long); n != 0 {
		t.Errorf("%d cached tokens of a prompt that differs from the start on", n)
	}
	cached("short")
	if n, _ := cached("short"); n != 0 {
		t.Errorf("%d cached tokens of a short prompt", n)
	}
	if got := s.Stats().CachedTokens; got != 4096+4096+2048 {
		t.Errorf("stats count %d cached tokens", got)
	}
}

func TestLatency(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{FirstToken: 60 * time.Millisecond, TokenInterval: 10 * time.Millisecond})
	began := time.Now()
	get(t, s, `,"max_tokens":4`)
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("the answer took %v", took)
	}
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{})
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v1/chat/completions", 405, "POST"},
		{"POST", "/v1/nothing", 404, ""},
		{"POST", "/openai/deployments/x/chat/completions?api-version=1", 200, ""},
	} {
		status, header, answer := send(t, s, tt.method, tt.path, `{"model":"m",`+hi+`}`)
		if status != tt.status || header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, status, answer)
		}
	}
}
