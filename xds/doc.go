// Package xds is Wye's control plane for Envoy: Build turns a router.Snapshot
// into the listener, routes, clusters, endpoints and secrets that carry its
// decisions out, as a pure function, and Server hands them to Envoys over the
// aggregated discovery service and knows what each of them has acknowledged.
//
// The package knows Envoy's API and nothing of requests, prompts or how a model
// is chosen. It must not import extproc: both read the same Snapshot and the
// names in package envoy, so that they cannot disagree.
package xds
