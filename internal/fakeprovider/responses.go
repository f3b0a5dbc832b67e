package fakeprovider

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// responsesFields lists the request fields that OpenAI's Responses API takes.
var responsesFields = []string{
	"model", "input", "instructions", "max_output_tokens", "stream", "temperature", "top_p", "tools", "tool_choice", "text", "store",
	"previous_response_id", "conversation", "reasoning", "parallel_tool_calls", "metadata", "user", "truncation", "include",
	"background", "service_tier", "prompt", "prompt_cache_key", "safety_identifier", "stream_options", "top_logprobs", "max_tool_calls",
}

// parseResponses reads a Responses request as strictly as OpenAI's API does.
func (s *Server) parseResponses(header http.Header, body []byte) (*request, *refusal) {
	if s.config.Key != "" && header.Get("Authorization") != "Bearer "+s.config.Key {
		return nil, &refusal{
			status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key", message: "the API key is wrong or missing",
		}
	}
	if !gjson.ValidBytes(body) {
		return nil, badRequest("", "", "the request body is not valid JSON")
	}
	doc := gjson.ParseBytes(body)
	var no *refusal
	doc.ForEach(func(key, v gjson.Result) bool {
		name := key.String()
		if !slices.Contains(responsesFields, name) {
			no = badRequest("unknown_parameter", name, "Unknown parameter: '%s'.", name)
		} else if v.Type != gjson.Null {
			no = s.refusesField(name, v)
		}
		return no == nil
	})
	limit := doc.Get("max_output_tokens")
	switch previous := doc.Get("previous_response_id").String(); {
	case no != nil:
		return nil, no
	case doc.Get("model").String() != s.config.Model:
		s.stats.wrongModel.Add(1)
		return nil, &refusal{
			status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", counted: true,
			message: "there is no such model here, only " + s.config.Model,
		}
	case limit.Type == gjson.Number && limit.Int() < 16:
		return nil, badRequest("integer_below_min_value", "max_output_tokens", "max_output_tokens must be at least 16")
	case previous != "" && !s.stored.has(previous):
		return nil, badRequest("previous_response_not_found", "previous_response_id", "Previous response with id '%s' not found.", previous)
	}
	messages := doc.Get("input")
	if messages.Type == gjson.String {
		messages = gjson.Parse(`[{"role":"user","content":` + messages.Raw + `}]`)
	}
	if !messages.IsArray() {
		return nil, badRequest("missing_required_parameter", "input", "Missing required parameter: 'input'.")
	}
	req := &request{
		messages: messages, stream: doc.Get("stream").Bool(), choices: 1, limit: int(limit.Int()), effort: doc.Get("reasoning.effort").String(),
		tools: doc.Get("tools"), toolChoice: doc.Get("tool_choice"), flat: true,
	}
	if format := doc.Get("text.format"); format.Get("type").String() == "json_schema" {
		req.format = gjson.Parse(`{"type":"json_schema","json_schema":{"schema":` + format.Get("schema").Raw + `}}`)
	}
	return req, nil
}

// calledFlatTool is the function that a Responses request's tool_choice forces.
func (req *request) calledFlatTool() (name string, schema gjson.Result, ok bool) {
	want := req.toolChoice.Get("name").String()
	if want == "" && req.toolChoice.String() != "required" {
		return "", schema, false
	}
	req.tools.ForEach(func(_, t gjson.Result) bool {
		if ok = t.Get("type").String() == "function" && (want == "" || t.Get("name").String() == want); ok {
			name, schema = t.Get("name").String(), t.Get("parameters")
		}
		return !ok
	})
	return name, schema, ok
}

func (a *answer) responseID() string { return "resp_" + strings.TrimPrefix(a.id, "chatcmpl-") }

