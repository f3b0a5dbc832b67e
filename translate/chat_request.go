package translate

import (
	"github.com/tidwall/gjson"
)

// chat is a chat completions request on its way to a Messages request: its
// top-level fields, as far as they are more than copied.
type chat struct {
	out
	options Options
	Request
	system                         []gjson.Result // texts, with their cache_control
	turn                           turn
	model, messages                gjson.Result
	tools, choice                  gjson.Result
	format, effort, stop           gjson.Result
	maxTokens, maxCompletionTokens gjson.Result
	temperature, topP, topK        gjson.Result
	thinking, user, safety         gjson.Result
	serial                         bool // parallel_tool_calls is false
}

// AppendMessagesRequest appends the Messages request that means the chat
// completions request body. body is one JSON object; an error is an *Unable.
func AppendMessagesRequest(dst, body []byte, options Options) ([]byte, Request, error) {
	c := chat{out: out{b: dst}, options: options}
	if err := each(gjson.ParseBytes(body), c.field); err != nil {
		return dst, Request{}, err
	}
	start := len(dst)
	c.b = append(c.b, '{')
	if err := c.write(); err != nil {
		return dst[:start], Request{}, err
	}
	c.shut('}')
	return c.b, c.Request, nil
}

// field takes one top-level field.
func (c *chat) field(name string, v gjson.Result) error {
	if isNull(v) {
		return nil
	}
	switch name {
	case "model":
		c.model = v
	case "messages":
		c.messages = v
	case "tools":
		c.tools = v
	case "tool_choice":
		c.choice = v
	case "parallel_tool_calls":
		c.serial = v.Type == gjson.False
	case "response_format":
		c.format = v
	case "reasoning_effort":
		c.effort = v
	case "stop":
		c.stop = v
	case "max_tokens":
		c.maxTokens = v
	case "max_completion_tokens":
		c.maxCompletionTokens = v
	case "temperature":
		c.temperature = v
	case "top_p":
		c.topP = v
	case "stream":
		c.Stream = v.Bool()
	case "stream_options":
		c.Usage = v.Get("include_usage").Bool()
	case "user":
		c.user = v
	case "safety_identifier":
		c.safety = v
	case "routing_config": // for the router
	case "top_k": // Anthropic's own, which clients of its API for OpenAI's send
		c.topK = v
	case "thinking":
		c.thinking = v
	default:
		return c.other(name, v)
	}
	return nil
}

// other takes a field that has no counterpart. It can be left out if the answer
// is still what the client asked for, if perhaps a less welcome one.
func (c *chat) other(name string, v gjson.Result) error {
	switch name {
	case "n":
		if v.Int() != 1 {
			return unable("n above 1")
		}
		return nil
	case "modalities":
		for _, m := range v.Array() {
			if m.Str != "text" {
				return unable("modalities other than text")
			}
		}
		return nil
	case "functions", "function_call", "web_search_options":
		return unable("%s", name)
	case "audio":
		return unable("audio")
	case "logprobs", "store":
		if v.Type == gjson.False {
			return nil // as if it were not there
		}
	}
	c.Dropped = append(c.Dropped, name)
	return nil
}

// write writes the members of the request.
func (c *chat) write() error {
	c.member("model", c.model.Raw)
	limit := c.options.maxTokens()
	for _, v := range []gjson.Result{c.maxTokens, c.maxCompletionTokens} {
		if v.Type == gjson.Number {
			limit = v.Int()
		}
	}
	hasTools, err := c.writeTools()
	if err != nil {
		return err
	}
	if err := c.writeChoice(hasTools); err != nil {
		return err
	}
	if err := c.writeMessages(); err != nil {
		return err
	}
	if err := c.writeConfig(); err != nil {
		return err
	}
	if err := c.writeStop(); err != nil {
		return err
	}
	thinks := c.writeThinking(limit)
	c.number("max_tokens", limit)
	c.writeSampling(thinks)
	if c.user.Type != gjson.String {
		c.user = c.safety
	} else if c.safety.Exists() {
		c.Dropped = append(c.Dropped, "safety_identifier")
	}
	if c.user.Type == gjson.String && c.user.Str != "" {
		c.name("metadata")
		c.open('{')
		c.member("user_id", c.user.Raw)
		c.shut('}')
	}
	if c.Stream {
		c.member("stream", "true")
	}
	return nil
}

