package wire

// How much text of each part Facts keeps: what the predictor reads. A longer
// part keeps its head and its tail, because instructions stand at either end.
const (
	SystemHead, SystemTail = 1536, 512
	UserHead, UserTail     = 3072, 1024
	HistoryTail            = 2048
	ToolsHead              = 1024
)

// Facts are what one scan of a request body finds. A Facts is reusable: Scan
// overwrites it and keeps its memory. Its slices are views into the body or
// into the Facts' own memory and die with either.
type Facts struct {
	// Model is the client's model field, unescaped. ModelStart and ModelEnd
	// delimit its JSON value in the body, quotes included.
	Model                []byte
	ModelStart, ModelEnd int

	Stream      bool
	OutputCap   int // max_completion_tokens, else max_tokens, else 0
	HasImages   bool
	HasPDF      bool
	HasTools    bool
	Parallel    bool // parallel_tool_calls is true
	HasSchema   bool // response_format asks for a JSON schema
	Messages    int
	ToolCount   int
	ImageCount  int
	TextBytes   int // unescaped text of all messages and tools, unclipped
	SystemText  []byte
	UserText    []byte // the last user turn
	HistoryText []byte
	ToolsText   []byte
	// PromptTokens is the best estimate, PromptTokensMax the safe one.
	PromptTokens, PromptTokensMax int
	// PrefixHash is over the leading system message and the first user turn:
	// it stays the same for every turn of one conversation.
	PrefixHash uint64
}

// Problem is a request that cannot be served as it is written.
type Problem struct {
	Status  int    // HTTP
	Type    string // OpenAI's error type, e.g. invalid_request_error
	Code    string // OpenAI's error code, may be empty: null
	Param   string // offending field, may be empty: null
	Message string
}

// Error implements error.
func (p *Problem) Error() string { return p.Message }
