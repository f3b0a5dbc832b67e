package control

import (
	"context"
	"errors"
	"fmt"
	"sync"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wye/policies"
	"wye/router"
)

// ServerConfig is what a Server needs. The zero value is good.
type ServerConfig struct {
	// Logger hears of members that come, go and refuse. The zero Logger is silent.
	Logger zerolog.Logger
	// Identify, unless nil, returns the data zone that whoever opened the stream is
	// bound to: router.ZoneGlobal for all. A member may name that zone or none or,
	// where it is bound to all, any. An error ends the stream: it is sent nothing.
	Identify func(stream context.Context) (zone string, err error)
	// Envoys, unless nil, serves the streams that ask for another type first.
	Envoys discoveryv3.AggregatedDiscoveryServiceServer
}

// Server hands policies to members over ADS. It is safe for concurrent use;
// Close ends it.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	config ServerConfig
	ended  chan struct{} // closed by Close
	end    sync.Once

	mu       sync.Mutex
	plan     *plan         // nil before the first policy
	changed  chan struct{} // closed and replaced with plan
	answered chan struct{} // closed and replaced when a member says something
	members  map[*member]struct{}
	gone     []Member // that left not long ago, the newest last
	counters Counters
}

// Counters count what happened since the server began.
type Counters struct {
	Acks, Nacks uint64
	Bytes       uint64 // of responses
	Responses   uint64
}

// NewServer returns a server that has nothing to hand out yet: members wait.
func NewServer(c ServerConfig) *Server {
	return &Server{
		config: c, ended: make(chan struct{}), changed: make(chan struct{}), answered: make(chan struct{}),
		members: make(map[*member]struct{}),
	}
}

// Register adds the aggregated discovery service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, s)
}

// Close ends the streams of members. They keep what they have.
func (s *Server) Close() { s.end.Do(func() { close(s.ended) }) }

// Release is a policy and who is to have it.
type Release struct {
	Policy *policies.Policy
	// Wants, unless nil, chooses the members; the others have what they would have
	// without this release.
	Wants func(Node) bool
}

// plan is what there is to hand out, the first release that wants a member is
// its.
type plan struct{ releases []*release }

// release is a Release cut for every zone.
type release struct {
	wants func(Node) bool
	zones map[string]*Set // by data zone, router.ZoneGlobal among them
	hash  string
}

// nothing is what a zone is sent that a policy has nothing for.
var nothing = &Set{}

// set is what a member is to have.
func (p *plan) set(n Node) *Set {
	for _, r := range p.releases {
		if r.wants != nil && !r.wants(n) {
			continue
		}
		if set := r.zones[n.Zone]; set != nil {
			return set
		}
		return nothing
	}
	return nil
}

// Publish hands out releases from now on; of those that want a member it gets
// the first. Every policy is cut for every zone before anything changes, and an
// error changes nothing.
func (s *Server) Publish(releases ...Release) error {
	p := &plan{}
	for _, r := range releases {
		cut, err := cutForZones(r)
		if err != nil {
			return err
		}
		p.releases = append(p.releases, cut)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.reuse(s.plan)
	s.plan = p
	for m := range s.members {
		m.want(p)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// reuse takes over the sets of old that are equal to p's own.
func (p *plan) reuse(old *plan) {
	if old == nil {
		return
	}
	known := make(map[string]*Set)
	for _, r := range old.releases {
		for _, set := range r.zones {
			known[set.Hash] = set
		}
	}
	for _, r := range p.releases {
		for zone, set := range r.zones {
			if same := known[set.Hash]; same != nil {
				r.zones[zone] = same
			}
		}
	}
}

func cutForZones(r Release) (*release, error) {
	out := &release{wants: r.Wants, zones: make(map[string]*Set), hash: r.Policy.Hash()}
	document := r.Policy.Document()
	zones := map[string]bool{router.ZoneGlobal: true}
	for _, b := range document.GetBackends() {
		zones[b.GetZone()] = true
	}
	for zone := range zones {
		part, err := r.Policy.InZone(zone)
		if errors.Is(err, policies.ErrNothingInZone) {
			out.zones[zone] = nothing
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cut policy %s for zone %s: %w", out.hash, zone, err)
		}
		set, err := NewSet(part.Document())
		if err != nil {
			return nil, fmt.Errorf("cut policy %s for zone %s: %w", out.hash, zone, err)
		}
		out.zones[zone] = set
	}
	return out, nil
}

// Counters returns the current counts.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counters
}

// admit takes a member in.
func (s *Server) admit(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members[m] = struct{}{}
	s.forget(m.node.ID)
	if s.plan != nil {
		m.want(s.plan)
	}
	s.config.Logger.Info().Str("node", m.node.ID).Str("zone", m.node.Zone).Str("version", m.node.Version).Msg("member connected")
}

// dismiss notes that a member has gone.
func (s *Server) dismiss(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, m)
	s.part(m.snapshot())
	s.speak()
	s.config.Logger.Info().Str("node", m.node.ID).Msg("member disconnected")
}

// speak wakes whoever waits for members. s.mu is held.
func (s *Server) speak() {
	close(s.answered)
	s.answered = make(chan struct{})
}

// identify is the zone that the stream's identity is bound to.
func (s *Server) identify(ctx context.Context) (string, error) {
	if s.config.Identify == nil {
		return "", nil
	}
	zone, err := s.config.Identify(ctx)
	if err != nil {
		s.config.Logger.Warn().Err(err).Msg("a stream was refused for want of an identity")
		return "", status.Error(codes.PermissionDenied, err.Error())
	}
	return zone, nil
}
