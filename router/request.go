package router

// Request is what Wye knows of one call: facts, and views into the call's
// bytes. It is valid only during the call; nothing may keep a view.
type Request struct {
	Deployment []byte // the client's model field
	API        API    // in which the client speaks
	// Untranslatable names what of the request no other API has words for, so that
	// only a backend which speaks the client's own may serve it; empty: nothing.
	Untranslatable string
	Mode           Mode // override; ModeDefault when the client gave none
	// Floor is the least thrifty mode that the deployment's budget allows,
	// ModeDefault when any, and BudgetUsed the share of it that is spent, which
	// decides nothing here.
	Floor      Mode
	BudgetUsed float64
	// Only are the models of the deployment's subset that the client wants;
	// empty: all.
	Only Members
	// Deaf are the models of the deployment's subset that would not honour a
	// parameter that the client requires.
	Deaf  Members
	Needs Capability
	// ToolTypes are the types of the declared tools that the client does not run
	// itself, each once.
	ToolTypes [][]byte
	// PromptTokens is the best estimate of the prompt's length, used for cost;
	// PromptTokensMax errs on the safe side. A model whose window holds it is
	// preferred; one that does not hold even a quarter more than the best
	// estimate is out.
	PromptTokens    int
	PromptTokensMax int
	// OutputCap is the client's bound on output tokens, 0 when it gave none.
	OutputCap int
	// Choices is how many answers the client wants, each of which is paid for;
	// 0 counts as 1.
	Choices int
	Text    Text
	// Hash of the conversation's stable prefix; spreads a model's calls over
	// its backends so that one conversation stays on one backend.
	Hash uint64
	// Session is what is remembered of the conversation, Affinity the client's
	// word on what to make of it, AffinityDefault when it gave none.
	Session  Session
	Affinity Strategy
	// Turn names the request in its caller's memory of conversations. The router
	// makes nothing of it.
	Turn Turn
	// Charged is how many tokens the caller has charged to the deployment for the
	// request, and Caller whom besides, 0 for nobody; likewise.
	Charged int
	Caller  uint64
	// Reserved is how many US dollars have been counted to the deployment's budget
	// for the request; likewise.
	Reserved float64
}

// Text is the prompt as the predictor reads it: unescaped UTF-8, each part
// clipped by whoever scanned the body, so that work stays bounded.
type Text struct {
	System  []byte // system and developer messages
	User    []byte // the last user turn
	History []byte // everything between, newest last
	Tools   []byte // names and descriptions of the declared tools
	// The counts are of the whole request, not of the clipped text.
	Bytes     int // text of all messages and tools
	TurnBytes int // of it, the last user turn's
	Turns     int // messages
	Tool      int // declared tools
	Images    int
}

// Estimate is what a Scorer says of one model for one request.
type Estimate struct {
	Quality      float32 // probability of a good answer, 0 to 1
	Uncertainty  float32 // standard deviation of Quality
	OutputTokens float32 // expected
}

// Scorer estimates models for a request and says what quality is worth on it.
// Score fills out[i] for models[i] and returns the rate at which mode trades
// quality for cost on this prompt: how much quality one US dollar of expected
// cost must buy, at least 0, and 0 in quality mode. It must be pure, safe for
// concurrent use, free of heap allocation and must not keep req or its views. A
// Scorer belongs to one deployment of one Snapshot.
type Scorer interface {
	Score(req *Request, mode Mode, models []ModelIndex, out []Estimate) (rate float64)
	// Version names the predictor, as deployments pin it.
	Version() string
}
