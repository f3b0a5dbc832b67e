// Package sidecar puts Wye together: the policy, the router, the ext_proc and
// ADS servers on one gRPC address, the reload loop and the admin page. It is
// composition only; whatever decides anything belongs to the packages it wires.
package sidecar
