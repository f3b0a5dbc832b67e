package translate

import (
	"strings"

	"github.com/tidwall/gjson"
)

// turn is the message that is being written: messages of one side that follow one
// another are one, so that the results of a message's tool calls are together.
type turn struct {
	role    string // empty: none yet
	results bool   // it has a tool's result
}

// writeMessages writes the system prompt and the conversation.
func (c *chat) writeMessages() error {
	c.name("messages")
	c.open('[')
	if err := each(c.messages, func(_ string, m gjson.Result) error { return c.message(m) }); err != nil {
		return err
	}
	if c.turn.role == "" {
		return unable("a conversation without a message of the user's")
	}
	if c.turn.role != "user" {
		// Models that take one go on with such an answer, where those of chat
		// completions begin another.
		return unable("a conversation that ends with the assistant")
	}
	c.endTurn()
	c.shut(']')
	if len(c.system) == 0 {
		return nil
	}
	// Instructions may come later in a chat, but here they have one place.
	c.name("system")
	c.open('[')
	for _, part := range c.system {
		c.textBlock(part)
	}
	c.shut(']')
	return nil
}

// message writes one message of the chat.
func (c *chat) message(m gjson.Result) error {
	content := m.Get("content")
	switch role := m.Get("role").Str; role {
	case "system", "developer":
		return c.takeSystem(content)
	case "user":
		return c.userContent(content)
	case "assistant":
		return c.assistant(m, content)
	case "tool":
		return c.toolResult(m, content)
	default:
		return unable("a message of role %.32q", role)
	}
}

// takeSystem keeps the texts of a system message for the system prompt.
func (c *chat) takeSystem(content gjson.Result) error {
	if content.Type == gjson.String {
		if !isBlank(content) {
			c.system = append(c.system, content)
		}
		return nil
	}
	return each(content, func(_ string, part gjson.Result) error {
		text := part.Get("text")
		if part.Get("type").Str != "text" || text.Type != gjson.String {
			return unable("a system message that is no text")
		}
		if !isBlank(text) {
			c.system = append(c.system, part)
		}
		return nil
	})
}

// speak makes role's message the one that is being written.
func (c *chat) speak(role string) error {
	if c.turn.role == role {
		return nil
	}
	if c.turn.role == "" && role != "user" {
		return unable("a conversation that the user did not begin")
	}
	c.endTurn()
	c.turn = turn{role: role}
	c.open('{')
	c.text("role", role)
	c.name("content")
	c.open('[')
	return nil
}

func (c *chat) endTurn() {
	if c.turn.role != "" {
		c.shut(']')
		c.shut('}')
	}
}

// textBlock writes a text: a JSON string, or a part that has one. What says that
// the prompt may be cached up to here, which is no part of OpenAI's API but sent
// by clients for Anthropic's models, stays with it.
func (c *chat) textBlock(part gjson.Result) {
	text := part
	if part.IsObject() {
		text = part.Get("text")
	}
	c.open('{')
	c.text("type", "text")
	c.member("text", text.Raw)
	c.cacheControl(part)
	c.shut('}')
}

func (c *chat) cacheControl(part gjson.Result) {
	if !part.IsObject() {
		return
	}
	if v := part.Get("cache_control"); v.IsObject() {
		c.member("cache_control", v.Raw)
	}
}

// userContent writes what the user says. Texts without content are left out, as
// Anthropic's API refuses them.
func (c *chat) userContent(content gjson.Result) error {
	if content.Type == gjson.String {
		if isBlank(content) {
			return nil
		}
		if err := c.speak("user"); err != nil {
			return err
		}
		c.textBlock(content)
		return nil
	}
	return each(content, func(_ string, part gjson.Result) error {
		if text := part.Get("text"); part.Get("type").Str == "text" && (text.Type != gjson.String || isBlank(text)) {
			return nil
		}
		if err := c.speak("user"); err != nil {
			return err
		}
		return c.part(part)
	})
}

// part writes one content part.
func (c *chat) part(part gjson.Result) error {
	switch kind := part.Get("type").Str; kind {
	case "text":
		if text := part.Get("text"); text.Type == gjson.String && !isBlank(text) {
			c.textBlock(part)
		}
		return nil
	case "image_url":
		url := part.Get("image_url.url")
		if url.Type != gjson.String {
			url = part.Get("image_url") // as some clients write it
		}
		c.open('{')
		c.text("type", "image")
		if err := c.source(url, "an image"); err != nil {
			return err
		}
		c.cacheControl(part)
		c.shut('}')
		return nil
	case "file":
		data := part.Get("file.file_data")
		if data.Type != gjson.String {
			return unable("a file that is known by its id")
		}
		c.open('{')
		c.text("type", "document")
		if err := c.source(data, "a file"); err != nil {
			return err
		}
		if name := part.Get("file.filename"); name.Type == gjson.String && name.Str != "" {
			c.member("title", name.Raw)
		}
		c.cacheControl(part)
		c.shut('}')
		return nil
	default:
		return unable("content of type %.32q", kind)
	}
}

// source writes where an image or a file is: in a data URL, or on the web.
func (c *chat) source(url gjson.Result, what string) error {
	text := url.String()
	c.name("source")
	c.open('{')
	defer c.shut('}')
	if rest, ok := strings.CutPrefix(text, "data:"); ok {
		kind, data, ok := strings.Cut(rest, ",")
		kind, encoded := strings.CutSuffix(kind, ";base64")
		kind, _, _ = strings.Cut(kind, ";")
		if !ok || !encoded || kind == "" {
			return unable("%s in a data URL that is not base64", what)
		}
		c.text("type", "base64")
		c.text("media_type", kind)
		c.text("data", data)
		return nil
	}
	if !strings.HasPrefix(text, "https://") && !strings.HasPrefix(text, "http://") {
		return unable("%s at no web address", what)
	}
	c.text("type", "url")
	c.member("url", url.Raw)
	return nil
}

