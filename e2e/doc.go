// Package e2e tries Wye from outside, as an operator and their clients would:
// the real binary beside a real Envoy, driven by raw HTTP and by the official
// OpenAI SDKs, with providers that record what reaches them. It has no code of
// its own; the stand is internal/rig.
//
// WYE_E2E_SECONDS sets the length of the soak test (default 12); 60 is what a
// release is tried with. WYE_E2E_BINARY names a wye to try in place of one built
// from the working tree.
package e2e
