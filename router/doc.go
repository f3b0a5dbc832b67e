// Package router is the domain of Wye: it decides which model serves a
// request. It knows models, backends, zones, deployments and the facts of one
// request; it does no I/O, keeps no clock, and must not know JSON, Envoy, gRPC
// or how a quality estimate comes about. Everything here is deterministic: the
// same Snapshot and the same Request give the same Decision.
package router
