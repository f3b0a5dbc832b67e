package xds

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"wye/envoy"
)

// Node is what the server knows of one connected Envoy.
type Node struct {
	ID          string
	Cluster     string
	Zone        string // data zone that it stands in; only what is of that zone is sent to it
	Envoy       string // its version, e.g. 1.40.0
	Delta       bool   // speaks delta xDS, otherwise state of the world
	Bootstrap   bool   // was started with the bootstrap of package envoy
	ConnectedAt time.Time
	// Acked has, by type URL, the version of what the Envoy has acknowledged,
	// comparable to Resources.Version.
	Acked map[string]string
	// Rejected is the latest refusal, nil if there was none.
	Rejected *Rejection
}

// Rejection is a NACK.
type Rejection struct {
	NodeID  string
	TypeURL string
	Message string // Envoy's words
	At      time.Time
}

// Error implements error.
func (r *Rejection) Error() string {
	return "envoy " + r.NodeID + " refuses " + strings.TrimPrefix(r.TypeURL, resourcev3.APITypePrefix) + ": " + r.Message
}

// stream is the bookkeeping of one xDS stream. The server's lock guards it.
type stream struct {
	node     Node
	bound    string // data zone of whoever opened it; empty: not looked at
	admitted bool   // the first request has come, and with it view
	view     view   // what of the policy it is sent
	types    map[string]*subscription
	// returning is set when the Envoy had resources before the stream began,
	// and so serves requests.
	returning bool
}

// subscription is one type on one stream.
type subscription struct {
	acked   map[string]string // resource versions that the Envoy has confirmed
	pending map[string]response
	// refused is the latest refusal and refusedSet what it was of; both are
	// forgotten when another publication begins.
	refused    *Rejection
	refusedSet map[string]string
}

// response is one that the Envoy has not answered yet.
type response struct {
	set     map[string]string
	removed []string
	whole   bool // set is everything, not a change
}

func newStream(delta bool) *stream {
	return &stream{node: Node{Delta: delta, ConnectedAt: time.Now()}, types: make(map[string]*subscription)}
}

// identify takes in who it is; first is set when that was not known before.
func (s *stream) identify(n *corev3.Node) (first bool) {
	if n == nil {
		return false
	}
	first = s.node.ID == ""
	fields := n.GetMetadata().GetFields()[envoy.NamespaceDecision].GetStructValue().GetFields()
	s.node.Bootstrap = fields[envoy.KeyBootstrap].GetBoolValue()
	s.node.ID, s.node.Cluster, s.node.Zone = n.GetId(), n.GetCluster(), nodeZone(n)
	if v := n.GetUserAgentBuildVersion().GetVersion(); v != nil {
		s.node.Envoy = fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
	}
	return first
}

func (s *stream) subscription(typeURL string) *subscription {
	sub := s.types[typeURL]
	if sub == nil {
		sub = &subscription{acked: make(map[string]string), pending: make(map[string]response)}
		s.types[typeURL] = sub
	}
	return sub
}

// sentDelta notes a response.
func (s *stream) sentDelta(r *discoveryv3.DeltaDiscoveryResponse) {
	set := make(map[string]string, len(r.GetResources()))
	for _, res := range r.GetResources() {
		set[res.GetName()] = res.GetVersion()
	}
	s.subscription(r.GetTypeUrl()).pending[r.GetNonce()] = response{set: set, removed: r.GetRemovedResources()}
}

// sentWhole notes a state-of-the-world response.
func (s *stream) sentWhole(r *discoveryv3.DiscoveryResponse) {
	set := make(map[string]string, len(r.GetResources()))
	for _, res := range r.GetResources() {
		// What cannot be read has no name to wait for; the server packed it itself.
		if m, err := res.UnmarshalNew(); err == nil {
			set[cachev3.GetResourceName(m)] = contentVersion(res.GetValue())
		}
	}
	s.subscription(r.GetTypeUrl()).pending[r.GetNonce()] = response{set: set, whole: true}
}

