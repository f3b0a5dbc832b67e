package xds

import (
	"errors"
	"fmt"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
	"wye/router"
)

// view says which part of a policy an Envoy is sent. The zero view is all of it.
type view struct {
	zone string // only what this data zone has; empty: every zone
	// byAttempt: the Envoy is older than envoy.Full, see attempts.go.
	byAttempt bool
}

// viewOf is what decides what a node is sent: the zone in its metadata, else
// the one of its locality, and its version. A node that says no version is taken
// to be new: Envoy always says it.
func viewOf(n *corev3.Node) view {
	zone := nodeZone(n)
	if zone == router.ZoneGlobal {
		zone = ""
	}
	r, known := releaseOf(n)
	return view{zone: zone, byAttempt: known && r.Before(envoy.Full)}
}

// releaseOf is the release of Envoy that a node says it is.
func releaseOf(n *corev3.Node) (r envoy.Release, known bool) {
	v := n.GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return envoy.Release{}, false
	}
	return envoy.Release{Major: int(v.GetMajorNumber()), Minor: int(v.GetMinorNumber())}, true
}

// nodeZone is the data zone that a node says it stands in, empty if it says none.
func nodeZone(n *corev3.Node) string {
	fields := n.GetMetadata().GetFields()[envoy.NamespaceDecision].GetStructValue().GetFields()
	if v, ok := fields[envoy.KeyZone]; ok {
		if z := v.GetStringValue(); z != "" {
			return z
		}
		// What is there but cannot be read must not open every zone.
		return unreadableZone
	}
	return n.GetLocality().GetZone()
}

// unreadableZone is no zone's name, and check refuses it.
const unreadableZone = "?"

// bind returns the node as its identity has it: in the zone that it is bound to,
// if it says none itself. An empty zone binds to nothing.
func bind(n *corev3.Node, zone string) (*corev3.Node, error) {
	if zone == "" || zone == router.ZoneGlobal {
		return n, nil
	}
	if says := nodeZone(n); says != "" && says != zone {
		return nil, status.Errorf(codes.PermissionDenied, "the node says zone %q, and its identity is of zone %q", says, zone)
	}
	bound := &corev3.Node{}
	if n != nil {
		bound = proto.CloneOf(n)
	}
	if bound.Metadata == nil {
		bound.Metadata = &structpb.Struct{}
	}
	if bound.Metadata.Fields == nil {
		bound.Metadata.Fields = make(map[string]*structpb.Value)
	}
	own := bound.Metadata.Fields[envoy.NamespaceDecision].GetStructValue()
	if own == nil {
		own = &structpb.Struct{}
		bound.Metadata.Fields[envoy.NamespaceDecision] = structpb.NewStructValue(own)
	}
	if own.Fields == nil {
		own.Fields = make(map[string]*structpb.Value)
	}
	own.Fields[envoy.KeyZone] = structpb.NewStringValue(zone)
	return bound, nil
}

// check refuses a view that no policy could have.
func (v view) check() error {
	if v.zone != "" && !envoy.IsZone(v.zone) {
		return errors.New("the node's zone is not the name of a data zone: lower-case letters, digits and -")
	}
	return nil
}

// key names the view in go-control-plane's cache.
func (v view) key() string {
	if v.byAttempt {
		return "zone/" + v.zone + "/by-attempt"
	}
	return "zone/" + v.zone
}

// views are the parts of one set of resources, made when they are first asked
// for.
type views struct {
	mu   sync.Mutex
	make func(view) (*Resources, error)
	made map[view]*Resources
}

// maxViews bounds how many parts are kept: nodes may name zones that no policy
// has.
const maxViews = 64

// of returns the part of r that a view shows.
func (r *Resources) of(v view) (*Resources, error) {
	if v == (view{}) {
		return r, nil
	}
	r.parts.mu.Lock()
	defer r.parts.mu.Unlock()
	if part := r.parts.made[v]; part != nil {
		return part, nil
	}
	part, err := r.parts.make(v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.key(), err)
	}
	if len(r.parts.made) < maxViews {
		r.parts.made[v] = part
	}
	return part, nil
}

// partsBy gives r the parts that f makes.
func (r *Resources) partsBy(f func(view) (*Resources, error)) *Resources {
	r.parts = &views{make: f, made: make(map[view]*Resources)}
	return r
}

// errRetired says that a retired policy has no part for a view, see retire.
var errRetired = errors.New("the policy is retired")

// retire keeps the parts of r that were made and makes no more, which takes the
// policy itself. A view that comes after it has never had a request decided
// under r.
func (r *Resources) retire() {
	r.parts.mu.Lock()
	defer r.parts.mu.Unlock()
	r.parts.make = func(view) (*Resources, error) { return nil, errRetired }
}

// InZone returns what an Envoy of the zone is sent of r.
func (r *Resources) InZone(zone string) (*Resources, error) {
	return r.For(zone, envoy.Full)
}

// For returns what an Envoy of the zone, empty for none, and of a release is sent
// of r.
func (r *Resources) For(zone string, release envoy.Release) (*Resources, error) {
	if err := release.Served(); err != nil {
		return nil, err
	}
	v := viewOf(&corev3.Node{Locality: &corev3.Locality{Zone: zone}})
	if err := v.check(); err != nil {
		return nil, err
	}
	v.byAttempt = release.Before(envoy.Full)
	return r.of(v)
}
