package stack

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"wye/internal/fakeprovider"
	"wye/policies"
	"wye/policies/policyv1"
)

// providers keeps one fake provider for every backend that a policy in force
// has had.
type providers struct {
	pace time.Duration // per output token of a fast model; 0: no waiting at all

	mu      sync.Mutex
	servers map[provider]*fakeprovider.Server
}

// provider is what a fake provider is started for. An edit of the policy that
// changes any of it gets another server, so that a request that was decided
// before still finds its own.
type provider struct {
	backend, model, servedAs, zone string
	reasoning                      bool
}

// redirect starts what p needs and is not there yet, and returns the address of
// each backend's stand-in.
func (ps *providers) redirect(p *policies.Policy) (func(backend string) (string, bool), error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.servers == nil {
		ps.servers = make(map[provider]*fakeprovider.Server)
	}
	document := p.Document()
	models := make(map[string]*policyv1.Model)
	for _, m := range document.GetCatalog() {
		models[m.GetName()] = m
	}
	addresses := make(map[string]string)
	for _, b := range document.GetBackends() {
		m := models[b.GetModel()]
		key := provider{
			backend: b.GetName(), model: b.GetSendAs(), servedAs: m.GetServedAs(), zone: b.GetZone(),
			reasoning: slices.Contains(m.GetParameters().GetDrop(), "temperature"),
		}
		s := ps.servers[key]
		if s == nil {
			var err error
			if s, err = fakeprovider.Start(context.Background(), ps.config(key, m)); err != nil {
				return nil, fmt.Errorf("start a fake provider for backend %s: %w", b.GetName(), err)
			}
			ps.servers[key] = s
		}
		addresses[b.GetName()] = s.Addr()
	}
	return func(backend string) (string, bool) { return addresses[backend], true }, nil
}

// config is how a model behaves: dearer models write slower, and every backend
// has answers of its own.
func (ps *providers) config(key provider, m *policyv1.Model) fakeprovider.Config {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(key.backend)) // never fails
	slower := 1 + m.GetPrice().GetOutput()/10
	interval := time.Duration(float64(ps.pace) * slower)
	return fakeprovider.Config{
		Model: key.model, ServedAs: key.servedAs, Zone: key.zone, Reasoning: key.reasoning,
		FirstToken: 40 * interval, TokenInterval: interval, Seed: seed.Sum64(),
	}
}

// fault makes the provider of backend fail as f says, and reports whether there
// is one.
func (ps *providers) fault(backend string, f fakeprovider.Fault) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	found := false
	for key, s := range ps.servers {
		if key.backend == backend {
			s.SetFault(f)
			found = true
		}
	}
	return found
}

func (ps *providers) close() error {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var errs []error
	for _, s := range ps.servers {
		errs = append(errs, s.Close())
	}
	ps.servers = nil
	return errors.Join(errs...)
}