// receivedDelta notes a request; refused is set when it is a NACK.
func (s *stream) receivedDelta(r *discoveryv3.DeltaDiscoveryRequest) (acked, refused bool) {
	first := s.types[r.GetTypeUrl()] == nil
	sub := s.subscription(r.GetTypeUrl())
	if first {
		// An Envoy that was connected before says what it already has.
		maps.Copy(sub.acked, r.GetInitialResourceVersions())
		s.returning = s.returning || len(sub.acked) > 0
	}
	for _, name := range r.GetResourceNamesUnsubscribe() {
		delete(sub.acked, name)
	}
	return sub.answered(r.GetResponseNonce(), r.GetErrorDetail() != nil)
}

// receivedWhole notes a state-of-the-world request.
func (s *stream) receivedWhole(r *discoveryv3.DiscoveryRequest) (acked, refused bool) {
	first := s.types[r.GetTypeUrl()] == nil
	s.returning = s.returning || first && r.GetVersionInfo() != ""
	sub := s.subscription(r.GetTypeUrl())
	acked, refused = sub.answered(r.GetResponseNonce(), r.GetErrorDetail() != nil)
	names := r.GetResourceNames()
	// No names mean everything, or nothing for what is only asked for by name.
	if len(names) > 0 || !wildcard(r.GetTypeUrl()) {
		maps.DeleteFunc(sub.acked, func(name, _ string) bool { return !slices.Contains(names, name) })
	}
	return acked, refused
}

func (s *subscription) answered(nonce string, rejected bool) (acked, refused bool) {
	p, ok := s.pending[nonce]
	if !ok {
		return false, false
	}
	delete(s.pending, nonce)
	if rejected {
		s.refusedSet = p.set
		return false, true
	}
	if p.whole {
		clear(s.acked)
	}
	for _, name := range p.removed {
		delete(s.acked, name)
	}
	maps.Copy(s.acked, p.set)
	return true, false
}

// caughtUp reports whether the Envoy has nothing older than want: it is new, and
// serves when it has that, or it is back and has acknowledged it.
func (s *stream) caughtUp(want *Resources) bool {
	if s.node.ID == "" {
		return false
	}
	asked := s.types[resourcev3.ListenerType] != nil && s.types[resourcev3.RouteType] != nil
	return !s.returning || asked && s.has(want, Types)
}

// has reports whether the Envoy has acknowledged everything of the types in
// want that concerns it, and the removal of what is not in want.
func (s *stream) has(want *Resources, typeURLs []string) bool {
	for _, t := range typeURLs {
		if !s.concerns(t) {
			continue
		}
		var acked map[string]string
		if sub := s.types[t]; sub != nil {
			acked = sub.acked
		}
		if !want.sameVersions(t, acked) {
			return false
		}
	}
	return true
}

// refusal returns why the Envoy refuses some of the types of want, nil if it
// does not. A late refusal of what is no longer wanted does not count.
func (s *stream) refusal(want *Resources, typeURLs []string) *Rejection {
	for _, t := range typeURLs {
		if sub := s.types[t]; sub != nil && sub.refused != nil && want.contains(t, sub.refusedSet) {
			return sub.refused
		}
	}
	return nil
}

// forgive forgets refusals.
func (s *stream) forgive() {
	for _, sub := range s.types {
		sub.refused, sub.refusedSet = nil, nil
	}
}

// wildcard reports whether Envoys ask for a type without naming resources.
func wildcard(typeURL string) bool {
	return typeURL == resourcev3.ClusterType || typeURL == resourcev3.ListenerType
}

// concerns reports whether the Envoy will ask for the type, if it has not yet:
// whoever has the clusters needs their endpoints and secrets next, and whoever
// has the listener its routes.
func (s *stream) concerns(typeURL string) bool {
	if s.types[typeURL] != nil {
		return true
	}
	switch typeURL {
	case resourcev3.EndpointType, resourcev3.SecretType:
		return s.types[resourcev3.ClusterType] != nil
	case resourcev3.RouteType:
		return s.types[resourcev3.ListenerType] != nil
	}
	return false
}

// snapshot copies what may be shown of the stream.
func (s *stream) snapshot() Node {
	n := s.node
	n.Acked = make(map[string]string, len(s.types))
	for t, sub := range s.types {
		n.Acked[t] = hashVersions(sub.acked)
	}
	return n
}

func compareNodes(a, b Node) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), a.ConnectedAt.Compare(b.ConnectedAt))
}
