package router

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// ModelIndex is a model's position in Snapshot.Models, and has a meaning only
// within that Snapshot.
type ModelIndex uint16

// BackendIndex is a backend's position in Snapshot.Backends, and has a meaning
// only within that Snapshot.
type BackendIndex uint16

// Model is one catalog entry. Prices are US dollars per million tokens.
type Model struct {
	Name      string // what policies call it, e.g. gpt-5-mini
	ServedAs  string // the version providers report, e.g. gpt-5-mini-2025-08-07
	Publisher string
	Price     Price
	// ContextWindow bounds prompt plus output, MaxInput the prompt alone and
	// MaxOutput the output alone, all in tokens. Zero means no such bound.
	ContextWindow int
	MaxInput      int
	MaxOutput     int
	Capabilities  Capability
	Parameters    Parameters
	// Prior says where the quality estimate of a model comes from that the
	// predictor was not trained on; empty for a trained one. Shown in explain.
	Prior string
}

// Version is what responses call the model: the version that serves or, where
// none is known, its name.
func (m *Model) Version() string { return cmp.Or(m.ServedAs, m.Name) }

// Price is what a model's tokens cost, in US dollars per million.
type Price struct {
	Input       float64
	CachedInput float64 // equal to Input where the provider has no cache price
	Output      float64
	// A prompt longer than LongContextTokens is billed at the LongContext
	// prices; zero means there is no such tier.
	LongContextTokens int
	LongContextInput  float64
	LongContextOutput float64
}

// Cost is the price of a call in US dollars.
func (p *Price) Cost(inputTokens, cachedTokens, outputTokens float64) float64 {
	in, cached, out := p.Input, p.CachedInput, p.Output
	if p.LongContextTokens > 0 && inputTokens > float64(p.LongContextTokens) {
		if p.Input > 0 {
			cached *= p.LongContextInput / p.Input
		}
		in, out = p.LongContextInput, p.LongContextOutput
	}
	// The conversions forbid fused multiply-adds, whose rounding differs between
	// processors.
	return (float64((inputTokens-cachedTokens)*in) + float64(cachedTokens*cached) + float64(outputTokens*out)) / 1e6
}

// Parameters says how a request must change for this model.
type Parameters struct {
	// Drop lists top-level request fields the model refuses or ignores.
	Drop []string
	// MaxTokensField is the name under which the model takes the output cap:
	// max_tokens, max_completion_tokens, or empty for either.
	MaxTokensField string
	// ReasoningEffort has values of the request's reasoning_effort and what the
	// model is sent in their place, sorted.
	ReasoningEffort [][2]string
}

// Backend is one place where a model is served.
type Backend struct {
	Name  string
	Model ModelIndex
	// SendAs is the value of the model field that this backend expects.
	SendAs   string
	Address  string // host:port; host is an IP address or a DNS name
	Protocol Protocol
	// APIs in which the backend can be asked; none stands for chat completions.
	APIs APIs
	// Translate has clients of chat completions served by a backend that speaks
	// Messages, or the reverse.
	Translate bool
	// Thinking has the tokens that the model may think for values of a chat
	// client's reasoning_effort, sorted, where that is translated.
	Thinking []Thinking
	// Effort has efforts translated as they are.
	Effort bool
	Zone   string
	Weight uint32 // share of the model's first attempts among its backends
	TLS    *TLS   // nil: plain text
	// PathPrefix is put before the client's path, e.g. /openai.
	PathPrefix string
	Credential *Credential // nil: the client's own Authorization passes
	Headers    []Header    // set on requests, sorted by name
	Proxy      string      // host:port of an HTTP proxy in between; empty: none
	// FirstToken is how long a response may take from its headers to its first
	// token before the next backend is asked; zero: responses are not watched.
	FirstToken time.Duration
	// Hash names the content: it changes whenever anything changes that a
	// request sent here relies on, the model's parameters included. Computed
	// by NewSnapshot.
	Hash string
}

// contentHash is 8 hex digits over the backend and what its model demands of a
// request. Every field is quoted, so that no two contents read the same.
func (b *Backend) contentHash(m *Model) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %d %q %q", b.Name, m.Name, m.ServedAs, b.SendAs, b.Protocol, b.Zone, b.PathPrefix)
	if b.APIs != 0 {
		fmt.Fprintf(h, " apis %d ", b.APIs)
	}
	if b.Translate {
		fmt.Fprintf(h, " translate %d %d %v %v ", m.MaxOutput, m.ContextWindow, b.Thinking, b.Effort)
	}
	fmt.Fprintf(h, "%q %q %q", b.Address, m.Parameters.Drop, m.Parameters.MaxTokensField)
	if e := m.Parameters.ReasoningEffort; len(e) > 0 {
		fmt.Fprintf(h, " effort %q", e)
	}
	if b.FirstToken != 0 {
		fmt.Fprintf(h, " first token %d", b.FirstToken)
	}
	if b.TLS != nil {
		fmt.Fprintf(h, " tls %q %q", b.TLS.ServerName, b.TLS.CAFile)
	}
	if c := b.Credential; c != nil {
		fmt.Fprintf(h, " credential %q %q %q %q", c.Env, c.File, c.Header, c.Prefix)
	}
	for _, x := range b.Headers {
		fmt.Fprintf(h, " header %q %q %q %q", x.Name, x.Value, x.Env, x.File)
	}
	if b.Proxy != "" {
		fmt.Fprintf(h, " proxy %q", b.Proxy)
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// Thinking is how long a model may think at an effort.
type Thinking struct {
	Effort string
	Tokens int // 0: not at all
}

// Header is a request header with a fixed value. One from a file or the
// environment is a secret, and never in a Snapshot.
type Header struct {
	Name  string // lower case
	Value string // or
	Env   string // environment variable of the Wye process, or
	File  string // a file it can read
}

// Secret reports whether the value is one.
func (h *Header) Secret() bool { return h.Env != "" || h.File != "" }

// Protocol is whose APIs a backend speaks.
type Protocol uint8

// The protocols.
const (
	ProtocolOpenAI Protocol = iota
	ProtocolAnthropic
	ProtocolAzureOpenAI
	ProtocolGemini
	ProtocolBedrock
)

// String returns the protocol as policies spell it.
func (p Protocol) String() string {
	switch p {
	case ProtocolAnthropic:
		return "anthropic"
	case ProtocolAzureOpenAI:
		return "azure_openai"
	case ProtocolGemini:
		return "gemini"
	case ProtocolBedrock:
		return "bedrock"
	case ProtocolOpenAI:
	}
	return "openai"
}

// TLS is how to reach a backend over TLS.
type TLS struct {
	ServerName string // SNI and expected SAN; empty: the address's host
	CAFile     string // PEM bundle; empty: the system's
}

// Credential refers to a provider key; the key itself is never in a Snapshot.
type Credential struct {
	Env    string // environment variable of the Wye process, or
	File   string // a file it can read
	Header string // request header that carries it, e.g. Authorization
	Prefix string // put before the key, e.g. "Bearer "
}