// response is the response object with its output so far.
func (a *answer) response(status string, output []any) object {
	o := object{
		"id": a.responseID(), "object": "response", "created_at": created, "status": status, "model": a.servedAs, "output": output,
		"error": nil, "incomplete_details": nil, "instructions": nil, "metadata": object{}, "parallel_tool_calls": true,
		"temperature": nil, "top_p": nil, "tool_choice": "auto", "tools": []any{}, "usage": nil,
	}
	if status == "in_progress" {
		return o
	}
	o["usage"] = object{
		"input_tokens": a.promptTokens, "input_tokens_details": object{"cached_tokens": a.cachedTokens},
		"output_tokens": a.completionTokens(), "output_tokens_details": object{"reasoning_tokens": a.reasoningTokens},
		"total_tokens": a.promptTokens + a.completionTokens(),
	}
	if status == "incomplete" {
		o["incomplete_details"] = object{"reason": "max_output_tokens"}
	}
	return o
}

func (a *answer) outputText() object {
	return object{"type": "output_text", "text": a.content, "annotations": []any{}, "logprobs": []any{}}
}

// item is the one item of the output, with content or arguments or without.
func (a *answer) item(status string, whole bool) object {
	if a.call != nil {
		o := object{"type": "function_call", "id": "fc_" + a.call.id, "call_id": a.call.id, "name": a.call.name, "arguments": "", "status": status}
		if whole {
			o["arguments"] = a.call.arguments
		}
		return o
	}
	o := object{"type": "message", "id": "msg_" + a.id, "role": "assistant", "status": status, "content": []any{}}
	if whole {
		o["content"] = []any{a.outputText()}
	}
	return o
}

func (a *answer) status() string {
	if a.finish == "length" {
		return "incomplete"
	}
	return "completed"
}

// wholeResponse answers a Responses request in one JSON object.
func (s *Server) wholeResponse(w http.ResponseWriter, r *http.Request, _ *Exchange, a *answer, _ *Fault) {
	if !sleep(r, time.Duration(a.textTokens+a.reasoningTokens)*s.config.TokenInterval) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	s.stored.add(a.responseID())
	s.complete(a)
	_ = json.NewEncoder(w).Encode(a.response(a.status(), []any{a.item(a.status(), true)}))
}

// streamResponse answers a Responses request with server-sent events.
func (s *Server) streamResponse(w http.ResponseWriter, r *http.Request, x *Exchange, a *answer, f *Fault) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	recorded := *x
	e := &events{s: s, w: w, r: r, flush: http.NewResponseController(w), exchange: &recorded, a: a, fault: f}
	n := 0
	send := func(name string, data object) {
		data["sequence_number"] = n
		n++
		e.named(name, data)
	}
	item := a.item("in_progress", false)
	send("response.created", object{"response": a.response("in_progress", []any{})})
	send("response.in_progress", object{"response": a.response("in_progress", []any{})})
	send("response.output_item.added", object{"output_index": 0, "item": item})
	at := func(o object) object {
		o["item_id"], o["output_index"] = item["id"], 0
		return o
	}
	if a.call != nil {
		for _, piece := range cut(a.call.arguments, 12) {
			send("response.function_call_arguments.delta", at(object{"delta": piece}))
		}
		send("response.function_call_arguments.done", at(object{"arguments": a.call.arguments, "name": a.call.name}))
	} else {
		send("response.content_part.added", at(object{"content_index": 0, "part": object{"type": "output_text", "text": "", "annotations": []any{}}}))
		for _, piece := range a.pieces {
			if !sleep(r, s.config.TokenInterval) {
				return
			}
			send("response.output_text.delta", at(object{"content_index": 0, "delta": piece, "logprobs": []any{}}))
		}
		send("response.output_text.done", at(object{"content_index": 0, "text": a.content, "logprobs": []any{}}))
		send("response.content_part.done", at(object{"content_index": 0, "part": a.outputText()}))
	}
	done := a.item(a.status(), true)
	send("response.output_item.done", object{"output_index": 0, "item": done})
	e.exchange.Chunks = append(e.exchange.Chunks, time.Now())
	s.last.Store(e.exchange) // before the client can know the stream is over
	s.stored.add(a.responseID())
	s.complete(a)
	send("response."+a.status(), object{"response": a.response(a.status(), []any{done})})
}
