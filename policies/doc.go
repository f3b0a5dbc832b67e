// Package policies turns a policy document into a router.Snapshot. It reads
// YAML or JSON, checks it against the schema in proto/ and against itself,
// completes it from the embedded catalog and the defaults, names its content by
// a hash and compiles it.
//
// It must not know Envoy, gRPC, requests on the wire or how a policy file is
// watched and brought into force. It reads no credential, only where one is, and
// no file but the policy and the calibrations that it names.
package policies

//go:generate go run wye/internal/protogen -root ..
