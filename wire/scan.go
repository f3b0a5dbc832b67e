package wire

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// Scan reads an OpenAI Chat Completions request body in one pass, in place,
// and fills f. It returns nil when the body can be routed, and otherwise why
// not; f is then meaningless.
//
// A body passes only if encoding/json accepts it, its strings are UTF-8, it
// nests no deeper than MaxDepth and has at most MaxFields top-level fields,
// none of them twice. Two spellings of one key, "model" and "mo\u0064el", are
// the same key. A field that some decoders would take for one that Scan reads,
// such as "Model", is refused: the provider must not see another request than
// the one that was routed.
func Scan(body []byte, f *Facts) *Problem { return ScanFor(nil, body, f) }

// ScanFor is Scan for a request that names its model elsewhere, such as in its
// path: the body's own model field is optional and means nothing, but must be in
// order. A nil model is the body's.
func ScanFor(model, body []byte, f *Facts) *Problem { return ScanShape(ShapeChat, model, body, f) }

// ScanShape is ScanFor for a request of any shape.
func ScanShape(s Shape, model, body []byte, f *Facts) *Problem {
	f.reset()
	f.initTexts()
	r := reader{scanner: scanner{body: body}, f: f, shape: s, named: model != nil}
	if !r.request() {
		return r.problem
	}
	if r.named {
		f.Model = model
	}
	f.finish(&r.tokens)
	return nil
}

// reader scans a request.
type reader struct {
	scanner
	f       *Facts
	tokens  tally
	seen    known
	message int // index of the one being read

	fieldsOnly bool // read nothing below the top level
	named      bool // the body need not name a model
	shape      Shape
}

// known is a set of the top-level fields that Scan reads.
type known uint16

const (
	fieldModel known = 1 << iota
	fieldMessages
	fieldStream
	fieldMaxTokens
	fieldMaxCompletionTokens
	fieldTools
	fieldFunctions
	fieldParallelToolCalls
	fieldResponseFormat
	fieldAudio
	fieldModalities
	fieldRoutingConfig
	fieldWebSearch
	fieldChoices
)

// knownNames lists the fields that Scan reads, in the order of their bits.
var knownNames = [...]string{
	"model", "messages", "stream", "max_tokens", "max_completion_tokens", "tools", "functions",
	"parallel_tool_calls", "response_format", "audio", "modalities",
	routingConfig, "web_search_options", "n",
}

// lookUp returns the field that name spells, 0 when Scan does not read it.
func (s Shape) lookUp(name []byte) known {
	for i, n := range s.names() {
		if string(name) == n {
			return 1 << i
		}
	}
	return 0
}

// resembles returns the known field that another decoder would take name for:
// one that ignores case, such as encoding/json, or that ends strings at a zero.
func (s Shape) resembles(name []byte) string {
	for _, n := range s.names() {
		if len(name) >= len(n) && foldEqual(name, n) {
			return n
		}
	}
	return ""
}

// foldEqual is bytes.EqualFold(a, []byte(b)) for a b in lower-case ASCII, of a up
// to its first zero byte.
func foldEqual(a []byte, b string) bool {
	for i := range len(b) {
		if len(a) == 0 {
			return false
		}
		r, n := utf8.DecodeRune(a)
		a = a[n:]
		switch {
		case r == '\u017F': // the long s
			r = 's'
		case r == '\u212A': // the Kelvin sign
			r = 'k'
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		}
		if r != rune(b[i]) {
			return false
		}
	}
	return len(a) == 0 || a[0] == 0
}

// request reads the whole body.
func (r *reader) request() bool {
	if r.peek() != '{' {
		if !r.skip() || !r.end() {
			return false
		}
		return r.fail(invalid(CodeInvalidType, "", "the request body must be a JSON object"))
	}
	if !r.open() {
		return false
	}
	for first := true; ; first = false {
		k, more := r.key(first)
		if !more {
			break
		}
		at, ok := r.declare(k)
		if !ok {
			return false
		}
		if !r.value(r.shape.lookUp(r.f.fields[at].name)) {
			return false
		}
		r.f.fields[at].end = r.pos
	}
	if r.problem != nil || !r.end() {
		return false
	}
	switch {
	case r.seen&fieldModel == 0 && !r.named:
		return r.fail(invalid(CodeMissing, "model", "the request must name a model"))
	case r.fieldsOnly:
		return true
	}
	if missing := r.shape.missing(r.seen); missing != "" {
		return r.fail(invalid(CodeMissing, missing, "the request must have "+missing))
	}
	return true
}

