// Command bench measures what Wye costs: in one run it drives the same requests
// through Envoy alone, through Envoy with reference ext_proc servers (package
// processor) and through Envoy with Wye, interleaved and in random order, and
// reports rates, latencies, CPU per request and the ratios between them. It
// asserts nothing about speed, only that every answer was right.
package main
