package wire

import (
	"bytes"
	"strconv"
)

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
		start, before := r.pos, r.tokens.bytes
		if !r.text() {
			return false
		}
		r.f.Messages = 1
		r.f.place(r.body, roleUser)
		r.f.TurnBytes = r.tokens.bytes - before
		r.f.turn.add(start, r.pos, roleUser)
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
	answering := false // the last item is part of an answer
	for first := true; r.element(first); first = false {
		if r.peek() != '{' {
			at := r.itemPath("")
			return r.mismatch(at, at+" must be an object")
		}
		start := r.pos
		who, ok := r.item()
		if !ok {
			return false
		}
		// An answer has many items. What it answers is before the first of them.
		answer := who == roleAssistant
		if answer && answering {
			who = roleOther
		}
		answering = answer
		r.f.turn.add(start, r.pos, who)
		r.message++
	}
	r.f.Messages = r.message
	return r.problem == nil
}

// itemPath is the path of what is at more in the item being read.
func (r *reader) itemPath(more string) string {
	return "input[" + strconv.Itoa(r.message) + "]" + more
}

// answers reports whether a model makes items of that type: calls of tools,
// whoever runs them, and what goes with them.
func answers(kind []byte) bool {
	switch string(kind) {
	case "reasoning", "mcp_list_tools", "mcp_approval_request":
		return true
	}
	return bytes.HasSuffix(kind, []byte("_call"))
}

// item reads one item of the input, and says whose it is. Items other than
// messages have no role: calls of tools, their outputs, reasoning, references to
// stored items.
func (r *reader) item() (who role, ok bool) {
	if !r.open() {
		return who, false
	}
	who = roleOther
	answer, before := false, r.tokens.bytes
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
				at := r.itemPath(".role")
				return who, r.mismatch(at, at+" must be a string")
			}
			who, ok = r.role()
		case "type":
			var v str
			if v, ok = r.typeOf(".type"); ok {
				kind := r.name(v)
				answer = answers(kind)
				if string(kind) == "item_reference" && r.f.Stateful == "" {
					r.f.Stateful = r.itemPath("")
				}
			}
		case "content", "output", "summary":
			switch r.peek() {
			case '"':
				ok = r.text()
			case '[':
				ok = r.contents()
			default:
				ok = r.skip()
			}
		case "name", "arguments", "input":
			ok = r.textOrSkip()
		default:
			ok = r.skip()
		}
		if !ok {
			return who, false
		}
	}
	if r.problem != nil {
		return who, false
	}
	r.f.place(r.body, who)
	switch {
	case who == roleUser:
		r.f.TurnBytes = r.tokens.bytes - before
	case who == roleOther && answer:
		who = roleAssistant
	}
	return who, true
}

// typeOf reads the type of an item or of what is in it.
func (r *reader) typeOf(path string) (v str, ok bool) {
	switch r.peek() {
	case '"':
		return r.str()
	case 'n':
		return v, r.literal("null")
	}
	at := r.itemPath(path)
	return v, r.mismatch(at, at+" must be a string")
}

// contents reads the content parts of an item.
func (r *reader) contents() bool {
	if !r.open() {
		return false
	}
	for first := true; r.element(first); first = false {
		if r.peek() != '{' {
			at := r.itemPath(".content")
			return r.mismatch(at, at+" must be an array of objects")
		}
		if !r.contentPart() {
			return false
		}
	}
	return r.problem == nil
}

func (r *reader) contentPart() bool {
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
			if v, ok = r.typeOf(".content[].type"); ok {
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
		return r.fail(invalid(CodeUnsupported, r.itemPath(""), noAudio))
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