// declare notes the field whose key was read and whose value is next. It
// returns the field's index.
func (r *reader) declare(k str) (int, bool) {
	f := r.f
	if len(f.fields) == MaxFields {
		return 0, r.fail(invalid(CodeTooManyFields, "", "the request has too many top-level fields"))
	}
	name := r.body[k.start:k.end]
	if k.escaped {
		name = f.keep(name)
	}
	for i := range f.fields {
		if bytes.Equal(f.fields[i].name, name) {
			return 0, r.fail(invalid(CodeDuplicate, printable(name), "the request has a top-level field twice: "+printable(name)))
		}
	}
	if r.shape.lookUp(name) == 0 {
		if n := r.shape.resembles(name); n != "" && (!r.fieldsOnly || n == "model" || n == routingConfig) {
			return 0, r.fail(invalid(CodeInvalidValue, printable(name), "unknown field "+printable(name)+"; did you mean "+n+"?"))
		}
	}
	f.fields = append(f.fields, field{name: name, key: k.start - 1, keyEnd: k.end + 1, val: r.pos})
	return len(f.fields) - 1, true
}

// keep unescapes a string's contents into f's own memory.
func (f *Facts) keep(raw []byte) []byte {
	start := len(f.names)
	f.names, _ = unescape(f.names, raw, start+len(raw))
	return f.names[start:len(f.names):len(f.names)]
}

// printable clips a client's name to what an error message can carry.
func printable(name []byte) string {
	const most = 64
	if len(name) > most {
		return string(name[:runeStart(name, most)]) + "…"
	}
	return string(name)
}

// value reads the value of a top-level field.
func (r *reader) value(is known) bool {
	r.seen |= is
	if r.fieldsOnly && is != fieldModel {
		return r.skip()
	}
	start := r.pos
	ok := r.known(is)
	if is&r.shape.preamble() != 0 {
		r.f.turn.preamble += r.pos - start
	}
	return ok
}

// known reads the value of a field of the request's shape.
func (r *reader) known(is known) bool {
	f := r.f
	switch r.shape {
	case ShapeMessages, ShapeCountTokens:
		return r.messagesValue(is)
	case ShapeResponses:
		return r.responsesValue(is)
	case ShapeCompletions:
		return r.completionsValue(is)
	case ShapeEmbeddings:
		return r.embeddingsValue(is)
	case ShapeChat:
	}
	switch is {
	case fieldModel:
		return r.model()
	case fieldMessages:
		return r.messages()
	case fieldStream:
		return r.boolean("stream", &f.Stream)
	case fieldParallelToolCalls:
		return r.boolean("parallel_tool_calls", &f.Parallel)
	case fieldMaxTokens:
		return r.outputCap("max_tokens", &f.maxTokens)
	case fieldMaxCompletionTokens:
		return r.outputCap("max_completion_tokens", &f.maxCompletionTokens)
	case fieldTools:
		return r.tools("tools")
	case fieldFunctions:
		return r.tools("functions")
	case fieldResponseFormat:
		return r.responseFormat()
	case fieldAudio:
		return r.audio()
	case fieldModalities:
		return r.modalities()
	case fieldRoutingConfig:
		return r.routing()
	case fieldWebSearch:
		return r.webSearch()
	case fieldChoices:
		return r.choices()
	}
	return r.skip()
}

// mismatch passes a value of the wrong type, so that a body that is no JSON at
// all is reported as such, and fails.
func (r *reader) mismatch(param, message string) bool {
	return r.skip() && r.fail(invalid(CodeInvalidType, param, message))
}

