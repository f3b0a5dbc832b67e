package predict

// Input is a prompt as the predictor reads it. The texts are views of unescaped
// UTF-8, read only during the call; invalid UTF-8 is harmless. Text beyond the
// documented sizes is clipped, so the work of one call is bounded.
type Input struct {
	System  []byte // system and developer messages
	User    []byte // the last user turn: its first 1,024 and last 512 bytes count
	History []byte // what came before it, newest last
	Tools   []byte // names and descriptions of the declared tools

	Bytes        int // text of the whole request
	Turns        int // messages
	ToolCount    int // declared tools
	Images       int
	PromptTokens int // of the whole request, estimated
}

// strange reports whether the prompt is of a kind that cannot be in the training
// data, which has neither tools nor images.
func (in *Input) strange() bool { return in.Images > 0 || in.ToolCount > 0 }

// Output is what Predict says of one model.
type Output struct {
	// Quality is the probability of a good answer, 0 to 1.
	Quality float32
	// Uncertainty is the standard deviation of Quality.
	Uncertainty float32
	// OutputTokens is the expected length of the answer.
	OutputTokens float32
	// Guarded is set when the prompt is so unlike the training data that
	// Quality rests mostly on the model's average instead of on the prompt.
	Guarded bool
}

// Limits of the text that is read, in bytes. Whoever clips earlier should keep
// the same parts.
const (
	maxUserHead = 1024
	maxUserTail = 512
	maxSystem   = 1024
	maxHistory  = 1024
	maxTools    = 1024
)

// head returns the first n bytes of b at most.
func head(b []byte, n int) []byte {
	if len(b) > n {
		return b[:n]
	}
	return b
}

// tail returns the last n bytes of b at most.
func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}
