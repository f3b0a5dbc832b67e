package wire

import "strconv"

// The top-level fields of a Messages request that a scan reads. The first two
// are those of every shape.
const (
	_                known = 1 << iota // model
	messagesMessages                   // messages
	messagesSystem
	messagesMaxTokens
	messagesStream
	messagesTools
	messagesToolChoice
	messagesOutputConfig
	messagesOutputFormat
	messagesRoutingConfig
)

var messagesNames = [...]string{
	"model", "messages", "system", "max_tokens", "stream", "tools", "tool_choice", "output_config", "output_format",
	routingConfig,
}

// messagesValue reads the value of a top-level field of a Messages request.
func (r *reader) messagesValue(is known) bool {
	switch is {
	case fieldModel:
		return r.model()
	case messagesMessages:
		return r.blockMessages()
	case messagesSystem:
		return r.system()
	case messagesMaxTokens:
		return r.outputCap("max_tokens", &r.f.maxTokens)
	case messagesStream:
		return r.boolean("stream", &r.f.Stream)
	case messagesTools:
		return r.tools("tools")
	case messagesOutputConfig:
		return r.nested("output_config", "format")
	case messagesOutputFormat:
		return r.outputFormat()
	case messagesRoutingConfig:
		return r.routing()
	default:
		return r.skip()
	}
}

// nested reads one member of an object or null, format or its type, and passes
// the others.
func (r *reader) nested(param, member string) bool {
	switch r.peek() {
	case 'n':
		return r.literal("null")
	case '{':
	default:
		return r.mismatch(param, param+" must be an object")
	}
	if !r.open() {
		return false
	}
	for first := true; ; first = false {
		k, more := r.key(first)
		if !more {
			return r.problem == nil
		}
		ok := false
		switch {
		case string(r.name(k)) != member:
			ok = r.skip()
		case member == "format":
			ok = r.outputFormat()
		default:
			ok = r.formatType()
		}
		if !ok {
			return false
		}
	}
}

// outputFormat looks for a JSON schema; its text is shown to the model.
func (r *reader) outputFormat() bool {
	start := r.pos
	if r.peek() != '{' {
		return r.skip()
	}
	if !r.nested("format", "type") {
		return false
	}
	r.tokens.text(r.body[start:r.pos], false)
	return true
}

func (r *reader) formatType() bool {
	v, ok := r.optional("format.type")
	if ok && string(r.name(v)) == "json_schema" {
		r.f.HasSchema = true
	}
	return ok
}

// system reads the system prompt: a string, text blocks or null.
func (r *reader) system() bool {
	r.f.texts = r.f.texts[:0]
	ok := false
	switch r.peek() {
	case '"':
		ok = r.text()
	case 'n':
		ok = r.literal("null")
	case '[':
		_, ok = r.blocks("system", 0)
	default:
		return r.mismatch("system", "system must be a string or an array of text blocks")
	}
	if ok {
		r.f.place(r.body, roleSystem)
	}
	return ok
}

func (r *reader) blockMessages() bool {
	if r.peek() != '[' {
		return r.mismatch("messages", "messages must be an array")
	}
	if !r.open() {
		return false
	}
	before := r.tokens.bytes
	for first := true; r.element(first); first = false {
		if r.peek() != '{' {
			return r.wrongType("", "must be an object")
		}
		if !r.blockMessage(before) {
			return false
		}
		r.message++
	}
	if r.problem != nil {
		return false
	}
	if r.f.Messages = r.message; r.message == 0 {
		return r.fail(invalid(CodeEmptyArray, "messages", "messages must not be empty"))
	}
	return true
}

// blockMessage reads a message. A user message that has nothing but results of
// tools is none of the user's. before is the text before all messages, in bytes.
func (r *reader) blockMessage(before int) bool {
	if !r.open() {
		return false
	}
	start := r.tokens.bytes
	who, results := roleMissing, false
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
			who, ok = r.role()
		case "content":
			switch r.peek() {
			case '"':
				ok = r.text()
			case '[':
				results, ok = r.blocks(inMessage, 0)
			default:
				return r.wrongType(".content", "must be a string or an array of content blocks")
			}
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
	case who == roleMissing:
		return r.at(CodeMissing, ".role", "is missing")
	case who == roleUser && results:
		who = roleOther
	}
	f := r.f
	f.place(r.body, who)
	if who == roleUser {
		f.TurnBytes = r.tokens.bytes - start
	}
	// Counts tell apart what is without a text.
	end := mark{length: r.tokens.bytes - before + r.message + f.ImageCount + f.FileCount}
	if n := len(f.texts); n > 0 {
		end.from, end.to = f.texts[n-1].start, f.texts[n-1].end
	}
	f.turn.addMark(end, who)
	return true
}

// maxBlockDepth is how deep content blocks nest: a result has a document that
// has text.
const maxBlockDepth = 4

// inMessage stands for the path of the content of the message being read, which
// is made only when an error needs it.
const inMessage = ""

func (r *reader) blocksPath(param string) string {
	if param == inMessage {
		return "messages[" + strconv.Itoa(r.message) + "].content"
	}
	return param
}

// blocks reads an array of content blocks, under the path param or inMessage.
// results: there is at least one, and all are results of tools.
func (r *reader) blocks(param string, depth int) (results, ok bool) {
	if depth == maxBlockDepth {
		return false, r.skip()
	}
	if !r.open() {
		return false, false
	}
	all, i := true, 0
	for first := true; r.element(first); first = false {
		if r.peek() != '{' {
			at := r.blocksPath(param) + "[" + strconv.Itoa(i) + "]"
			return false, r.mismatch(at, at+" must be an object")
		}
		result, ok := r.block(param, depth)
		if !ok {
			return false, false
		}
		all = all && result
		i++
	}
	return all && i > 0, r.problem == nil
}

// block reads one content block, of whatever kind: its type may come last.
func (r *reader) block(param string, depth int) (result, ok bool) {
	if !r.open() {
		return false, false
	}
	var image, document bool
	sourceBytes := 0
	for first := true; ; first = false {
		k, more := r.key(first)
		if !more {
			break
		}
		ok := false
		switch string(r.name(k)) {
		case "type":
			var v str
			if r.peek() != '"' {
				at := r.blocksPath(param) + "[].type"
				return false, r.mismatch(at, at+" must be a string")
			}
			if v, ok = r.str(); ok {
				kind := r.name(v)
				image, document, result = string(kind) == "image", string(kind) == "document", string(kind) == "tool_result"
			}
		case "text", "thinking", "name", "title":
			ok = r.textOrSkip()
		case "input":
			ok = r.counted()
		case "content":
			switch r.peek() {
			case '"':
				ok = r.text()
			case '[':
				_, ok = r.blocks(param, depth+1)
			default:
				ok = r.skip()
			}
		case "source":
			start := r.pos
			ok = r.skip()
			sourceBytes = r.pos - start
		default:
			ok = r.skip()
		}
		if !ok {
			return false, false
		}
	}
	switch {
	case r.problem != nil:
		return false, false
	case image:
		r.f.HasImages = true
		r.f.ImageCount++
		r.tokens.overhead(perImage)
	case document:
		r.f.HasPDF = true
		r.f.FileCount++
		r.tokens.file(sourceBytes)
	}
	return result, true
}
