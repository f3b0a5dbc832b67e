package translate

import "fmt"

// Options is what a translated request depends on beside itself.
type Options struct {
	// MaxTokens is sent as the output cap, in tokens, where the client gave none
	// and the API demands one. Default: DefaultMaxTokens.
	MaxTokens int
	// Thinking has the tokens that a model may think for a value of
	// reasoning_effort; 0 tokens: not at all. Other values are left out.
	Thinking map[string]int
	// Effort: the model knows efforts by themselves, and thinks as it sees fit.
	// Then Thinking means nothing.
	Effort bool
	// MaxTokensField is the name of a chat completion's output cap. Default:
	// max_tokens.
	MaxTokensField string
}

// DefaultMaxTokens is an output cap that every model of Anthropic's takes.
const DefaultMaxTokens = 4096

// Request is what a translation found out about a request.
type Request struct {
	Stream bool // the client wants events
	Usage  bool // and the usage at their end: stream_options.include_usage
	// Dropped are the top-level fields of the client's that mean something and
	// are not in the translation, in their order.
	Dropped []string
}

// Unable is why a request cannot be said in the words of the other API.
type Unable struct{ What string }

// Error implements error.
func (u *Unable) Error() string { return u.What + " cannot be translated" }

func unable(format string, a ...any) error { return &Unable{fmt.Sprintf(format, a...)} }

func (o *Options) maxTokens() int64 {
	if o.MaxTokens > 0 {
		return int64(o.MaxTokens)
	}
	return DefaultMaxTokens
}