// writeSampling writes what steers the choice of tokens. A model that thinks takes
// none of it, and newer models take one of temperature and top_p.
func (c *chat) writeSampling(thinks bool) {
	temperature, topP := c.temperature.Type == gjson.Number, c.topP.Type == gjson.Number
	switch {
	case !temperature:
	case thinks:
		if c.temperature.Num != 1 {
			c.Dropped = append(c.Dropped, "temperature")
		}
	case c.temperature.Num > 1: // OpenAI's end at 2
		c.member("temperature", "1")
	case c.temperature.Num < 0:
		c.member("temperature", "0")
	default:
		c.member("temperature", c.temperature.Raw)
	}
	switch {
	case !topP || c.topP.Num == 1 && (temperature || thinks):
	case temperature || thinks:
		c.Dropped = append(c.Dropped, "top_p")
	default:
		c.member("top_p", c.topP.Raw)
	}
	switch {
	case c.topK.Type != gjson.Number:
	case thinks:
		c.Dropped = append(c.Dropped, "top_k")
	default:
		c.member("top_k", c.topK.Raw)
	}
}

// minThinking is the least that Anthropic's API takes as a budget, in tokens.
const minThinking = 1024

// writeThinking writes how much the model may think and reports whether it does.
// Not where a tool must be called, which thinking excludes, and not amid a
// sequence of tool calls: the thoughts that go before the calls would have to be
// there, and chat completions have no place for them.
func (c *chat) writeThinking(limit int64) bool {
	if c.thinking.IsObject() {
		c.member("thinking", c.thinking.Raw)
		return c.thinking.Get("type").Str != "disabled"
	}
	forced := c.choice.Str == "required" || c.choice.IsObject()
	switch {
	case c.effort.Type != gjson.String:
		return false
	case c.options.Effort && c.effort.Str == "none":
		c.member("thinking", `{"type":"disabled"}`)
		return false
	case c.options.Effort && forced:
		return false
	case c.options.Effort:
		c.member("thinking", `{"type":"adaptive"}`)
		return true
	}
	tokens, known := c.options.Thinking[c.effort.Str]
	if !known {
		c.Dropped = append(c.Dropped, "reasoning_effort")
		return false
	}
	budget := int64(tokens)
	if budget >= limit {
		budget = limit / 2
	}
	if budget < minThinking || c.turn.results || forced {
		return false
	}
	c.name("thinking")
	c.open('{')
	c.text("type", "enabled")
	c.number("budget_tokens", budget)
	c.shut('}')
	return true
}

// writeConfig writes the schema that the answer must have, and the effort of a
// model that knows efforts.
func (c *chat) writeConfig() error {
	schema, effort := "", ""
	switch kind := c.format.Get("type").Str; kind {
	case "", "text":
	case "json_schema":
		v := c.format.Get("json_schema.schema")
		if !v.IsObject() {
			return unable("a json_schema without a schema")
		}
		schema = v.Raw
	default:
		return unable("response_format %.32q", kind)
	}
	if c.options.Effort && c.effort.Type == gjson.String && c.effort.Str != "none" {
		effort = c.effort.Str
		if effort == "minimal" { // Anthropic's least is low
			effort = "low"
		}
	}
	if schema == "" && effort == "" {
		return nil
	}
	c.name("output_config")
	c.open('{')
	if effort != "" {
		c.text("effort", effort)
	}
	if schema != "" {
		c.name("format")
		c.open('{')
		c.text("type", "json_schema")
		c.member("schema", schema)
		c.shut('}')
	}
	c.shut('}')
	return nil
}

// writeStop writes the stop sequences. Anthropic's API refuses those of white
// space alone.
func (c *chat) writeStop() error {
	if !c.stop.Exists() {
		return nil
	}
	stops := []gjson.Result{c.stop}
	if c.stop.IsArray() {
		stops = c.stop.Array()
	}
	if len(stops) == 0 {
		return nil
	}
	c.name("stop_sequences")
	c.open('[')
	for _, s := range stops {
		if s.Type != gjson.String || isBlank(s) {
			return unable("a stop sequence of white space")
		}
		c.raw(s.Raw)
	}
	c.shut(']')
	return nil
}
