package wire

import (
	"bytes"
	"net/http"
	"strconv"
)

// role is who a message is from, as far as the facts tell roles apart.
type role uint8

const (
	roleMissing role = iota
	roleSystem       // system and developer
	roleUser
	roleAssistant
	roleOther // tool, function, and what is yet to come
)

// at is a fault in the message being read.
func (r *reader) at(code, path, message string) bool {
	param := "messages[" + strconv.Itoa(r.message) + "]" + path
	return r.fail(&Problem{
		Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: code, Param: param, Message: param + " " + message,
	})
}

// wrongType passes a value and fails because of its type.
func (r *reader) wrongType(path, message string) bool {
	return r.skip() && r.at(CodeInvalidType, path, message)
}

func (r *reader) messages() bool {
	if r.peek() != '[' {
		return r.mismatch("messages", "messages must be an array")
	}
	if !r.open() {
		return false
	}
	for first := true; r.element(first); first = false {
		if r.peek() != '{' {
			return r.wrongType("", "must be an object")
		}
		start := r.pos
		who, ok := r.oneMessage()
		if !ok {
			return false
		}
		r.f.turn.add(start, r.pos, who)
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

// oneMessage reads a message. Its texts are only noted while it is read,
// because its role may come last.
func (r *reader) oneMessage() (who role, ok bool) {
	if !r.open() {
		return who, false
	}
	r.f.texts = r.f.texts[:0]
	r.tokens.overhead(perMessage)
	before := r.tokens.bytes
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
			ok = r.content()
		case "refusal", "name":
			ok = r.textOrSkip()
		case "tool_calls":
			ok = r.toolCalls()
		case "function_call":
			ok = r.call()
		case "audio":
			null := r.peek() == 'n'
			ok = r.skip() && (null || r.at(CodeUnsupported, ".audio", "refers to audio, which this router does not support"))
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
	if who == roleMissing {
		return who, r.at(CodeMissing, ".role", "is missing")
	}
	r.f.place(r.body, who)
	if who == roleUser {
		r.f.TurnBytes = r.tokens.bytes - before
	}
	return who, true
}

func (r *reader) role() (role, bool) {
	if r.peek() != '"' {
		return roleMissing, r.wrongType(".role", "must be a string")
	}
	v, ok := r.str()
	switch string(r.name(v)) {
	case "system", "developer":
		return roleSystem, ok
	case "user":
		return roleUser, ok
	case "assistant":
		return roleAssistant, ok
	}
	return roleOther, ok
}

// text reads the string that is next as text of the message.
func (r *reader) text() bool {
	v, ok := r.str()
	if !ok {
		return false
	}
	r.tokens.text(r.body[v.start:v.end], v.escaped)
	r.f.texts = append(r.f.texts, v)
	return true
}

// textOrSkip reads a string as text of the message and passes anything else.
func (r *reader) textOrSkip() bool {
	if r.peek() == '"' {
		return r.text()
	}
	return r.skip()
}

// content reads a message's content: a string, an array of parts or null.
func (r *reader) content() bool {
	switch r.peek() {
	case '"':
		return r.text()
	case 'n':
		return r.literal("null")
	case '[':
	default:
		return r.wrongType(".content", "must be a string or an array of content parts")
	}
	if !r.open() {
		return false
	}
	for i, first := 0, true; r.element(first); i, first = i+1, false {
		if r.peek() != '{' {
			return r.wrongType(".content["+strconv.Itoa(i)+"]", "must be an object")
		}
		if !r.part(i) {
			return false
		}
	}
	return r.problem == nil
}

// part reads one content part.
func (r *reader) part(i int) bool {
	if !r.open() {
		return false
	}
	image, file, audio, fileBytes := false, false, false, 0
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
				return r.wrongType(".content["+strconv.Itoa(i)+"].type", "must be a string")
			}
			v, ok = r.str()
			kind := r.name(v)
			image, file, audio = string(kind) == "image_url", string(kind) == "file", string(kind) == "input_audio"
		case "text", "refusal":
			ok = r.textOrSkip()
		case "file":
			start := r.pos
			ok = r.skip()
			fileBytes = r.pos - start
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
		return r.at(CodeUnsupported, ".content["+strconv.Itoa(i)+"]", "is audio, which this router does not support")
	case image:
		r.f.HasImages = true
		r.f.ImageCount++
		r.tokens.overhead(perImage)
	case file:
		r.f.HasPDF = true
		r.f.FileCount++
		r.tokens.file(fileBytes)
	}
	return true
}