func (r *reader) model() bool {
	start := r.pos
	if r.peek() != '"' {
		return r.mismatch("model", "model must be a string")
	}
	v, ok := r.str()
	if !ok {
		return false
	}
	f := r.f
	f.ModelStart, f.ModelEnd = start, r.pos
	f.Model = r.body[v.start:v.end]
	if v.escaped {
		f.Model = f.keep(f.Model)
	}
	if len(f.Model) == 0 {
		return r.fail(invalid(CodeEmptyString, "model", "model must not be empty"))
	}
	return true
}

// boolean reads true, false or null, which is false.
func (r *reader) boolean(param string, to *bool) bool {
	switch r.peek() {
	case 't':
		*to = true
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	}
	return r.mismatch(param, param+" must be a boolean")
}

// outputCap reads a positive integer or null, which is 0. Values that no model could
// reach come out as math.MaxInt32.
func (r *reader) outputCap(param string, to *int) bool {
	switch c := r.peek(); {
	case c == 'n':
		return r.literal("null")
	case c != '-' && (c < '0' || c > '9'):
		return r.mismatch(param, param+" must be an integer")
	}
	start := r.pos
	if !r.number() {
		return false
	}
	n := 0
	for _, c := range r.body[start:r.pos] {
		switch {
		case c == '-' && n == 0:
			return r.fail(invalid(CodeBelowMinimum, param, param+" must be at least 1"))
		case c < '0' || c > '9':
			return r.fail(invalid(CodeInvalidType, param, param+" must be an integer"))
		}
		n = min(n*10+int(c-'0'), math.MaxInt32)
	}
	if n == 0 {
		return r.fail(invalid(CodeBelowMinimum, param, param+" must be at least 1"))
	}
	*to = n
	return true
}

// choices reads how many answers are asked for. What is no number of them is the
// provider's to refuse, and counts as one.
func (r *reader) choices() bool {
	start := r.pos
	if !r.skip() {
		return false
	}
	n := 0
	for _, c := range r.body[start:r.pos] {
		if c < '0' || c > '9' {
			return true
		}
		n = min(n*10+int(c-'0'), math.MaxInt32)
	}
	r.f.Choices = n
	return true
}

// responseFormat looks for a JSON schema.
func (r *reader) responseFormat() bool {
	switch r.peek() {
	case 'n':
		return r.literal("null")
	case '{':
	default:
		return r.mismatch("response_format", "response_format must be an object")
	}
	if !r.open() {
		return false
	}
	for first := true; ; first = false {
		k, more := r.key(first)
		if !more {
			return r.problem == nil
		}
		switch string(r.name(k)) {
		case "type":
			v, ok := r.optional("response_format.type")
			if !ok {
				return false
			}
			r.f.HasSchema = string(r.name(v)) == "json_schema"
		case "json_schema":
			if !r.counted() {
				return false
			}
		default:
			if !r.skip() {
				return false
			}
		}
	}
}

// counted passes a value whose JSON text the model is shown.
func (r *reader) counted() bool {
	start := r.pos
	if !r.skip() {
		return false
	}
	r.tokens.text(r.body[start:r.pos], false)
	return true
}

// optional reads a string or null, which is empty.
func (r *reader) optional(param string) (v str, ok bool) {
	switch r.peek() {
	case '"':
		return r.str()
	case 'n':
		return v, r.literal("null")
	}
	return v, r.mismatch(param, param+" must be a string")
}

const noAudio = "audio is not supported by this router"

// audio refuses to have the answer spoken.
func (r *reader) audio() bool {
	if r.peek() == 'n' {
		return r.literal("null")
	}
	return r.skip() && r.fail(invalid(CodeUnsupported, "audio", noAudio))
}

func (r *reader) modalities() bool {
	switch r.peek() {
	case 'n':
		return r.literal("null")
	case '[':
	default:
		return r.mismatch("modalities", "modalities must be an array")
	}
	if !r.open() {
		return false
	}
	for first := true; r.element(first); first = false {
		v, ok := r.optional("modalities")
		if !ok {
			return false
		}
		if string(r.name(v)) == "audio" {
			return r.fail(invalid(CodeUnsupported, "modalities", noAudio))
		}
	}
	return r.problem == nil
}
