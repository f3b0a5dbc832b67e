// Package usage accounts for the requests that models served: which tokens they
// used, what that cost, what it would have cost elsewhere, and why each was routed
// as it was.
//
// Half of that is known when a request is decided, half when it is over. Sink
// joins them by the decision's id: Decided notes the first half in a bounded
// table, and Envoy's access log, which Service receives in batches, brings the
// second. What comes out is a Record for each request; the ledger, the metrics and
// the decision log are its readers.
//
// No prompt, answer or credential passes through here, except a prompt's text
// where an operator asks for it.
package usage