// toolCalls reads the calls that an assistant's message made.
func (r *reader) toolCalls() bool {
	if r.peek() != '[' {
		return r.skip()
	}
	if !r.open() {
		return false
	}
	for first := true; r.element(first); first = false {
		if !r.call() {
			return false
		}
	}
	return r.problem == nil
}

// call reads a tool call, or the function or custom tool inside it: what
// matters is the text of its name and arguments.
func (r *reader) call() bool {
	if r.peek() != '{' {
		return r.skip()
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
		switch string(r.name(k)) {
		case "function", "custom":
			ok = r.call()
		case "name", "arguments", "input":
			ok = r.textOrSkip()
		default:
			ok = r.skip()
		}
		if !ok {
			return false
		}
	}
}

// tools reads the declared tools, or the functions of the older protocol.
func (r *reader) tools(param string) bool {
	switch r.peek() {
	case 'n':
		return r.literal("null")
	case '[':
	default:
		return r.mismatch(param, param+" must be an array")
	}
	if !r.open() {
		return false
	}
	for i, first := 0, true; r.element(first); i, first = i+1, false {
		if r.peek() != '{' {
			return r.mismatch(param, param+"["+strconv.Itoa(i)+"] must be an object")
		}
		r.f.ToolCount++
		r.f.HasTools = true
		r.tokens.overhead(perTool)
		if !r.tool(true) {
			return false
		}
	}
	return r.problem == nil
}

// tool reads a declared tool, or the function or custom tool inside it. Its
// schema is shown to the model and so counts as it is written. outer: it is a
// tool and not something inside one.
func (r *reader) tool(outer bool) bool {
	if r.peek() != '{' {
		return r.skip()
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
		switch string(r.name(k)) {
		case "function", "custom":
			ok = r.tool(false)
		case "name", "description":
			ok = r.toolText()
		case "type":
			ok = r.toolType(outer)
		case "parameters", "format", "input_schema":
			ok = r.counted()
		default:
			ok = r.skip()
		}
		if !ok {
			return false
		}
	}
}

// MaxToolTypes is how many types of tools that providers run a request may name.
const MaxToolTypes = 32

// toolType notes the type of a tool unless it is one that clients run. Anthropic's
// types are not noted: only backends of its own API are sent such requests.
func (r *reader) toolType(outer bool) bool {
	if !outer || r.peek() != '"' || r.shape == ShapeMessages || r.shape == ShapeCountTokens {
		return r.skip()
	}
	v, ok := r.str()
	if !ok {
		return false
	}
	switch string(r.name(v)) {
	case "function", "custom":
		return true
	}
	name := r.body[v.start:v.end]
	if v.escaped {
		name = r.f.keep(name)
	}
	return r.hosted(name)
}

// hosted notes a type of tools that providers run; name is a view that lasts.
func (r *reader) hosted(name []byte) bool {
	for _, known := range r.f.ToolTypes {
		if bytes.Equal(known, name) {
			return true
		}
	}
	if len(r.f.ToolTypes) == MaxToolTypes {
		return r.fail(invalid(CodeInvalidValue, "tools", "tools have more than "+strconv.Itoa(MaxToolTypes)+" types"))
	}
	r.f.ToolTypes = append(r.f.ToolTypes, name)
	return true
}

// webSearch reads web_search_options, which ask for a search without declaring
// a tool.
func (r *reader) webSearch() bool {
	if r.peek() == 'n' {
		return r.literal("null")
	}
	return r.skip() && r.hosted(webSearchTool)
}

var webSearchTool = []byte("web_search")

func (r *reader) toolText() bool {
	if r.peek() != '"' {
		return r.skip()
	}
	v, ok := r.str()
	if !ok {
		return false
	}
	raw := r.body[v.start:v.end]
	r.tokens.text(raw, v.escaped)
	r.f.tools.separate()
	r.f.tools.add(raw, v.escaped)
	return true
}
