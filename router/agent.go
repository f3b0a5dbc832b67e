package router

import "slices"

// AgentTools says which tools run at the provider, and whose models may be given
// a request that declares one. The zero value means every tool that the client
// does not run, and models of PublisherOpenAI.
type AgentTools struct {
	Types      []string // empty: every type that a Request has
	Publishers []string // empty: PublisherOpenAI; AnyPublisher: every one
}

// PublisherOpenAI is the publisher whose hosted tools clients of OpenAI's API mean.
const PublisherOpenAI = "OpenAI"

// AnyPublisher stands for every publisher.
const AnyPublisher = "*"

// in reports whether one of a request's tool types is an agent tool's.
func (a *AgentTools) in(types [][]byte) bool {
	for _, t := range types {
		if len(a.Types) == 0 {
			return true
		}
		if slices.Contains(a.Types, string(t)) {
			return true
		}
	}
	return false
}

// hostedBy reports whether models of the publisher may be given agent tools.
func (a *AgentTools) hostedBy(publisher string) bool {
	if len(a.Publishers) == 0 {
		return publisher == PublisherOpenAI
	}
	return slices.Contains(a.Publishers, publisher) || slices.Contains(a.Publishers, AnyPublisher)
}
