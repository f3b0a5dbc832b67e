// Package affinity remembers which model answered which turn of which
// conversation, so that the next turn can be priced with the cache that the
// provider keeps of it.
//
// A turn is named by a key over its content: whoever sends a request whose
// history contains that turn and an answer to it can compute the key again, and
// has thereby shown that the answer arrived. So nothing needs to be told of
// outcomes, branches and repetitions of a conversation find what they share,
// and the memory holds no text. docs/adr/0016-affinity.md has the reasons.
//
// The package knows numbers only: what the keys stand for is its callers'.
package affinity
