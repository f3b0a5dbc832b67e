package fakeprovider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// maxBody bounds a request body, in bytes.
const maxBody = 64 << 20

// refusal is an error answer.
type refusal struct {
	status         int
	kind           string
	code, param    string
	message        string
	retryAfter     time.Duration
	counted        bool // in another count than Stats.Refused
	allowedMethods string
}

func badRequest(code, param, format string, a ...any) *refusal {
	return &refusal{
		status: http.StatusBadRequest, kind: "invalid_request_error", code: code, param: param, message: fmt.Sprintf(format, a...),
	}
}

// serve answers one HTTP request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.handlers.RLock()
	defer s.handlers.RUnlock()
	w.Header().Set(HeaderModel, s.config.Model)
	if s.config.Zone != "" {
		w.Header().Set(HeaderZone, s.config.Zone)
	}
	switch path := r.URL.Path; {
	case !s.config.Anthropic && slices.ContainsFunc([]string{"/completions", "/responses", "/embeddings"}, func(end string) bool { return strings.HasSuffix(path, end) }):
	case s.config.Anthropic && (strings.HasSuffix(path, "/messages") || strings.HasSuffix(path, "/messages/count_tokens")):
	case strings.HasSuffix(path, "/models") && r.Method == http.MethodGet:
		s.models(w)
		return
	default:
		s.refuse(w, &refusal{status: http.StatusNotFound, kind: "invalid_request_error", code: "unknown_url", message: "there is nothing at this path"})
		return
	}
	s.stats.requests.Add(1)
	s.stats.inFlight.Add(1)
	defer s.stats.inFlight.Add(-1)
	if no := s.chat(w, r); no != nil {
		s.refuse(w, no)
	}
}

