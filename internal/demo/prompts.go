// Package demo sends varied prompts of our own writing through a running Wye
// and shows what was decided. It is a client like any other: it speaks HTTP to
// Envoy and reads response headers; only the predicted figures come from the
// decision hook of the process it runs in.
package demo

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed prompts.json
var promptsJSON []byte

// Prompt is one request of the demo.
type Prompt struct {
	Name     string            `json:"name"`
	Messages []json.RawMessage `json:"messages"`
	Stream   bool              `json:"stream"`
	Tools    bool              `json:"tools"`
	// Long is how many bytes of a made-up incident log precede the messages.
	Long int `json:"long"`
}

// Prompts returns the demo's requests, trivial to hard, in several languages.
func Prompts() []Prompt {
	var prompts []Prompt
	if err := json.Unmarshal(promptsJSON, &prompts); err != nil {
		panic(fmt.Sprintf("embedded prompts: %v", err)) // our own file; a test parses it
	}
	return prompts
}

const tools = `[
{"type":"function","function":{"name":"get_weather","description":"Forecast for a city and a day","parameters":{"type":"object","properties":{"city":{"type":"string"},"day":{"type":"string"}},"required":["city","day"]}}},
{"type":"function","function":{"name":"search_flights","description":"Flights between two cities on a day, cheapest first","parameters":{"type":"object","properties":{"from":{"type":"string"},"to":{"type":"string"},"day":{"type":"string"}},"required":["from","to","day"]}}},
{"type":"function","function":{"name":"book_hotel","description":"Book a room under a price near a place","parameters":{"type":"object","properties":{"near":{"type":"string"},"max_price_eur":{"type":"number"}},"required":["near","max_price_eur"]}}}]`

// Body is the chat completion request that asks deployment for p.
func (p *Prompt) Body(deployment string) ([]byte, error) {
	request := struct {
		Model         string            `json:"model"`
		Messages      []json.RawMessage `json:"messages"`
		Tools         json.RawMessage   `json:"tools,omitempty"`
		Stream        bool              `json:"stream,omitempty"`
		StreamOptions map[string]bool   `json:"stream_options,omitempty"`
	}{Model: deployment, Messages: p.Messages, Stream: p.Stream}
	if p.Stream {
		request.StreamOptions = map[string]bool{"include_usage": true}
	}
	if p.Tools {
		request.Tools = json.RawMessage(tools)
	}
	if p.Long > 0 {
		log, err := json.Marshal(map[string]string{"role": "user", "content": incidentLog(p.Long)})
		if err != nil {
			return nil, err
		}
		request.Messages = append([]json.RawMessage{log}, p.Messages...)
	}
	return json.Marshal(request)
}

// incidentLog is at least n bytes of plausible, repeatable log lines.
func incidentLog(n int) string {
	services := []string{"checkout", "ledger", "search", "mailer", "gateway", "catalogue", "sessions"}
	events := []string{
		"restarted after a failed liveness probe", "latency p99 above 900 ms", "configuration v%d applied",
		"connection pool exhausted, %d waiters", "retried %d writes against the replica", "cache hit rate fell to %d%%",
	}
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		event := events[(i*i+3*i)%len(events)]
		if strings.Contains(event, "%d") {
			event = fmt.Sprintf(event, (i*37)%90+3)
		}
		fmt.Fprintf(&b, "2026-11-%02d %02d:%02d:%02d %s-%d: %s\n",
			i/1440%28+1, i/60%24, i%60, (i*7)%60, services[(i*5+i/3)%len(services)], i%4, event)
	}
	return b.String()
}
