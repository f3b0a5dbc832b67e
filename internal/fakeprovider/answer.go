package fakeprovider

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/tidwall/gjson"
)

// answer is what a request gets: every choice says the same, which is all that
// a fake needs to say.
type answer struct {
	id       string
	choices  int
	stream   bool
	usage    bool // asked for in a stream
	content  string
	pieces   []string // content, a token or so each
	call     *call    // instead of content
	finish   string   // finish_reason
	servedAs string

	promptTokens, cachedTokens  int
	textTokens, reasoningTokens int // of one choice
}

// call is a tool call.
type call struct{ id, name, arguments string }

func (a *answer) completionTokens() int { return a.choices * (a.textTokens + a.reasoningTokens) }

// prose is what answers are cut from: sentences of short words, 1.3 tokens a
// word or so, without anything that JSON would escape.
var prose = sync.OnceValues(func() (text string, wordEnds []int) {
	words := strings.Fields(`a the this that one way to see it is first look at what we know and then ask how each part
	works with others so start small measure again keep only steps which help when result holds you can trust more than
	guess in short value of answer depends on question data time cost model route light garden river number table`)
	random := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	for sentence := 0; len(wordEnds) < maxWords; {
		word := words[random.IntN(len(words))]
		if sentence == 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
		if sentence++; sentence > 6 && random.IntN(6) == 0 {
			b.WriteByte('.')
			sentence = 0
		}
		wordEnds = append(wordEnds, b.Len())
	}
	return b.String(), wordEnds
})

// maxWords bounds an answer.
const maxWords = 8192

// effortTokens is how long a reasoning model usually thinks.
var effortTokens = map[string]int{"none": 0, "minimal": 0, "low": 64, "": 256, "medium": 256, "high": 1024, "xhigh": 2048}

// answer makes up the answer to a request.
func (s *Server) answer(req *request) *answer {
	hash := fnv.New64a()
	hash.Write([]byte(s.config.Model))
	prompt := promptText(req.messages)
	hash.Write(prompt)
	random := rand.New(rand.NewPCG(s.config.Seed, hash.Sum64()))
	a := &answer{
		id: "chatcmpl-" + letters(random, 24), choices: req.choices, stream: req.stream, usage: req.usage, finish: "stop",
		servedAs: s.config.ServedAs, promptTokens: len(prompt)/4 + 4*int(req.messages.Get("#").Int()) + len(req.tools.Raw)/5,
	}
	a.cachedTokens = min(s.cache.use(prompt), a.promptTokens)
	spread := func(usual int) int { // half to twice the usual
		return int(float64(usual) * (0.5 + 1.5*random.Float64()*random.Float64()))
	}
	if s.config.Reasoning {
		a.reasoningTokens = spread(effortTokens[req.effort])
	}
	room := maxWords
	if req.limit > 0 {
		a.reasoningTokens = min(a.reasoningTokens, req.limit)
		room = req.limit - a.reasoningTokens
	}
	if tool, ok := req.calledTool(); ok {
		a.call = &call{id: "call_" + letters(random, 24), name: tool.Get("name").String(), arguments: instance(tool.Get("parameters"), 0)}
		a.finish, a.textTokens = "tool_calls", 8+len(a.call.arguments)/3
		return a
	}
	if format := req.format.Get("type").String(); format == "json_schema" || format == "json_object" {
		a.content = instance(req.format.Get("json_schema.schema"), 0)
		a.pieces = cut(a.content, 4)
		a.textTokens = len(a.pieces)
		if a.textTokens > room {
			a.textTokens, a.finish = room, "length"
			a.pieces = a.pieces[:room]
			a.content = strings.Join(a.pieces, "")
		}
		return a
	}
	a.textTokens = max(1, min(spread(s.config.Tokens), maxWords))
	if a.textTokens > room {
		a.textTokens, a.finish = room, "length"
	}
	text, ends := prose()
	start := random.IntN(maxWords - a.textTokens + 1)
	at := 0
	if start > 0 {
		at = ends[start-1] + 1
	}
	if a.textTokens > 0 {
		a.content = text[at:ends[start+a.textTokens-1]]
	}
	if a.stream {
		for _, end := range ends[start : start+a.textTokens] {
			a.pieces = append(a.pieces, text[at:end])
			at = end
		}
	}
	return a
}

// cut cuts s into pieces of n bytes, which are ASCII.
func cut(s string, n int) (pieces []string) {
	for ; len(s) > n; s = s[n:] {
		pieces = append(pieces, s[:n])
	}
	return append(pieces, s)
}

func letters(random *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(random.IntN(26))
	}
	return string(b)
}

// promptText joins the texts of all messages.
func promptText(messages gjson.Result) (text []byte) {
	messages.ForEach(func(_, m gjson.Result) bool {
		content := m.Get("content")
		if content.IsArray() {
			content.ForEach(func(_, part gjson.Result) bool {
				text = append(text, part.Get("text").String()...)
				return true
			})
		} else {
			text = append(text, content.String()...)
		}
		text = append(text, '\n')
		return true
	})
	return text
}

// calledTool is the function that tool_choice forces a call of.
func (req *request) calledTool() (tool gjson.Result, ok bool) {
	if req.blocks || req.flat {
		find := req.calledFlatTool
		if req.blocks {
			find = req.calledBlockTool
		}
		name, schema, ok := find()
		if !ok {
			return tool, false
		}
		text, _ := json.Marshal(name) // a string always marshals
		return gjson.Parse(`{"name":` + string(text) + `,"parameters":` + schema.Raw + `}`), true
	}
	want := req.toolChoice.Get("function.name").String()
	if want == "" && req.toolChoice.String() != "required" {
		return tool, false
	}
	req.tools.ForEach(func(_, t gjson.Result) bool {
		function := t.Get("function")
		if ok = function.Exists() && (want == "" || function.Get("name").String() == want); ok {
			tool = function
		}
		return !ok
	})
	return tool, ok
}
