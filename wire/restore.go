package wire

import "bytes"

// MaxRemoved bounds what AppendRemoved keeps, in bytes. Penalties, stop
// sequences and temperatures are a fraction of it.
const MaxRemoved = 4 << 10

// AppendRemoved appends the members that AppendRewrite removes or changes for
// e.Drop, e.MaxTokensField or e.ReasoningEffort, as the body has them and with
// commas between: what AppendRestored takes. A member that does not fit in
// MaxRemoved bytes is left out.
func AppendRemoved(dst, body []byte, f *Facts, e Edit) []byte {
	start, keeper := len(dst), e.capKeeper(body, f)
	caps, efforts := e.changes(body, f, keeper)
	for i := range f.fields {
		at := &f.fields[i]
		lost := e.drops(at) || caps && isCap(at.name) || efforts && string(at.name) == reasoningEffort
		if !lost {
			continue
		}
		member := body[at.key:at.end]
		if len(dst)-start+1+len(member) > MaxRemoved {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, member...)
	}
	return dst
}

// changes reports whether the edit renames or removes an output cap, which bears
// on all of them, and whether it replaces a reasoning effort.
func (e *Edit) changes(body []byte, f *Facts, keeper int) (caps, efforts bool) {
	for i := range f.fields {
		at := &f.fields[i]
		switch {
		case isCap(at.name):
			caps = caps || e.drops(at) || keeper >= 0 && (i != keeper || string(at.name) != e.MaxTokensField)
		case string(at.name) == reasoningEffort:
			efforts = efforts || e.effort(body[at.val:at.end]) != ""
		}
	}
	return caps, efforts
}

// AppendRestored appends a body that was edited before with the members that
// AppendRemoved kept of it: those of the same name make way, and any output cap
// does for one that was kept. members is scratch memory, f gets the fields of
// body. ok is false, and dst as it was, when there is nothing to restore or either
// cannot be read.
func AppendRestored(dst, body, removed []byte, f, members *Facts) (grown []byte, ok bool) {
	if len(removed) == 0 {
		return dst, false
	}
	object := append(append([]byte(`{"model":"-",`), removed...), '}') // nothing is read that has no model
	if ScanFields(object, members) != nil || ScanFields(body, f) != nil {
		return dst, false
	}
	from := bytes.IndexByte(body, '{') + 1
	dst = append(dst, body[:from]...)
	dst = append(dst, removed...)
	for i := range f.fields {
		if at := &f.fields[i]; string(at.name) == "model" || !members.replaces(at.name) {
			dst = append(dst, ',')
			dst = append(dst, body[at.key:at.end]...)
		}
	}
	return append(dst, '}'), true
}

// replaces reports whether the members stand for a field of that name.
func (f *Facts) replaces(name []byte) bool {
	for i := range f.fields {
		kept := f.fields[i].name
		if bytes.Equal(kept, name) || isCap(kept) && isCap(name) {
			return true
		}
	}
	return false
}
