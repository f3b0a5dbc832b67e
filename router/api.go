package router

import "strconv"

// API is a shape of requests and responses: what a client speaks, and what a
// backend is asked in.
type API uint8

// The APIs. The zero API is OpenAI's chat completions.
const (
	APIChat        API = iota
	APIMessages        // Anthropic's Messages
	APICountTokens     // Anthropic's count of a Messages request's tokens
	APIResponses       // OpenAI's Responses
	APICompletions     // OpenAI's older completions
	APIEmbeddings      // OpenAI's embeddings
	apiCount
)

// AllAPIs lists every API, in the order of their values.
var AllAPIs = [apiCount]API{APIChat, APIMessages, APICountTokens, APIResponses, APICompletions, APIEmbeddings}

var apiNames = [apiCount]string{"chat_completions", "messages", "count_tokens", "responses", "completions", "embeddings"}

// String is the API as policies spell it.
func (a API) String() string {
	if a < apiCount {
		return apiNames[a]
	}
	return "api(" + strconv.Itoa(int(a)) + ")"
}

// ParseAPI is the inverse of String.
func ParseAPI(name string) (a API, ok bool) {
	for i, n := range apiNames {
		if n == name {
			return API(i), true
		}
	}
	return 0, false
}

// APIs is a set of APIs.
type APIs uint8

// Has reports whether a is in the set.
func (s APIs) Has(a API) bool { return s&(1<<a) != 0 }

// With returns the set with a added.
func (s APIs) With(a API) APIs { return s | 1<<a }

// speaks is the set of the APIs in which b can be asked: what it says, or the
// chat completions of a backend that says nothing.
func (b *Backend) speaks() APIs {
	if b.APIs == 0 {
		return APIs(0).With(APIChat)
	}
	return b.APIs
}

// counterpart is the API that requests of API a can be translated to; ok is
// false when there is none.
func (a API) counterpart() (to API, ok bool) {
	switch a {
	case APIChat:
		return APIMessages, true
	case APIMessages:
		return APIChat, true
	case APICountTokens, APIResponses, APICompletions, APIEmbeddings, apiCount:
	}
	return a, false
}

// Translates reports whether clients of API a are served by b in another API,
// which is to. What b speaks itself is never translated.
func (b *Backend) Translates(a API) (to API, ok bool) {
	to, ok = a.counterpart()
	speaks := b.speaks()
	return to, ok && b.Translate && speaks.Has(to) && !speaks.Has(a)
}

// Serves reports whether a client of API a can be served by b, in its own API or
// translated to another.
func (b *Backend) Serves(a API) bool {
	if b.speaks().Has(a) {
		return true
	}
	_, ok := b.Translates(a)
	return ok
}

// Serves reports whether any backend serves clients of API a.
func (s *Snapshot) Serves(a API) bool {
	for i := range s.Backends {
		if s.Backends[i].Serves(a) {
			return true
		}
	}
	return false
}

// Serving returns the backends that may serve d's i-th subset model to clients
// of API a, in the policy's order. The caller must not change them.
func (d *Deployment) Serving(a API, i int) []BackendIndex { return d.serving[a][i] }

// Translates reports whether any backend serves d's clients of API a in another.
func (d *Deployment) Translates(a API) bool { return d.translates.Has(a) }

// places are the backends that may serve the model at a position of the subset.
func (d *Decision) places(position uint8) []BackendIndex {
	if d.Untranslatable != "" {
		return d.Deployment.native[d.API][position]
	}
	return d.Deployment.serving[d.API][position]
}

// narrow fills d.serving and d.native from d.backends.
func (d *Deployment) narrow(all []Backend) {
	d.translates = 0
	for _, a := range AllAPIs {
		serving, native := make([][]BackendIndex, len(d.backends)), make([][]BackendIndex, len(d.backends))
		for i, backends := range d.backends {
			for _, k := range backends {
				if !all[k].Serves(a) {
					continue
				}
				serving[i] = append(serving[i], k)
				if _, ok := all[k].Translates(a); ok {
					d.translates = d.translates.With(a)
				} else {
					native[i] = append(native[i], k)
				}
			}
		}
		if d.serving[a], d.native[a] = serving, native; !d.translates.Has(a) {
			d.native[a] = serving // the same, once
		}
	}
}
