package rig

import (
	"crypto/rand"
	"slices"
	"testing"

	"github.com/tidwall/gjson"
)

// IDHeader carries a test's own id, so that it finds its requests among those
// of others. Wye and Envoy pass it on as they do any header.
const IDHeader = "x-e2e-id"

// ID returns a new value for IDHeader.
func ID() string { return rand.Text() }

// ThinkerKey is the credential of backend thinker-us.
const ThinkerKey = "sk-of-the-thinker"

const (
	thinkerKeyEnv = "WYE_E2E_THINKER_KEY"
	absentBackend = "absent-us" // nothing listens at its address
)

// ServedAs maps the models of the policy to the versions that serve.
var ServedAs = map[string]string{
	"large": "large-2026-01-01", "medium": "medium-2026-01-01", "small": "small-2026-02-01",
	"embedder": "embedder-1", "completer": "completer-1",
	"claude": "claude-2026-04-01", "claudette": "claudette-2026-04-01",
	"thinker": "thinker-2026-03-01", "absent": "absent-2026-01-01",
}

// The backends of the policy; addresses are filled in when providers start.
var usualBackends = []Backend{
	{Name: "large-eu", Model: "large", Zone: "eu", Translate: true},
	{Name: "large-us", Model: "large", Zone: "us", APIs: "[chat_completions, responses]", Translate: true},
	{Name: "medium-eu", Model: "medium", Zone: "eu", SendAs: "medium-in-europe", PathPrefix: "/openai", Translate: true},
	{Name: "medium-us", Model: "medium", Zone: "us", APIs: "[chat_completions, responses]", Translate: true},
	{Name: "small-us", Model: "small", Zone: "us"},
	{Name: "thinker-us", Model: "thinker", Zone: "us", CredentialEnv: thinkerKeyEnv},
	{Name: "claude-us", Model: "claude", Zone: "us", Protocol: "anthropic", CredentialEnv: thinkerKeyEnv},
	{Name: "claudette-us", Model: "claudette", Zone: "us", Protocol: "anthropic", PathPrefix: "/anthropic", CredentialEnv: thinkerKeyEnv},
	{Name: "embedder-us", Model: "embedder", Zone: "us", Protocol: "azure_openai", APIs: "[embeddings]", CredentialEnv: thinkerKeyEnv},
	{Name: "completer-us", Model: "completer", Zone: "us", Protocol: "gemini", APIs: "[completions, embeddings, chat_completions]", CredentialEnv: thinkerKeyEnv},
	{Name: absentBackend, Model: "absent", Zone: "us"},
}

// Unreachable is the policy with backends at an address where nothing listens.
func Unreachable() Policy {
	p := Policy{Backends: slices.Clone(usualBackends)}
	for i := range p.Backends {
		p.Backends[i].Address = "127.0.0.1:1"
	}
	return p
}

// backend returns the backend of that name.
func backend(name string) Backend {
	i := slices.IndexFunc(usualBackends, func(b Backend) bool { return b.Name == name })
	return usualBackends[i]
}

// Zone returns the zone of a backend.
func (s *Stack) Zone(name string) string { return backend(name).Zone }

// Address returns the address of a backend in the policy that Start wrote.
func (s *Stack) Address(name string) string {
	i := slices.IndexFunc(s.Policy.Backends, func(b Backend) bool { return b.Name == name })
	return s.Policy.Backends[i].Address
}

// Move starts a second provider for a backend and returns the policy that has
// the backend there, and the provider.
func (s *Stack) Move(t testing.TB, name string) (Policy, *Provider) {
	t.Helper()
	p, b := s.AddProvider(t, name), backend(name)
	b.Address = p.Addr
	return s.Policy.Replace(b), p
}

// SendAs returns what a backend expects in the body's model.
func (s *Stack) SendAs(name string) string { return backend(name).sendAs() }

func (b Backend) sendAs() string {
	if b.SendAs != "" {
		return b.SendAs
	}
	return b.Model
}

// all returns the providers, those of former addresses included.
func (s *Stack) all() []*Provider {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.providers)
}

// Sighting is a request at a backend.
type Sighting struct {
	Backend string
	Received
}

// Find returns the requests with that id at all backends, oldest first.
func (s *Stack) Find(id string) []Sighting {
	var found []Sighting
	for _, p := range s.all() {
		for _, r := range p.Find(IDHeader, id) {
			found = append(found, Sighting{Backend: p.backend.Name, Received: r})
		}
	}
	slices.SortFunc(found, func(a, b Sighting) int { return a.At.Compare(b.At) })
	return found
}

// Seen returns the names of the backends that got requests with that id, in
// the order of their arrival.
func (s *Stack) Seen(id string) []string {
	var names []string
	for _, r := range s.Find(id) {
		names = append(names, r.Backend)
	}
	return names
}

// CheckStrict fails the test when any backend was ever sent a body for another,
// or anything but HTTP requests.
func (s *Stack) CheckStrict(t testing.TB) {
	t.Helper()
	for _, p := range s.all() {
		if n := p.Wrong(); n > 0 {
			t.Errorf("%s was sent %d bodies that were not for it", p.backend.Name, n)
		}
		if n := p.Unsound(); n > 0 {
			t.Errorf("%d connections to %s carried what is no request", n, p.backend.Name)
		}
	}
}

// isFor reports whether a body names the model that the backend serves.
func isFor(b Backend, body []byte) bool { return gjson.GetBytes(body, "model").String() == b.sendAs() }
