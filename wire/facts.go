package wire

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// How much text of each part Facts keeps: what the predictor reads. A longer
// part keeps its head and its tail, because instructions stand at either end.
const (
	SystemHead, SystemTail = 1536, 512
	UserHead, UserTail     = 1024, 512
	HistoryTail            = 2048
	ToolsHead              = 1024
)

// MaxFields is how many top-level fields a body may have. OpenAI documents
// fewer than fifty.
const MaxFields = 128

// Facts are what one scan of a request body finds. A Facts is reusable: Scan
// overwrites it and keeps its memory. Its slices are views into the body or
// into the Facts' own memory and die with either.
type Facts struct {
	// Model is the client's model field, unescaped. ModelStart and ModelEnd
	// delimit its JSON value in the body, quotes included; they are 0 when the
	// body has none, which ScanFor alone lets pass.
	Model                []byte
	ModelStart, ModelEnd int

	Stream    bool
	OutputCap int // max_completion_tokens, else max_tokens, else 0; max_output_tokens of Responses
	Choices   int // n, 0 when it is not there or no number of answers
	HasImages bool
	HasPDF    bool
	HasTools  bool
	Parallel  bool // parallel_tool_calls is true
	HasSchema bool // response_format asks for a JSON schema
	// ToolTypes are the types of the declared tools that the provider runs, each
	// once: not function and custom, which the client runs.
	ToolTypes  [][]byte
	Messages   int
	ToolCount  int
	ImageCount int
	FileCount  int
	TextBytes  int // unescaped text of all messages and tools, unclipped
	TurnBytes  int // of it, the last user turn's

	SystemText  []byte // system and developer messages
	UserText    []byte // the last user turn
	HistoryText []byte // all other messages, newest last
	ToolsText   []byte // names and descriptions of the declared tools
	// PromptTokens is the best estimate, PromptTokensMax the safe one.
	PromptTokens, PromptTokensMax int
	// PrefixHash is over the leading system messages and the first user turn:
	// it stays the same for every turn of one conversation.
	PrefixHash uint64

	// Routing and the next two are what routing_config asks for. SessionID is
	// nil when there is none.
	Routing         Routing
	SessionID       []byte
	SessionStrategy Strategy

	turn turn
	// Stateful names the field by which a Responses request refers to what its
	// provider alone knows, such as previous_response_id; empty: none.
	Stateful string

	fields []field    // top-level, in the body's order
	texts  []str      // of the message being read
	names  []byte     // memory of unescaped field names and of Model
	refs   []ModelRef // memory of Routing.Models

	// history holds what came before the user turn in user, since what came
	// after it.
	system, user, history, since, tools clip

	turns                          int // user messages
	maxTokens, maxCompletionTokens int
}

// field is one member of the body's top-level object: byte offsets, quotes
// included.
type field struct {
	name                  []byte // unescaped
	key, keyEnd, val, end int
}

// keepTexts bounds the memory that reset keeps for the texts of one message.
const keepTexts = 1024

// reset makes f as good as new and keeps its memory.
func (f *Facts) reset() {
	kept := Facts{
		fields: f.fields[:0], texts: f.texts[:0], names: f.names[:0], refs: f.refs[:0], ToolTypes: f.ToolTypes[:0],
		system: f.system, user: f.user, history: f.history, since: f.since, tools: f.tools,
	}
	if cap(kept.texts) > keepTexts {
		kept.texts = nil
	}
	clear(f.refs) // views into the last body
	*f = kept
}

// initTexts readies the memory for texts.
func (f *Facts) initTexts() {
	f.system.init(SystemHead, SystemTail)
	f.history.init(0, HistoryTail)
	// These two may end up in history, which they must fill even if a
	// character is cut off.
	f.user.init(UserHead, HistoryTail+utf8.UTFMax)
	f.since.init(0, HistoryTail+utf8.UTFMax)
	f.tools.init(ToolsHead, 0)
}

// place puts the texts of the message that was read where they belong.
func (f *Facts) place(body []byte, who role) {
	switch who {
	case roleSystem:
		f.system.append(body, f.texts)
	case roleUser:
		if f.turns++; f.turns > 1 { // the user turn so far was not the last
			f.history.join(&f.user)
			f.history.join(&f.since)
			f.user.reset()
			f.since.reset()
		}
		f.user.append(body, f.texts)
		if f.turns == 1 {
			f.PrefixHash = f.prefixHash()
		}
	case roleMissing, roleAssistant, roleOther:
		if f.turns == 0 {
			f.history.append(body, f.texts)
		} else {
			f.since.append(body, f.texts)
		}
	}
}

// append adds texts of one message, a line each, without white space at their
// ends.
func (c *clip) append(body []byte, texts []str) {
	for _, t := range texts {
		if text := trimEnd(body[t.start:t.end], t.escaped); len(text) > 0 {
			c.separate()
			c.add(text, t.escaped)
		}
	}
}

// join adds to c, which keeps a tail only, what o kept.
func (c *clip) join(o *clip) {
	if len(o.head)+len(o.tail) == 0 {
		return
	}
	c.separate()
	c.addTail(o.head, false)
	c.addTail(o.tail, false)
}

// prefixHash hashes the system messages and the user turn read so far.
func (f *Facts) prefixHash() uint64 {
	h := uint64(len(f.system.head))
	for _, part := range [...][]byte{f.system.head, f.system.tail, f.user.head, f.user.tail} {
		h = mix(h, part)
	}
	return h
}

// mix continues the hash h with b. It is no defence against collisions made on
// purpose: whoever makes them only moves their own calls to one backend.
func mix(h uint64, b []byte) uint64 {
	const odd = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio
	step := func(w uint64) {
		hi, lo := bits.Mul64(h^w, odd)
		h = hi ^ lo ^ w
	}
	n := uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		step(binary.LittleEndian.Uint64(b))
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	step(n)
	return h
}

// finish sets what is known only at the end of the scan.
func (f *Facts) finish(t *tally) {
	if f.turns == 0 {
		f.PrefixHash = f.prefixHash()
	}
	f.history.join(&f.since)
	f.SystemText = f.system.text(SystemTail)
	f.UserText = f.user.text(UserTail)
	f.HistoryText = f.history.text(HistoryTail)
	f.ToolsText = f.tools.text(0)
	f.TextBytes = t.bytes
	f.PromptTokens, f.PromptTokensMax = t.tokens()
	if f.OutputCap = f.maxCompletionTokens; f.OutputCap == 0 {
		f.OutputCap = f.maxTokens
	}
}