// assistant writes what the model said and called.
func (c *chat) assistant(m, content gjson.Result) error {
	if v := m.Get("function_call"); !isNull(v) {
		return unable("function_call")
	}
	if v := m.Get("audio"); !isNull(v) {
		return unable("audio")
	}
	texts := []gjson.Result{content, m.Get("refusal")}
	if content.IsArray() {
		texts = texts[1:]
		err := each(content, func(_ string, part gjson.Result) error {
			kind := part.Get("type").Str
			if kind != "text" && kind != "refusal" {
				return unable("an assistant's content of type %.32q", kind)
			}
			texts = append(texts, part.Get(kind))
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, text := range texts {
		if text.Type != gjson.String || isBlank(text) {
			continue
		}
		if err := c.speak("assistant"); err != nil {
			return err
		}
		c.textBlock(text)
	}
	calls := m.Get("tool_calls")
	if isNull(calls) {
		return nil
	}
	return each(calls, func(_ string, call gjson.Result) error {
		if err := c.speak("assistant"); err != nil {
			return err
		}
		return c.toolUse(call)
	})
}

// toolUse writes one call of a tool.
func (c *chat) toolUse(call gjson.Result) error {
	name, arguments := call.Get("function.name"), call.Get("function.arguments")
	if kind := call.Get("type").Str; kind != "function" && kind != "" || name.Type != gjson.String {
		return unable("a call of a tool that is no function")
	}
	input := strings.TrimSpace(arguments.String())
	if input == "" {
		input = "{}"
	}
	if !gjson.Valid(input) || input[0] != '{' {
		return unable("a tool call whose arguments are no JSON object")
	}
	c.open('{')
	c.text("type", "tool_use")
	c.text("id", toolID(call.Get("id").String()))
	c.member("name", name.Raw)
	c.member("input", input)
	c.shut('}')
	return nil
}

// toolResult writes what a tool returned.
func (c *chat) toolResult(m, content gjson.Result) error {
	if err := c.speak("user"); err != nil {
		return err
	}
	c.turn.results = true
	c.open('{')
	c.text("type", "tool_result")
	c.text("tool_use_id", toolID(m.Get("tool_call_id").String()))
	switch {
	case content.IsArray():
		c.name("content")
		c.open('[')
		if err := each(content, func(_ string, part gjson.Result) error { return c.part(part) }); err != nil {
			return err
		}
		c.shut(']')
	case content.Type == gjson.String && content.Str != "":
		c.member("content", content.Raw)
	}
	c.shut('}')
	return nil
}

// toolID makes an id one that Anthropic's API takes, and always the same one: not
// every model gives its calls ids of letters, digits, _ and - alone.
func toolID(id string) string {
	clean := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}
	if id = strings.Map(clean, id); id == "" {
		return "_"
	}
	return id
}

// writeTools writes the declared tools and reports whether there are any.
func (c *chat) writeTools() (some bool, err error) {
	if !c.tools.IsArray() || len(c.tools.Array()) == 0 {
		return false, nil
	}
	c.name("tools")
	c.open('[')
	err = each(c.tools, func(_ string, tool gjson.Result) error {
		if kind := tool.Get("type").Str; kind != "function" {
			return unable("a tool of type %.32q", kind)
		}
		f := tool.Get("function")
		name, description, schema := f.Get("name"), f.Get("description"), f.Get("parameters")
		if name.Type != gjson.String {
			return unable("a function without a name")
		}
		c.open('{')
		c.member("name", name.Raw)
		if description.Type == gjson.String && description.Str != "" {
			c.member("description", description.Raw)
		}
		switch {
		case !schema.IsObject():
			c.member("input_schema", `{"type":"object","properties":{}}`)
		case !schema.Get("type").Exists():
			c.member("input_schema", withType(schema.Raw))
		default:
			c.member("input_schema", schema.Raw)
		}
		c.cacheControl(tool)
		c.shut('}')
		return nil
	})
	c.shut(']')
	return true, err
}

// withType adds the type that Anthropic's API wants every schema of a tool's input
// to have.
func withType(schema string) string {
	rest := strings.TrimLeft(schema[1:], " \t\r\n")
	if rest == "}" {
		return `{"type":"object"}`
	}
	return `{"type":"object",` + rest
}

// writeChoice writes which tools may or must be called.
func (c *chat) writeChoice(hasTools bool) error {
	if !hasTools {
		return nil // and nothing to choose from
	}
	kind, named := "", gjson.Result{}
	switch word := c.choice.Str; {
	case !c.choice.Exists():
	case word == "auto", word == "none":
		kind = word
	case word == "required":
		kind = "any"
	case c.choice.Get("type").Str == "function" && c.choice.Get("function.name").Type == gjson.String:
		kind, named = "tool", c.choice.Get("function.name")
	default:
		return unable("this tool_choice")
	}
	serial := c.serial && kind != "none"
	if kind == "" && !serial {
		return nil
	}
	if kind == "" {
		kind = "auto"
	}
	c.name("tool_choice")
	c.open('{')
	c.text("type", kind)
	if named.Exists() {
		c.member("name", named.Raw)
	}
	if serial {
		c.member("disable_parallel_tool_use", "true")
	}
	c.shut('}')
	return nil
}
