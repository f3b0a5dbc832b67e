// Package otlp sends what requests came to to an OpenTelemetry collector: a span
// and measurements for each, made of usage records after the fact, by the semantic
// conventions for generative AI. It must not hold anything up: what cannot be sent
// in time is dropped and counted.
package otlp
