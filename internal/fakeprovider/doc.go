// Package fakeprovider is a model provider that runs on loopback and invents
// its answers: OpenAI chat completions as JSON and as an event stream, with
// plausible lengths, latencies and usage, the strictness of a real provider,
// and errors on demand. Demo, tests and load use it. It must not know anything
// of Wye: it sees what any provider would see.
//
// Answers are a function of the prompt, the model and Config.Seed. Timing and
// the prompt cache are all that depends on what came before.
package fakeprovider
