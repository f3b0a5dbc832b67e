package translate

import (
	"slices"

	"github.com/tidwall/gjson"
)

// writeTools writes the declared tools, and which may or must be called.
func (m *messages) writeTools() error {
	if len(m.tools.Array()) == 0 {
		return nil
	}
	m.name("tools")
	m.open('[')
	err := each(m.tools, func(_ string, tool gjson.Result) error {
		if kind := tool.Get("type").Str; kind != "" && kind != "custom" {
			return unable("a tool of type %.32q", kind)
		}
		m.open('{')
		m.text("type", "function")
		m.name("function")
		m.open('{')
		m.member("name", quoted(tool.Get("name")))
		if d := tool.Get("description"); d.Type == gjson.String {
			m.member("description", d.Raw)
		}
		if s := tool.Get("input_schema"); s.IsObject() {
			m.member("parameters", s.Raw)
		}
		m.shut('}')
		m.shut('}')
		return nil
	})
	if err != nil {
		return err
	}
	m.shut(']')
	switch kind := m.choice.Get("type").Str; kind {
	case "":
	case "auto", "none":
		m.text("tool_choice", kind)
	case "any":
		m.text("tool_choice", "required")
	case "tool":
		m.name("tool_choice")
		m.open('{')
		m.text("type", "function")
		m.name("function")
		m.open('{')
		m.member("name", quoted(m.choice.Get("name")))
		m.shut('}')
		m.shut('}')
	default:
		return unable("this tool_choice")
	}
	if m.choice.Get("disable_parallel_tool_use").Bool() {
		m.member("parallel_tool_calls", "false")
	}
	return nil
}

// writeEffort writes how much the model is to think: an effort that the client
// names and the model has, or else the one whose budget is next to the client's.
func (m *messages) writeEffort() {
	effort := ""
	if m.effort.Type == gjson.String {
		if _, ok := m.options.Thinking[m.effort.Str]; ok || m.options.Effort {
			effort = m.effort.Str
		} else {
			m.Dropped = append(m.Dropped, "output_config.effort")
		}
	}
	kind := m.thinking.Get("type").Str
	switch {
	case effort != "" || kind == "" || kind == "adaptive":
	case kind == "disabled" && m.options.Effort:
		effort = "none"
	case kind == "disabled":
		effort = m.options.effort(0)
		if m.options.Thinking[effort] > 0 {
			effort = "" // the model cannot but think
		}
	default:
		if effort = m.options.effort(int(m.thinking.Get("budget_tokens").Int())); effort == "" {
			m.Dropped = append(m.Dropped, "thinking")
		}
	}
	if effort != "" {
		m.text("reasoning_effort", effort)
	}
}

// effort is the least effort with budget tokens or more, or the greatest if none
// has; empty: there is none.
func (o *Options) effort(budget int) string {
	efforts := make([]string, 0, len(o.Thinking))
	for e := range o.Thinking {
		efforts = append(efforts, e)
	}
	if len(efforts) == 0 {
		return ""
	}
	slices.SortFunc(efforts, func(a, b string) int {
		if d := o.Thinking[a] - o.Thinking[b]; d != 0 {
			return d
		}
		return len(a) - len(b)
	})
	for _, e := range efforts {
		if o.Thinking[e] >= budget {
			return e
		}
	}
	return efforts[len(efforts)-1]
}

// writeFormat writes the schema that the answer must have. OpenAI's API holds a
// model to it strictly only if it leaves nothing open.
func (m *messages) writeFormat() error {
	if !m.format.Exists() {
		return nil
	}
	schema := m.format.Get("schema")
	if kind := m.format.Get("type").Str; kind != "json_schema" || !schema.IsObject() {
		return unable("an output format of type %.32q", kind)
	}
	m.name("response_format")
	m.open('{')
	m.text("type", "json_schema")
	m.name("json_schema")
	m.open('{')
	m.text("name", "answer")
	m.member("schema", schema.Raw)
	if closed(schema, 0) {
		m.member("strict", "true")
	}
	m.shut('}')
	m.shut('}')
	return nil
}

// maxSchemaDepth bounds closed, which takes a deeper schema for an open one.
const maxSchemaDepth = 64

// closed reports whether every object of a schema has all its properties and no
// others, as OpenAI's strict mode wants.
func closed(schema gjson.Result, depth int) bool {
	if depth > maxSchemaDepth {
		return false
	}
	if !schema.IsObject() {
		return true
	}
	ok := true
	inside := func(v gjson.Result) {
		v.ForEach(func(_, s gjson.Result) bool {
			ok = closed(s, depth+1)
			return ok
		})
	}
	if properties := schema.Get("properties"); properties.Exists() || schema.Get("type").Str == "object" {
		if schema.Get("additionalProperties").Type != gjson.False {
			return false
		}
		var required []string
		for _, name := range schema.Get("required").Array() {
			required = append(required, name.Str)
		}
		properties.ForEach(func(name, _ gjson.Result) bool {
			ok = slices.Contains(required, name.Str)
			return ok
		})
		if !ok {
			return false
		}
		inside(properties)
	}
	for _, nested := range []string{"anyOf", "$defs", "definitions"} {
		if ok {
			inside(schema.Get(gjson.Escape(nested)))
		}
	}
	return ok && closed(schema.Get("items"), depth+1)
}
