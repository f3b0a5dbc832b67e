// Command fleetbench measures the control plane with a fleet beside it: a real
// wye control, and simulated members and Envoys in processes of their own, each
// with a connection and a stream. Members acknowledge what they are sent without
// compiling it, which in a fleet each would do on its own machine. It reports the
// time from an edit of the policy file to each acknowledgement, bytes, CPU and
// memory.
package main
