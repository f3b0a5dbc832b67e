// Package controlplane puts the control plane together: one policy, read from
// where its author keeps it, checked once, and handed to all members and Envoys.
package controlplane
