// Package envoy is Wye's contract with Envoy in one place: the names of
// headers, metadata namespaces and keys, clusters, listeners and routes, the
// bootstrap document, and how to find and run the binary. Packages extproc and
// xds meet only here. It must not know gRPC, protobuf or the policy.
package envoy
