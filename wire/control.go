package wire

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// routingConfig is the field of a body that is addressed to the router and not
// to a model. No edit lets it through to a provider.
const routingConfig = "routing_config"

// MaxSessionID is how many characters a session id may have.
const MaxSessionID = 256

// Routing is what a body's routing_config asks of the router, in the shape that
// clients of Microsoft Foundry's model router send:
//
//	{"mode": "balanced", "models": ["a", {"name": "b", "version": "…", "format": "…"}],
//	 "require_parameters": true, "trace": true,
//	 "session_affinity": {"strategy": "adaptive", "session_id": "…"}}
//
// Every member may be missing or null; strategy may be called mode. What the
// names mean is not this package's business. The views are as those of Facts.
type Routing struct {
	Mode   []byte     // as the client wrote it, unescaped; nil: none
	Models []ModelRef // nil: no restriction; never empty otherwise
	// RequireParameters: only models that honour every parameter may serve.
	RequireParameters bool
	// Trace: the client wants to see the decision.
	Trace bool
}

// ModelRef names a model. Version and Format may be empty.
type ModelRef struct{ Name, Version, Format []byte }

// Strategy says how a conversation is kept on its model.
type Strategy uint8

// The strategies. StrategyDefault stands for the deployment's own.
const (
	StrategyDefault Strategy = iota
	StrategyAdaptive
	StrategySticky
	StrategyNone
)

var strategyNames = [...]string{StrategyAdaptive: "adaptive", StrategySticky: "sticky", StrategyNone: "none"}

// String is the strategy as clients spell it, empty for the default.
func (s Strategy) String() string {
	if int(s) < len(strategyNames) {
		return strategyNames[s]
	}
	return "strategy(" + strconv.Itoa(int(s)) + ")"
}

// Sends reports whether body has a top-level field of that name that is not
// null. f holds what a scan of body found.
func (f *Facts) Sends(body []byte, name string) bool {
	for i := range f.fields {
		if string(f.fields[i].name) == name {
			return body[f.fields[i].val] != 'n'
		}
	}
	return false
}

// The members that routing_config and what is in it may have, by their paths.
const (
	inRouting  = routingConfig + "."
	inAffinity = inRouting + "session_affinity."
	inModels   = inRouting + "models[]."
)

var (
	routingMembers = []string{
		inRouting + "mode", inRouting + "models", inRouting + "require_parameters", inRouting + "trace", inRouting + "session_affinity",
	}
	affinityMembers = []string{inAffinity + "strategy", inAffinity + "mode", inAffinity + "session_id"}
	modelMembers    = []string{inModels + "name", inModels + "version", inModels + "format"}
)

// members calls read for each member of the object that is next, with its path,
// which is one of paths: prefix and a name. A name that is not among them, and
// one that comes twice, is a fault: what is meant to restrict a request must not
// be ignored. null is an object without members.
func (r *reader) members(prefix string, paths []string, read func(path string) bool) bool {
	switch r.peek() {
	case 'n':
		return r.literal("null")
	case '{':
	default:
		path := prefix[:len(prefix)-1]
		return r.mismatch(path, path+" must be an object")
	}
	if !r.open() {
		return false
	}
	var seen uint
	for first := true; ; first = false {
		k, more := r.key(first)
		if !more {
			return r.problem == nil
		}
		name := r.name(k)
		i := 0
		for i < len(paths) && string(name) != paths[i][len(prefix):] {
			i++
		}
		switch {
		case i == len(paths):
			path := prefix + printable(name)
			return r.skip() && r.fail(invalid(CodeUnknownParameter, path, "unknown parameter "+path))
		case seen&(1<<i) != 0:
			return r.fail(invalid(CodeDuplicate, paths[i], "the request has "+paths[i]+" twice"))
		}
		seen |= 1 << i
		if !read(paths[i]) {
			return false
		}
	}
}

