// Package rig builds the stand that the black-box tests try Wye on: the real
// binary and a real Envoy as processes, providers that record what they were
// sent, and policies that name them. It knows Wye by its command line, its
// headers and its sockets only, as a user does.
package rig
