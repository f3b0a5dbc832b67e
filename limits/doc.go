// Package limits counts requests and tokens against what a deployment may use in
// a minute. It knows names and numbers only. docs/adr/0015-limits-in-wye.md says
// why the counting is not Envoy's.
package limits
