package wire

// The top-level fields that a scan reads of OpenAI's older completions, and of its
// embeddings. The first is that of every shape.
const (
	_ known = 1 << iota // model
	completionsPrompt
	completionsMaxTokens
	completionsStream
	completionsRoutingConfig
)

const (
	_ known = 1 << iota // model
	embeddingsInput
	embeddingsRoutingConfig
)

var (
	completionsNames = [...]string{"model", "prompt", "max_tokens", "stream", routingConfig}
	embeddingsNames  = [...]string{"model", "input", routingConfig}
)

func (r *reader) completionsValue(is known) bool {
	switch is {
	case fieldModel:
		return r.model()
	case completionsPrompt:
		return r.inputs("prompt")
	case completionsMaxTokens:
		return r.outputCap("max_tokens", &r.f.maxTokens)
	case completionsStream:
		return r.boolean("stream", &r.f.Stream)
	case completionsRoutingConfig:
		return r.routing()
	default:
		return r.skip()
	}
}

func (r *reader) embeddingsValue(is known) bool {
	switch is {
	case fieldModel:
		return r.model()
	case embeddingsInput:
		return r.inputs("input")
	case embeddingsRoutingConfig:
		return r.routing()
	default:
		return r.skip()
	}
}

// inputs reads a text, a list of tokens, or a list of either. Each of a list is
// an input of its own, so that what counts for a window is the longest.
func (r *reader) inputs(param string) bool {
	f := r.f
	f.texts = f.texts[:0]
	switch r.peek() {
	case '"':
		if !r.text() {
			return false
		}
		f.Messages = 1
	case 'n':
		return r.literal("null")
	case '[':
		if !r.inputList(param) {
			return false
		}
	default:
		return r.mismatch(param, param+" must be a string or an array")
	}
	f.place(r.body, roleUser)
	f.TurnBytes = r.tokens.bytes
	return true
}

// perToken is what one token costs that the client has counted itself.
var perToken = cost{1, 1}

func (r *reader) inputList(param string) bool {
	if !r.open() {
		return false
	}
	var longest tally
	bytes, tokens := 0, false
	for first := true; r.element(first); first = false {
		ok := false
		switch c := r.peek(); {
		case c == '"':
			ok = r.text()
		case c == '[':
			ok = r.tokenList(param)
		case c >= '0' && c <= '9':
			tokens, ok = true, r.number()
			r.tokens.overhead(perToken)
		default:
			return r.mismatch(param, param+" must be an array of strings, of tokens or of arrays of tokens")
		}
		if !ok {
			return false
		}
		if !tokens {
			r.f.Messages++
			bytes += r.tokens.bytes
			longest = tally{best: max(longest.best, r.tokens.best), max: max(longest.max, r.tokens.max)}
			r.tokens = tally{}
		}
	}
	if r.problem != nil {
		return false
	}
	switch {
	case tokens:
		r.f.Messages++
	case r.f.Messages == 0:
		return r.fail(invalid(CodeEmptyArray, param, param+" must not be empty"))
	default:
		r.tokens = longest
		r.tokens.bytes = bytes
	}
	return true
}

// tokenList passes an array of tokens.
func (r *reader) tokenList(param string) bool {
	if !r.open() {
		return false
	}
	for first := true; r.element(first); first = false {
		if c := r.peek(); c < '0' || c > '9' {
			return r.mismatch(param, param+" must be an array of arrays of tokens")
		}
		if !r.number() {
			return false
		}
		r.tokens.overhead(perToken)
	}
	return r.problem == nil
}
