package fakeprovider

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// completionsFields and embeddingsFields list the request fields of OpenAI's older completions and of its
// embeddings.
var (
	completionsFields = []string{
		"model", "prompt", "max_tokens", "stream", "stream_options", "temperature", "top_p", "n", "stop", "suffix", "echo", "seed", "user",
		"logprobs", "best_of", "presence_penalty", "frequency_penalty", "logit_bias",
	}
	embeddingsFields = []string{"model", "input", "dimensions", "encoding_format", "user"}
)

// authorized reports whether a request carries the key as OpenAI's or as Azure's
// clients do.
func (s *Server) authorized(header http.Header) bool {
	return s.config.Key == "" || header.Get("Authorization") == "Bearer "+s.config.Key || header.Get("Api-Key") == s.config.Key
}

// parseLegacy reads a request that has no messages, whose text is in a field of
// the name from.
func (s *Server) parseLegacy(header http.Header, body []byte, from string, fields []string) (*request, *refusal) {
	if !s.authorized(header) {
		return nil, &refusal{
			status: http.StatusUnauthorized, kind: "invalid_request_error", code: "invalid_api_key", message: "the API key is wrong or missing",
		}
	}
	if !gjson.ValidBytes(body) {
		return nil, badRequest("", "", "the request body is not valid JSON")
	}
	doc := gjson.ParseBytes(body)
	var no *refusal
	doc.ForEach(func(key, _ gjson.Result) bool {
		if name := key.String(); !slices.Contains(fields, name) {
			no = badRequest("unknown_parameter", name, "This endpoint does not know the argument: %s", name)
		}
		return no == nil
	})
	input := doc.Get(from)
	switch {
	case no != nil:
		return nil, no
	case doc.Get("model").String() != s.config.Model:
		s.stats.wrongModel.Add(1)
		return nil, &refusal{
			status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", counted: true,
			message: "there is no such model here, only " + s.config.Model,
		}
	case input.String() == "":
		return nil, badRequest("invalid_value", from, "%s must not be empty", from)
	}
	text, _ := json.Marshal([]object{{"role": "user", "content": input.String()}}) // strings always marshal
	return &request{
		messages: gjson.ParseBytes(text), stream: doc.Get("stream").Bool(), usage: doc.Get("stream_options.include_usage").Bool(),
		choices: 1, limit: int(doc.Get("max_tokens").Int()), raw: doc,
	}, nil
}

func (a *answer) completion(text string, finish any) object {
	return object{
		"id": "cmpl-" + strings.TrimPrefix(a.id, "chatcmpl-"), "object": "text_completion", "created": created, "model": a.servedAs,
		"choices": []any{object{"text": text, "index": 0, "logprobs": nil, "finish_reason": finish}},
	}
}

func (a *answer) legacyUsage() object {
	return object{"prompt_tokens": a.promptTokens, "completion_tokens": a.completionTokens(), "total_tokens": a.promptTokens + a.completionTokens()}
}

// completions answers an older completions request, whole or streamed.
func (s *Server) completions(w http.ResponseWriter, r *http.Request, x *Exchange, a *answer, f *Fault) {
	if !a.stream {
		o := a.completion(a.content, a.finish)
		o["usage"] = a.legacyUsage()
		w.Header().Set("Content-Type", "application/json")
		s.complete(a)
		_ = json.NewEncoder(w).Encode(o)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	recorded := *x
	e := &events{s: s, w: w, r: r, flush: http.NewResponseController(w), exchange: &recorded, a: a, fault: f}
	send := func(o object) {
		text, err := json.Marshal(o)
		if err != nil {
			panic(err) // strings and numbers always marshal
		}
		e.write(fmt.Appendf(e.buffer[:0], "data: %s\n\n", text))
	}
	for _, piece := range a.pieces {
		if !sleep(r, s.config.TokenInterval) {
			return
		}
		send(a.completion(piece, nil))
	}
	send(a.completion("", a.finish))
	if a.usage {
		o := a.completion("", nil)
		o["choices"], o["usage"] = []any{}, a.legacyUsage()
		send(o)
	}
	e.exchange.Chunks = append(e.exchange.Chunks, time.Now())
	s.last.Store(e.exchange) // before the client can know the stream is over
	s.complete(a)
	_, _ = w.Write([]byte("data: [DONE]\n\n"))
}

// defaultDimensions is the length of a vector.
const defaultDimensions = 8

// embeddings answers an embeddings request: vectors that depend on the text and
// the model.
func (s *Server) embeddings(w http.ResponseWriter, a *answer, doc gjson.Result) {
	inputs := []gjson.Result{doc.Get("input")}
	if inputs[0].IsArray() && (inputs[0].Get("0").Type == gjson.String || inputs[0].Get("0").IsArray()) {
		inputs = inputs[0].Array()
	}
	n := int(doc.Get("dimensions").Int())
	if n == 0 {
		n = defaultDimensions
	}
	var data []any
	for i, input := range inputs {
		vector := make([]float32, n)
		raw := make([]byte, 0, 4*n)
		for k := range vector {
			h := fnv.New32a()
			_, _ = fmt.Fprintf(h, "%s %s %d", s.config.Model, input.Raw, k) // never fails
			vector[k] = float32(h.Sum32())/math.MaxUint32*2 - 1
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(vector[k]))
		}
		var embedding any = vector
		if doc.Get("encoding_format").String() == "base64" {
			embedding = base64.StdEncoding.EncodeToString(raw)
		}
		data = append(data, object{"object": "embedding", "index": i, "embedding": embedding})
	}
	w.Header().Set("Content-Type", "application/json")
	s.stats.answered.Add(1)
	_ = json.NewEncoder(w).Encode(object{
		"object": "list", "data": data, "model": a.servedAs, "usage": object{"prompt_tokens": a.promptTokens, "total_tokens": a.promptTokens},
	})
}
