// Package load is a closed-loop HTTP/1.1 load generator that is cheap enough
// to share a machine with what it measures: every client is one keep-alive
// connection that writes the same bytes again as soon as the response to the
// last ones is complete. It must not know what it is measuring.
package load
