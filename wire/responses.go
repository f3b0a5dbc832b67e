package wire

import "strconv"

// The top-level fields of a Responses request that a scan reads. The first is
// that of every shape.
const (
	_ known = 1 << iota // model
	responsesInput
	responsesInstructions
	responsesMaxOutputTokens
	responsesStream
	responsesTools
	responsesParallelToolCalls
	responsesText
	responsesPrevious
	responsesConversation
	responsesPrompt
	responsesRoutingConfig
)

var responsesNames = [...]string{
	"model", "input", "instructions", "max_output_tokens", "stream", "tools", "parallel_tool_calls", "text",
	"previous_response_id", "conversation", "prompt", routingConfig,
}

// responsesValue reads the value of a top-level field of a Responses request.
func (r *reader) responsesValue(is known) bool {
	f := r.f
	switch is {
	case fieldModel:
		return r.model()
	case responsesInput:
		return r.input()
	case responsesInstructions:
		return r.instructions()
	case responsesMaxOutputTokens:
		return r.outputCap("max_output_tokens", &f.maxTokens)
	case responsesStream:
		return r.boolean("stream", &f.Stream)
	case responsesTools:
		return r.tools("tools")
	case responsesParallelToolCalls:
		return r.boolean("parallel_tool_calls", &f.Parallel)
	case responsesText:
		return r.nested("text", "format")
	case responsesPrevious:
		return r.stateful("previous_response_id")
	case responsesConversation:
		return r.stateful("conversation")
	case responsesPrompt:
		return r.stateful("prompt")
	case responsesRoutingConfig:
		return r.routing()
	default:
		return r.skip()
	}
}

// stateful notes that the request refers to what its provider keeps.
func (r *reader) stateful(name string) bool {
	if r.peek() != 'n' && r.f.Stateful == "" {
		r.f.Stateful = name
	}
	return r.skip()
}

// instructions reads the string, or list of items, that goes before the input.
func (r *reader) instructions() bool {
	r.f.texts = r.f.texts[:0]
	switch r.peek() {
	case '"':
		if !r.text() {
			return false
		}
	case 'n':
		return r.literal("null")
	default:
		return r.mismatch("instructions", "instructions must be a string")
	}
	r.f.place(r.body, roleSystem)
	return true
}

// input reads what the model is to answer: a string, or an array of items.
func (r *reader) input() bool {
	switch r.peek() {
	case '"':
		r.f.texts = r.f.texts[:0]
		r.tokens.overhead(perMessage)
		if !r.text() {
			return false
		}
		r.f.Messages = 1
		r.f.place(r.body, roleUser)
		return true
	case 'n':
		return r.literal("null")
	case '[':
	default:
		return r.mismatch("input", "input must be a string or an array of items")
	}
	if !r.open() {
		return false
	}
	for first := true; r.element(first); first = false {
		at := "input[" + strconv.Itoa(r.message) + "]"
		if r.peek() != '{' {
			return r.mismatch(at, at+" must be an object")
		}
		if !r.item(at) {
			return false
		}
		r.message++
	}
	r.f.Messages = r.message
	return r.problem == nil
}

// item reads one item of the input. Items other than messages have no role:
// calls of tools, their outputs, reasoning, references to stored items.
func (r *reader) item(at string) bool {
	if !r.open() {
		return false
	}
	who := roleOther
	r.f.texts = r.f.texts[:0]
	r.tokens.overhead(perMessage)
	for first := true; ; first = false {
		k, more := r.key(first)
		if !more {
			break
		}
		ok := false
		switch string(r.name(k)) {
		case "role":
			if r.peek() != '"' {
				return r.mismatch(at+".role", at+".role must be a string")
			}
			who, ok = r.role()
		case "type":
			var v str
			if v, ok = r.optional(at + ".type"); ok && string(r.name(v)) == "item_reference" && r.f.Stateful == "" {
				r.f.Stateful = at
			}
		case "content", "output", "summary":
			switch r.peek() {
			case '"':
				ok = r.text()
			case '[':
				ok = r.contents(at)
			default:
				ok = r.skip()
			}
		case "name", "arguments", "input":
			ok = r.textOrSkip()
		default:
			ok = r.skip()
		}
		if !ok {
			return false
		}
	}
	if r.problem != nil {
		return false
	}
	r.f.place(r.body, who)
	return true
}

// contents reads the content parts of an item.
func (r *reader) contents(at string) bool {
	if !r.open() {
		return false
	}
	for first := true; r.element(first); first = false {
		if r.peek() != '{' {
			return r.mismatch(at+".content", at+".content must be an array of objects")
		}
		if !r.contentPart(at) {
			return false
		}
	}
	return r.problem == nil
}

func (r *reader) contentPart(at string) bool {
	if !r.open() {
		return false
	}
	var image, file, audio bool
	start := r.pos
	for first := true; ; first = false {
		k, more := r.key(first)
		if !more {
			break
		}
		ok := false
		switch string(r.name(k)) {
		case "type":
			var v str
			if v, ok = r.optional(at + ".content[].type"); ok {
				kind := r.name(v)
				image, file, audio = string(kind) == "input_image", string(kind) == "input_file", string(kind) == "input_audio"
			}
		case "text", "refusal":
			ok = r.textOrSkip()
		default:
			ok = r.skip()
		}
		if !ok {
			return false
		}
	}
	switch {
	case r.problem != nil:
		return false
	case audio:
		return r.fail(invalid(CodeUnsupported, at, noAudio))
	case image:
		r.f.HasImages = true
		r.f.ImageCount++
		r.tokens.overhead(perImage)
	case file:
		r.f.HasPDF = true
		r.f.FileCount++
		r.tokens.file(r.pos - start)
	}
	return true
}
