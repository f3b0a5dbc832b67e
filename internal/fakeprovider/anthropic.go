package fakeprovider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// messagesFields lists the request fields that Anthropic's API takes.
var messagesFields = []string{
	"model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "tools", "tool_choice",
	"thinking", "metadata", "service_tier", "container", "context_management", "mcp_servers", "output_config", "output_format",
}

func (s *Server) messagesRefusal(format string, a ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", message: fmt.Sprintf(format, a...)}
}

// parseMessages reads a Messages request as strictly as Anthropic's API does.
func (s *Server) parseMessages(header http.Header, body []byte, count bool) (*request, *refusal) {
	switch {
	case s.config.Key != "" && header.Get("X-Api-Key") != s.config.Key:
		return nil, &refusal{status: http.StatusUnauthorized, kind: "authentication_error", message: "invalid x-api-key"}
	case header.Get("Anthropic-Version") == "":
		return nil, s.messagesRefusal("anthropic-version: header is required")
	case !gjson.ValidBytes(body):
		return nil, s.messagesRefusal("the request body is not valid JSON")
	}
	doc := gjson.ParseBytes(body)
	var no *refusal
	doc.ForEach(func(key, _ gjson.Result) bool {
		if !slices.Contains(messagesFields, key.String()) || count && slices.Contains([]string{"max_tokens", "stream"}, key.String()) {
			no = s.messagesRefusal("%s: Extra inputs are not permitted", key.String())
		}
		return no == nil
	})
	model, limit, messages := doc.Get("model").String(), doc.Get("max_tokens"), doc.Get("messages")
	switch {
	case no != nil:
		return nil, no
	case model != s.config.Model:
		s.stats.wrongModel.Add(1)
		return nil, &refusal{status: http.StatusNotFound, kind: "not_found_error", counted: true, message: "model: " + model}
	case !count && (limit.Type != gjson.Number || limit.Int() < 1):
		return nil, s.messagesRefusal("max_tokens: a positive integer is required")
	case !messages.IsArray() || len(messages.Array()) == 0:
		return nil, s.messagesRefusal("messages: at least one message is required")
	}
	if no := s.checkTurns(messages); no != nil {
		return nil, no
	}
	req := &request{
		messages: messages, stream: doc.Get("stream").Bool(), usage: true, choices: 1, limit: int(limit.Int()),
		tools: doc.Get("tools"), toolChoice: doc.Get("tool_choice"), blocks: true,
	}
	if schema := doc.Get("output_config.format.schema"); schema.Exists() {
		req.format = gjson.Parse(`{"type":"json_schema","json_schema":{"schema":` + schema.Raw + `}}`)
	}
	return req, nil
}

// checkTurns makes sure of the roles, of content, and that every result of a tool
// answers a call of the message before.
func (s *Server) checkTurns(messages gjson.Result) *refusal {
	calls := map[string]bool{}
	for i, m := range messages.Array() {
		role, content := m.Get("role").String(), m.Get("content")
		if role != "user" && role != "assistant" {
			return s.messagesRefusal("messages.%d.role: must be user or assistant", i)
		}
		if content.String() == "" || content.IsArray() && len(content.Array()) == 0 {
			return s.messagesRefusal("messages.%d: content must not be empty", i)
		}
		next := map[string]bool{}
		if content.IsArray() {
			for j, block := range content.Array() {
				at := fmt.Sprintf("messages.%d.content.%d", i, j)
				switch kind := block.Get("type").String(); kind {
				case "text":
					if block.Get("text").String() == "" {
						return s.messagesRefusal("%s: text content blocks must be non-empty", at)
					}
				case "image", "document":
					if !block.Get("source.type").Exists() {
						return s.messagesRefusal("%s.source: field required", at)
					}
				case "tool_use":
					if !block.Get("input").IsObject() || role != "assistant" {
						return s.messagesRefusal("%s: a tool_use needs an object as input, from the assistant", at)
					}
					next[block.Get("id").String()] = true
				case "tool_result":
					if !calls[block.Get("tool_use_id").String()] {
						return s.messagesRefusal("%s: unexpected tool_use_id: %s", at, block.Get("tool_use_id").String())
					}
					delete(calls, block.Get("tool_use_id").String())
				case "thinking", "redacted_thinking":
				default:
					return s.messagesRefusal("%s.type: %q is unknown", at, kind)
				}
			}
		}
		if len(calls) > 0 {
			return s.messagesRefusal("messages.%d: tool_use ids were found without tool_result blocks immediately after", i)
		}
		calls = next
	}
	return nil
}

