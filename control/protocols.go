package control

import (
	"slices"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func newMember(n Node, protocol string) *member {
	now := time.Now()
	return &member{node: n, protocol: protocol, since: now, connected: now}
}

// count adds a response to the books.
func (s *Server) count(bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.Responses++
	s.counters.Bytes += uint64(bytes)
}

// Bounds on what a member may name.
const (
	maxNames    = 8192
	maxNameSize = 512
)

var errTooManyNames = status.Errorf(codes.ResourceExhausted, "a stream may name at most %d resources of %d bytes", maxNames, maxNameSize)

// interest is what a member wants: everything there is, or what it names.
type interest struct {
	everything bool
	names      map[string]struct{}
}

func (i *interest) wants(name string) bool {
	if i.everything {
		return true
	}
	_, ok := i.names[name]
	return ok
}

// add returns an error when it is too much.
func (i *interest) add(name string) error {
	if len(name) > maxNameSize || len(i.names) >= maxNames {
		return errTooManyNames
	}
	if i.names == nil {
		i.names = make(map[string]struct{})
	}
	i.names[name] = struct{}{}
	return nil
}

// deltaProtocol serves a member changes.
type deltaProtocol struct {
	stream   discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	interest interest
	began    bool
	// What the member has: a set, but for the names in fresh, or, before it has
	// taken one, the versions in held.
	has   *Set
	held  map[string]string
	fresh map[string]struct{} // named since; to be told of whatever it has
}

func (*deltaProtocol) name() string { return protocolDelta }

func (p *deltaProtocol) receive() (*discoveryv3.DeltaDiscoveryRequest, error) { return p.stream.Recv() }

func (p *deltaProtocol) begin(r *discoveryv3.DeltaDiscoveryRequest) error {
	if len(r.GetInitialResourceVersions()) > 2*maxNames {
		return errTooManyNames
	}
	p.held = r.GetInitialResourceVersions()
	return nil
}

// wildcard as a name stands for every resource. There are no other patterns: any
// other name is that of one resource.
const wildcard = "*"

func (p *deltaProtocol) subscribe(r *discoveryv3.DeltaDiscoveryRequest) (again bool, err error) {
	if !p.began {
		p.began = true
		names := r.GetResourceNamesSubscribe()
		p.interest.everything = len(names) == 0 || slices.Contains(names, wildcard)
	}
	for _, name := range r.GetResourceNamesSubscribe() {
		if name == wildcard {
			if !p.interest.everything {
				// What it has been sent so far was not everything.
				p.interest.everything, p.has, p.held, again = true, nil, nil, true
			}
			continue
		}
		if err := p.interest.add(name); err != nil {
			return false, err
		}
		if p.fresh == nil {
			p.fresh = make(map[string]struct{})
		}
		p.fresh[name] = struct{}{}
		again = true
	}
	for _, name := range r.GetResourceNamesUnsubscribe() {
		if name == wildcard {
			p.interest.everything = false
			continue
		}
		delete(p.interest.names, name)
		delete(p.fresh, name)
	}
	return again, nil
}

// version is that of the resource that the member has.
func (p *deltaProtocol) version(name string) (string, bool) {
	if p.has == nil {
		v, ok := p.held[name]
		return v, ok
	}
	part, ok := p.has.parts[name]
	return part.GetVersion(), ok
}

func (p *deltaProtocol) send(set *Set, nonce string) (int, bool, error) {
	r := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: TypeURL, SystemVersionInfo: set.Hash, Nonce: nonce}
	for _, name := range set.names {
		if !p.interest.wants(name) {
			continue
		}
		_, fresh := p.fresh[name]
		if v, ok := p.version(name); fresh || !ok || v != set.parts[name].GetVersion() {
			r.Resources = append(r.Resources, set.parts[name])
		}
	}
	r.RemovedResources = p.removed(set)
	// The very first response is sent even when it says nothing new, so that a
	// member that comes back knows that it is up to date.
	if p.has != nil && len(r.GetResources())+len(r.GetRemovedResources()) == 0 && p.has.Hash == set.Hash {
		return 0, true, nil
	}
	clear(p.fresh)
	return proto.Size(r), false, p.stream.Send(r)
}

// removed lists what the member has and is to have no longer, and what it named
// and does not exist.
func (p *deltaProtocol) removed(set *Set) []string {
	var names []string
	add := func(name string) {
		if set.parts[name] == nil {
			names = append(names, name)
		}
	}
	switch {
	case p.has != nil && p.has != set:
		for _, name := range p.has.names {
			if p.interest.wants(name) {
				add(name)
			}
		}
	case p.has == nil:
		for name := range p.held {
			if p.interest.wants(name) {
				add(name)
			}
		}
	}
	for name := range p.fresh {
		if _, ok := p.version(name); !ok {
			add(name)
		}
	}
	return names
}

func (p *deltaProtocol) accepted(set *Set) { p.has, p.held = set, nil }

// wholeProtocol serves a member everything, every time.
type wholeProtocol struct {
	stream   discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer
	interest interest
}

func (*wholeProtocol) name() string { return protocolWhole }

func (p *wholeProtocol) receive() (*discoveryv3.DiscoveryRequest, error) { return p.stream.Recv() }

func (*wholeProtocol) begin(*discoveryv3.DiscoveryRequest) error { return nil }

func (p *wholeProtocol) subscribe(r *discoveryv3.DiscoveryRequest) (again bool, err error) {
	before := p.interest
	p.interest = interest{everything: len(r.GetResourceNames()) == 0}
	for _, name := range r.GetResourceNames() {
		if name == wildcard {
			p.interest.everything = true
			continue
		}
		if err := p.interest.add(name); err != nil {
			return false, err
		}
		if !before.wants(name) {
			again = true
		}
	}
	return again || p.interest.everything && !before.everything, nil
}

func (p *wholeProtocol) send(set *Set, nonce string) (int, bool, error) {
	r := &discoveryv3.DiscoveryResponse{TypeUrl: TypeURL, VersionInfo: set.Hash, Nonce: nonce}
	for _, name := range set.names {
		if !p.interest.wants(name) {
			continue
		}
		wrapped, err := anypb.New(set.parts[name]) // the type has no name of its own
		if err != nil {
			return 0, false, status.Error(codes.Internal, "a resource cannot be packed")
		}
		r.Resources = append(r.Resources, wrapped)
	}
	return proto.Size(r), false, p.stream.Send(r)
}

func (*wholeProtocol) accepted(*Set) {}
