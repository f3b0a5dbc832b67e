package wire

import (
	"bytes"
	"slices"
)

// Edit is how a body must change for the backend that serves it.
type Edit struct {
	// Model becomes the value of the model field.
	Model string
	// Drop lists top-level fields to remove. The model field stays whatever
	// Drop says, and so do the output caps when MaxTokensField is set.
	Drop []string
	// MaxTokensField is the one name under which the output cap is sent:
	// max_tokens or max_completion_tokens. Empty leaves it as the client
	// wrote it.
	MaxTokensField string
	// ReasoningEffort has values of reasoning_effort and what is sent in the place
	// of each. No value is in both columns.
	ReasoningEffort [][2]string
}

const (
	maxTokens           = "max_tokens"
	maxCompletionTokens = "max_completion_tokens"
	reasoningEffort     = "reasoning_effort"
)

// ScanFields reads only the top level of a body: enough for AppendRewrite and
// AppendDropped, and nothing else in f is set but Model. It accepts every body
// that Scan accepts.
func ScanFields(body []byte, f *Facts) *Problem {
	f.reset()
	r := reader{scanner: scanner{body: body}, f: f, fieldsOnly: true}
	if !r.request() {
		return r.problem
	}
	return nil
}

// AppendRewrite appends body as e wants it to dst. f holds what Scan or
// ScanFields found in that same body. Every byte stays as the client wrote it,
// except the values of the model and of reasoning_effort, the fields that are removed, each with one comma
// and the white space around it, and the name of the output cap. routing_config,
// which is for the router alone, is always removed. A body without a model field
// is given one at its start. A rewrite repeated changes
// nothing.
//
// What is removed is gone for every later edit of the result: Envoy shows the
// step that rewrites a body for a fallback the body as it was rewritten for
// the first model. AppendRemoved keeps it, and AppendRestored brings it back.
func AppendRewrite(dst, body []byte, f *Facts, e Edit) []byte {
	keeper := e.capKeeper(body, f)
	last := len(f.fields) - 1 // the last field that stays
	for last > 0 && e.removes(&f.fields[last], last, keeper) {
		last--
	}
	from := 0 // body[:from] is dealt with
	if f.ModelEnd == 0 {
		var alone bool
		if alone = last <= 0 && (last < 0 || e.removes(&f.fields[0], 0, keeper)); alone {
			last = -1
		}
		dst, from = appendModel(dst, body, e.Model, alone)
	}
	for i := range f.fields {
		at := &f.fields[i]
		switch {
		case i > last || e.removes(at, i, keeper):
			if i < last {
				dst = append(dst, body[from:at.key]...)
				from = f.fields[i+1].key
			}
		case string(at.name) == "model":
			dst = append(dst, body[from:at.val]...)
			dst = appendString(dst, e.Model)
			from = at.end
		case string(at.name) == reasoningEffort:
			if to := e.effort(body[at.val:at.end]); to != "" {
				dst = append(dst, body[from:at.val]...)
				dst = appendString(dst, to)
				from = at.end
			}
		case i == keeper && string(at.name) != e.MaxTokensField:
			dst = append(dst, body[from:at.key]...)
			dst = appendString(dst, e.MaxTokensField)
			from = at.keyEnd
		}
	}
	if n := len(f.fields) - 1; last < n { // the comma before the removed ones goes
		if last >= 0 {
			dst = append(dst, body[from:f.fields[last].end]...)
		}
		from = f.fields[n].end
	}
	return append(dst, body[from:]...)
}

// effort is what is sent in the place of a value of reasoning_effort, empty when
// the value stays.
func (e *Edit) effort(value []byte) string {
	if len(e.ReasoningEffort) == 0 || value[0] != '"' {
		return ""
	}
	var room [64]byte // more than any value has that may be replaced
	raw := value[1 : len(value)-1]
	text, n := unescape(room[:0], raw, len(room))
	if n < len(raw) {
		return ""
	}
	for _, pair := range e.ReasoningEffort {
		if pair[0] == string(text) {
			return pair[1]
		}
	}
	return ""
}

// appendModel appends the start of the body and a model field that it does not
// have; alone: no other field stays. It returns how much of body that was.
func appendModel(dst, body []byte, model string, alone bool) (grown []byte, from int) {
	from = bytes.IndexByte(body, '{') + 1
	dst = append(dst, body[:from]...)
	dst = append(dst, `"model":`...)
	dst = appendString(dst, model)
	if !alone {
		dst = append(dst, ',')
	}
	return dst, from
}

// AppendRewriteBody is AppendRewrite for a body that was not scanned before; f
// is scratch memory. It returns dst as it was with the problem of a body that
// it cannot edit, which must not be sent on: it may name another model.
func AppendRewriteBody(dst, body []byte, f *Facts, e Edit) ([]byte, *Problem) {
	if p := ScanFields(body, f); p != nil {
		return dst, p
	}
	return AppendRewrite(dst, body, f, e), nil
}

// AppendDropped appends the names of the fields of e.Drop that AppendRewrite
// removes, in the body's order, with commas between. A second output cap that
// says what the first says is not among them.
func AppendDropped(dst []byte, f *Facts, e Edit) []byte {
	first := true
	for i := range f.fields {
		if at := &f.fields[i]; e.drops(at) {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, at.name...)
		}
	}
	return dst
}

// capKeeper is the index of the field that is sent as the output cap when the
// edit wants exactly one, else -1.
func (e *Edit) capKeeper(body []byte, f *Facts) int {
	keeper := -1
	if e.MaxTokensField == "" {
		return keeper
	}
	for i := range f.fields {
		at := &f.fields[i]
		if !isCap(at.name) {
			continue
		}
		null := body[at.val] == 'n'
		if keeper < 0 || body[f.fields[keeper].val] == 'n' || !null && string(at.name) == maxCompletionTokens {
			keeper = i
		}
	}
	return keeper
}

func isCap(name []byte) bool { return string(name) == maxTokens || string(name) == maxCompletionTokens }

// drops reports whether the field is removed because Drop names it.
func (e *Edit) drops(at *field) bool {
	if string(at.name) == "model" || string(at.name) == routingConfig || e.MaxTokensField != "" && isCap(at.name) {
		return false
	}
	return slices.Contains(e.Drop, string(at.name))
}

// removes reports whether the i-th field is not in the result.
func (e *Edit) removes(at *field, i, capKeeper int) bool {
	return string(at.name) == routingConfig || e.drops(at) || capKeeper >= 0 && capKeeper != i && isCap(at.name)
}
