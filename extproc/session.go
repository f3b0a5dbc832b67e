package extproc

import (
	"net/http"
	"unicode/utf8"

	"wye/affinity"
	"wye/router"
	"wye/wire"
)

// maxSession is how many code points a client's name for a conversation may
// have, as Azure's router has it.
const maxSession = 256

// takeSession reads a header that names the conversation. before is what the
// same header said earlier in the request.
func takeSession(header string, value []byte, before uint64) (uint64, *wire.Problem) {
	n := utf8.RuneCount(value)
	switch {
	case n == 0 || n > maxSession || !utf8.Valid(value):
		return 0, refuse(http.StatusBadRequest, codeInvalidSession, "",
			"the header %s must be 1 to %d characters of UTF-8", header, maxSession)
	case before != 0:
		return 0, refuse(http.StatusBadRequest, codeInvalidSession, "", "the header %s is there twice", header)
	}
	return router.Key(value), nil
}

// sessionName is the key of the conversation's name, 0 when the client gave none.
// The body comes before the headers, which may be anybody's on the way, and our
// own header before the one that clients may send out of habit.
func (st *stream) sessionName() uint64 {
	switch {
	case st.scan.SessionID != nil:
		return router.Key(st.scan.SessionID)
	case st.facts.session != 0:
		return st.facts.session
	}
	return st.facts.azureSession
}

// minCached is the shortest prompt that the large providers keep, and
// cacheStep the grain in which they do: as OpenAI documents it, and about what
// others do. Unit: tokens.
const (
	minCached = 1024
	cacheStep = 128
)

// cached is how much of a prompt of n tokens a provider has cached after it.
func cached(n int) int {
	if n < minCached {
		return 0
	}
	return n / cacheStep * cacheStep
}

// recall asks the table what the request continues, and fills in the request's
// session. Only the memory of a named conversation outlives a change of what was
// said; what a provider has cached does not.
func (st *stream) recall(d *router.Deployment) {
	strategy := d.Affinity.Strategy
	if st.request.Affinity != router.AffinityDefault {
		strategy = st.request.Affinity
	}
	named := st.sessionName()
	if named != 0 {
		// Whatever it says next, the conversation keeps to its backends.
		st.request.Hash = named
	}
	if strategy == router.AffinityNone {
		return
	}
	scope := router.Key(d.Name)
	this, earlier := st.scan.TurnKeys(st.bytes())
	turn := &st.request.Turn
	turn.Content = within(scope, this)
	if named != 0 {
		turn.Named = within(scope, named)
	}
	table := st.server.config.Affinity
	if earlier != 0 {
		if p, ok := table.Recall(within(scope, earlier), d.Affinity.Idle); ok {
			st.request.Session = router.Session{Model: p.Model, Backend: p.Backend, CachedTokens: cached(p.Tokens)}
			return
		}
	}
	if named != 0 {
		if p, ok := table.Recall(turn.Named, d.Affinity.Idle); ok {
			st.request.Session = router.Session{Model: p.Model, Backend: p.Backend}
		}
	}
}

// within scopes a key, so that what one deployment remembers no other sees.
func within(scope, key uint64) uint64 {
	const odd = 0x9E3779B97F4A7C15 // 2^64 over the golden ratio
	return (scope*odd ^ key) * odd
}

// remember notes where the request went.
func (st *stream) remember() {
	turn := st.request.Turn
	if turn == (router.Turn{}) {
		return
	}
	model, backend := st.decision.Snapshot.Keys(st.decision.Chain[0])
	p := affinity.Place{Model: model, Backend: backend, Tokens: st.request.PromptTokens}
	st.server.config.Affinity.Keep(turn.Content, p)
	if turn.Named != 0 {
		st.server.config.Affinity.Keep(turn.Named, p)
	}
}
