// Package stack runs the whole system on one machine: a sidecar, an Envoy that
// takes its configuration from it and, if wanted, a fake provider for every
// backend. The commands up and demo are its users.
package stack
