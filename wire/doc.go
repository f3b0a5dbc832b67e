// Package wire is the shape of requests and responses as clients and providers
// write them: it scans a request body for the facts that routing needs, edits a
// body in place and writes errors in the client's protocol. It must not know
// policies, models' merits or Envoy.
package wire
