package wire

// Shape is which API's requests and errors are read and written.
type Shape uint8

// The shapes. The zero Shape is OpenAI's chat completions.
const (
	ShapeChat        Shape = iota
	ShapeMessages          // Anthropic's Messages
	ShapeCountTokens       // the same without an output cap
	ShapeResponses         // OpenAI's Responses
	ShapeCompletions       // OpenAI's older completions
	ShapeEmbeddings        // OpenAI's embeddings
)

// names lists the top-level fields that a scan of the shape reads, in the order
// of their bits.
func (s Shape) names() []string {
	switch s {
	case ShapeMessages, ShapeCountTokens:
		return messagesNames[:]
	case ShapeResponses:
		return responsesNames[:]
	case ShapeCompletions:
		return completionsNames[:]
	case ShapeEmbeddings:
		return embeddingsNames[:]
	case ShapeChat:
	}
	return knownNames[:]
}

// preamble is the fields that providers put before the messages: tools and the
// answer's schema.
func (s Shape) preamble() known {
	switch s {
	case ShapeChat:
		return fieldTools | fieldFunctions | fieldResponseFormat
	case ShapeMessages, ShapeCountTokens:
		return messagesTools | messagesOutputConfig | messagesOutputFormat
	case ShapeResponses:
		return responsesTools | responsesText
	case ShapeCompletions, ShapeEmbeddings:
	}
	return 0
}

// missing returns a field beside model that a request must have and that is not
// among seen; empty: there is none. All of a Responses request may come from a
// stored prompt.
func (s Shape) missing(seen known) string {
	switch {
	case s == ShapeChat && seen&fieldMessages == 0:
		return "messages"
	case (s == ShapeMessages || s == ShapeCountTokens) && seen&messagesMessages == 0:
		return "messages"
	case s == ShapeMessages && seen&messagesMaxTokens == 0:
		return "max_tokens"
	case s == ShapeEmbeddings && seen&embeddingsInput == 0:
		return "input"
	}
	return ""
}