// calledBlockTool is the tool that a Messages request's tool_choice forces.
func (req *request) calledBlockTool() (name string, schema gjson.Result, ok bool) {
	want := req.toolChoice.Get("name").String()
	if kind := req.toolChoice.Get("type").String(); kind != "tool" && kind != "any" {
		return "", schema, false
	}
	req.tools.ForEach(func(_, t gjson.Result) bool {
		if ok = want == "" || t.Get("name").String() == want; ok {
			name, schema = t.Get("name").String(), t.Get("input_schema")
		}
		return !ok
	})
	return name, schema, ok
}

var stopReasons = map[string]string{"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

// anthropicKind is the type of an error in Anthropic's words.
func anthropicKind(no *refusal) string {
	switch {
	case no.status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case no.status == http.StatusNotFound:
		return "not_found_error"
	case no.kind == "server_error":
		return "api_error"
	}
	return no.kind
}

// object is a JSON object whose members' order means nothing.
type object = map[string]any

func (a *answer) messagesUsage(output int) object {
	return object{
		"input_tokens": a.promptTokens - a.cachedTokens, "cache_read_input_tokens": a.cachedTokens, "cache_creation_input_tokens": 0,
		"output_tokens": output,
	}
}

func (a *answer) messagesStart(content []any, stop any, output int) object {
	return object{
		"id": "msg_" + strings.TrimPrefix(a.id, "chatcmpl-"), "type": "message", "role": "assistant", "model": a.servedAs,
		"content": content, "stop_reason": stop, "stop_sequence": nil, "usage": a.messagesUsage(output),
	}
}

// wholeMessage answers a Messages request in one JSON object.
func (s *Server) wholeMessage(w http.ResponseWriter, r *http.Request, _ *Exchange, a *answer, _ *Fault) {
	if !sleep(r, time.Duration(a.textTokens+a.reasoningTokens)*s.config.TokenInterval) {
		return
	}
	block := object{"type": "text", "text": a.content}
	if a.call != nil {
		block = object{"type": "tool_use", "id": "toolu_" + a.call.id, "name": a.call.name, "input": json.RawMessage(a.call.arguments)}
	}
	w.Header().Set("Content-Type", "application/json")
	s.complete(a)
	_ = json.NewEncoder(w).Encode(a.messagesStart([]any{block}, stopReasons[a.finish], a.completionTokens()))
}

// streamMessage answers a Messages request with server-sent events.
func (s *Server) streamMessage(w http.ResponseWriter, r *http.Request, x *Exchange, a *answer, f *Fault) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	recorded := *x
	e := &events{s: s, w: w, r: r, flush: http.NewResponseController(w), exchange: &recorded, a: a, fault: f}
	e.named("message_start", object{"message": a.messagesStart([]any{}, nil, 1)})
	if a.call != nil {
		e.named("content_block_start", object{"index": 0, "content_block": object{"type": "tool_use", "id": "toolu_" + a.call.id, "name": a.call.name, "input": object{}}})
	} else {
		e.named("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}})
	}
	e.named("ping", object{})
	kind, field, pieces := "text_delta", "text", a.pieces
	if a.call != nil {
		kind, field, pieces = "input_json_delta", "partial_json", append([]string{""}, cut(a.call.arguments, 12)...)
	}
	for _, piece := range pieces {
		if !sleep(r, s.config.TokenInterval) {
			return
		}
		e.named("content_block_delta", object{"index": 0, "delta": object{"type": kind, field: piece}})
	}
	e.named("content_block_stop", object{"index": 0})
	e.named("message_delta", object{
		"delta": object{"stop_reason": stopReasons[a.finish], "stop_sequence": nil}, "usage": a.messagesUsage(a.completionTokens()),
	})
	e.exchange.Chunks = append(e.exchange.Chunks, time.Now())
	s.last.Store(e.exchange) // before the client can know the stream is over
	s.complete(a)
	e.named("message_stop", object{})
}

// named writes one event with a name, which its data repeats as its type.
func (e *events) named(name string, data object) {
	data["type"] = name
	text, err := json.Marshal(data)
	if err != nil {
		panic(err) // strings, numbers and valid JSON always marshal
	}
	e.write(fmt.Appendf(e.buffer[:0], "event: %s\ndata: %s\n\n", name, text))
}

// countTokens answers a request for a count.
func (s *Server) countTokens(w http.ResponseWriter, a *answer) {
	w.Header().Set("Content-Type", "application/json")
	s.stats.answered.Add(1)
	_ = json.NewEncoder(w).Encode(object{"input_tokens": a.promptTokens})
}
