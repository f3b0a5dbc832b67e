// Package translate turns requests, answers, errors and streams of OpenAI's chat
// completions into those of Anthropic's Messages and back. It works on bytes, in
// the order in which they come, and takes strings, schemas and arguments over as
// they are written. What one API cannot say in the other's words it refuses, so
// that no request is served as another than it was. It must not know models,
// policies, HTTP or Envoy.
package translate