// routing reads routing_config.
func (r *reader) routing() bool {
	to := &r.f.Routing
	return r.members(inRouting, routingMembers, func(path string) (ok bool) {
		switch path {
		case inRouting + "mode":
			to.Mode, ok = r.kept(path)
		case inRouting + "models":
			ok = r.modelRefs(path)
		case inRouting + "require_parameters":
			ok = r.boolean(path, &to.RequireParameters)
		case inRouting + "trace":
			ok = r.boolean(path, &to.Trace)
		case inRouting + "session_affinity":
			ok = r.affinity()
		}
		return ok
	})
}

// kept reads a string or null, unescaped: nil for null, never empty otherwise.
func (r *reader) kept(path string) ([]byte, bool) {
	null := r.peek() == 'n'
	v, ok := r.optional(path)
	if !ok || null {
		return nil, ok
	}
	text := r.body[v.start:v.end]
	if v.escaped {
		text = r.f.keep(text)
	}
	if len(text) == 0 {
		return nil, r.fail(invalid(CodeEmptyString, path, path+" must not be empty"))
	}
	return text, true
}

// modelRefs reads routing_config.models: names, or objects of name, version and
// format.
func (r *reader) modelRefs(path string) bool {
	switch r.peek() {
	case 'n':
		return r.literal("null")
	case '[':
	default:
		return r.mismatch(path, path+" must be an array")
	}
	if !r.open() {
		return false
	}
	models := r.f.refs[:0]
	for first := true; r.element(first); first = false {
		if len(models) == MaxModelRefs {
			return r.fail(invalid(CodeInvalidValue, path, path+" has more than "+strconv.Itoa(MaxModelRefs)+" models"))
		}
		m, ok := r.modelRef()
		if !ok {
			at := "[" + strconv.Itoa(len(models)) + "]"
			r.problem.Param = strings.Replace(r.problem.Param, "[]", at, 1)
			r.problem.Message = strings.Replace(r.problem.Message, "[]", at, 1)
			return false
		}
		models = append(models, m)
	}
	r.f.refs = models
	if r.problem != nil {
		return false
	}
	if len(models) == 0 {
		return r.fail(invalid(CodeEmptyArray, path, path+" must not be empty"))
	}
	r.f.Routing.Models = models
	return true
}

// MaxModelRefs is how many models a routing_config may list.
const MaxModelRefs = 64

func (r *reader) modelRef() (m ModelRef, ok bool) {
	const path = inRouting + "models[]"
	switch r.peek() {
	case '"':
		m.Name, ok = r.kept(path)
		return m, ok
	case '{':
	default:
		return m, r.mismatch(path, path+" must be a string or an object")
	}
	ok = r.members(inModels, modelMembers, func(path string) (ok bool) {
		switch path {
		case inModels + "name":
			m.Name, ok = r.kept(path)
		case inModels + "version":
			m.Version, ok = r.kept(path)
		case inModels + "format":
			m.Format, ok = r.kept(path)
		}
		return ok
	})
	if ok && m.Name == nil {
		ok = r.fail(invalid(CodeMissing, inModels+"name", inModels+"name is missing"))
	}
	return m, ok
}

// affinity reads routing_config.session_affinity.
func (r *reader) affinity() bool {
	f := r.f
	return r.members(inAffinity, affinityMembers, func(path string) bool {
		v, ok := r.kept(path)
		if !ok || v == nil {
			return ok
		}
		if path == inAffinity+"session_id" {
			if utf8.RuneCount(v) > MaxSessionID {
				return r.fail(invalid(CodeInvalidValue, path, path+" must have at most "+strconv.Itoa(MaxSessionID)+" characters"))
			}
			f.SessionID = v
			return true
		}
		for s := StrategyAdaptive; s <= StrategyNone; s++ {
			if !equalFold(v, s.String()) {
				continue
			}
			if f.SessionStrategy != StrategyDefault && f.SessionStrategy != s {
				return r.fail(invalid(CodeInvalidValue, path, path+" contradicts the other name of the same parameter"))
			}
			f.SessionStrategy = s
			return true
		}
		return r.fail(invalid(CodeInvalidValue, path, path+" must be adaptive, sticky or none"))
	})
}

// equalFold reports whether v is the lower-case ASCII word, in any case.
func equalFold(v []byte, word string) bool {
	if len(v) != len(word) {
		return false
	}
	for i, c := range v {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}