// chat answers a chat completions request, or says why not.
func (s *Server) chat(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost {
		return &refusal{
			status: http.StatusMethodNotAllowed, kind: "invalid_request_error", code: "method_not_supported",
			message: "chat completions are made with POST", allowedMethods: http.MethodPost,
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return badRequest("", "", "the request body could not be read: %v", err)
	}
	exchange := &Exchange{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header, Body: body}
	s.last.Store(exchange)
	fault, err := s.faultOf(r.Header)
	if err != nil {
		return badRequest("", HeaderFault, "%v", err)
	}
	if no := s.suffer(r, &fault); no != nil {
		return no
	}
	kind, count := r.URL.Path, false
	var req *request
	var no *refusal
	switch {
	case s.config.Anthropic:
		count = strings.HasSuffix(kind, "/count_tokens")
		req, no = s.parseMessages(r.Header, body, count)
	case strings.HasSuffix(kind, "/responses"):
		req, no = s.parseResponses(r.Header, body)
	case strings.HasSuffix(kind, "/embeddings"):
		req, no = s.parseLegacy(r.Header, body, "input", embeddingsFields)
	case strings.HasSuffix(kind, "/completions") && !strings.HasSuffix(kind, "/chat/completions"):
		req, no = s.parseLegacy(r.Header, body, "prompt", completionsFields)
	default:
		req, no = s.parse(r.Header, body)
	}
	if no != nil {
		return no
	}
	a := s.answer(req)
	s.stats.prompt.Add(int64(a.promptTokens))
	s.stats.cached.Add(int64(a.cachedTokens))
	if !sleep(r, s.config.FirstToken) {
		return nil
	}
	switch {
	case count:
		s.countTokens(w, a)
		return nil
	case strings.HasSuffix(kind, "/embeddings"):
		s.embeddings(w, a, req.raw)
		return nil
	}
	s.responder(req)(w, r, exchange, a, &fault)
	return nil
}

// responder is what writes the answer to req.
func (s *Server) responder(req *request) func(http.ResponseWriter, *http.Request, *Exchange, *answer, *Fault) {
	switch {
	case req.blocks && req.stream:
		return s.streamMessage
	case req.blocks:
		return s.wholeMessage
	case req.flat && req.stream:
		return s.streamResponse
	case req.flat:
		return s.wholeResponse
	case req.raw.Exists():
		return s.completions
	case req.stream:
		return s.stream
	}
	return s.whole
}

// complete counts an answer whose last bytes are about to be written, so that
// a client that has them finds them counted.
func (s *Server) complete(a *answer) {
	s.stats.completion.Add(int64(a.completionTokens()))
	s.stats.reasoning.Add(int64(a.choices * a.reasoningTokens))
	s.stats.answered.Add(1)
	if a.stream && !a.usage {
		s.stats.untold.Add(1)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told.Answers++
	s.told.Prompt += int64(a.promptTokens)
	s.told.Cached += int64(a.cachedTokens)
	s.told.Completion += int64(a.completionTokens())
	s.told.Reasoning += int64(a.choices * a.reasoningTokens)
}

// suffer does what goes wrong before an answer. It returns the error to answer
// with, if any.
func (s *Server) suffer(r *http.Request, f *Fault) *refusal {
	if !f.active() {
		return nil
	}
	s.stats.faults.Add(1)
	if f.NeverAnswer {
		<-r.Context().Done()
		breakOff()
	}
	if !sleep(r, f.FirstTokenDelay) || f.Reset {
		breakOff()
	}
	if f.Status == 0 {
		return nil
	}
	no := &refusal{
		status: f.Status, kind: "server_error", message: "this failure was asked for", retryAfter: f.RetryAfter, counted: true,
	}
	if f.Status == http.StatusTooManyRequests {
		no.kind, no.code = "requests", "rate_limit_exceeded"
	}
	return no
}

// breakOff ends the connection without an answer, or amid one, in the one way
// that net/http has for it.
func breakOff() { panic(http.ErrAbortHandler) }

// sleep waits for d. It reports false when the client gave up.
func sleep(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// request is what of a request matters for the answer.
type request struct {
	messages      gjson.Result
	stream, usage bool
	limit         int // output tokens, 0: none
	choices       int
	effort        string
	format        gjson.Result
	tools         gjson.Result
	toolChoice    gjson.Result
	raw           gjson.Result // of a request without messages
	blocks, flat  bool         // of Anthropic's Messages, of OpenAI's Responses
}

// refusedByReasoning lists the fields that a reasoning model refuses.
var refusedByReasoning = []string{
	"max_tokens", "temperature", "top_p", "presence_penalty", "frequency_penalty", "stop", "logit_bias", "logprobs", "top_logprobs",
}

// parse reads the body as strictly as a provider would.
func (s *Server) parse(header http.Header, body []byte) (*request, *refusal) {
	if !s.authorized(header) {
		return nil, &refusal{
			status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key", message: "the API key is wrong or missing",
		}
	}
	if !gjson.ValidBytes(body) {
		return nil, badRequest("", "", "the request body is not valid JSON")
	}
	req := &request{choices: 1}
	var model string
	var no *refusal
	gjson.ParseBytes(body).ForEach(func(key, v gjson.Result) bool {
		name := key.String()
		if v.Type == gjson.Null {
			return true
		}
		switch name {
		case "model":
			model = v.String()
		case "messages":
			req.messages = v
		case "stream":
			req.stream = v.Bool()
		case "stream_options":
			req.usage = v.Get("include_usage").Bool()
		case "max_tokens", "max_completion_tokens":
			req.limit = int(v.Int())
			if req.limit < 1 {
				no = badRequest("integer_below_min_value", name, "%s must be at least 1", name)
			}
		case "n":
			req.choices = int(v.Int())
			if req.choices < 1 || req.choices > 8 {
				no = badRequest("invalid_value", name, "n must be between 1 and 8")
			}
		case "reasoning_effort":
			req.effort = v.String()
		case "response_format":
			req.format = v
		case "tools":
			req.tools = v
		case "tool_choice":
			req.toolChoice = v
		}
		if no == nil {
			no = s.refusesField(name, v)
		}
		return no == nil
	})
	switch {
	case no != nil:
		return nil, no
	case model != s.config.Model:
		s.stats.wrongModel.Add(1)
		return nil, &refusal{
			status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", counted: true,
			message: fmt.Sprintf("there is no model %q here, only %q", model, s.config.Model),
		}
	case !req.messages.IsArray() || len(req.messages.Raw) < len(`[{}]`):
		return nil, badRequest("empty_array", "messages", "messages must be an array that is not empty")
	}
	return req, nil
}

// refusesField returns the error for a field that the model does not take.
func (s *Server) refusesField(name string, v gjson.Result) *refusal {
	if slices.Contains(s.config.Refuse, name) {
		return badRequest("unsupported_parameter", name, "%s does not take the parameter %s", s.config.Model, name)
	}
	if !s.config.Reasoning || !slices.Contains(refusedByReasoning, name) {
		return nil
	}
	switch name {
	case "temperature", "top_p":
		if v.Num == 1 {
			return nil
		}
		return badRequest("unsupported_value", name, "%s takes no %s but 1", s.config.Model, name)
	case "max_tokens":
		return badRequest("unsupported_parameter", name, "%s takes max_completion_tokens and no max_tokens", s.config.Model)
	case "logprobs":
		if !v.Bool() {
			return nil
		}
	}
	return badRequest("unsupported_parameter", name, "%s does not take the parameter %s", s.config.Model, name)
}

// refuse answers with an error in OpenAI's shape.
func (s *Server) refuse(w http.ResponseWriter, no *refusal) {
	if !no.counted {
		s.stats.refused.Add(1)
	}
	orNull := func(v string) *string {
		if v == "" {
			return nil
		}
		return &v
	}
	type shape struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	if no.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(no.retryAfter.Seconds())))
	}
	if no.allowedMethods != "" {
		w.Header().Set("Allow", no.allowedMethods)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(no.status)
	if s.config.Anthropic {
		_ = json.NewEncoder(w).Encode(object{"type": "error", "error": object{"type": anthropicKind(no), "message": no.message}})
		return
	}
	// A client that is gone needs no error.
	_ = json.NewEncoder(w).Encode(map[string]shape{"error": {no.message, no.kind, orNull(no.param), orNull(no.code)}})
}

// models lists the one model that is here.
func (s *Server) models(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"object": "list",
		"data":   []any{map[string]any{"id": s.config.Model, "object": "model", "created": created, "owned_by": "fake"}},
	})
}
