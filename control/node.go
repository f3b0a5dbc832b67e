package control

import (
	"fmt"
	"maps"
	"regexp"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
	"wye/router"
)

// Node is who a member says that it is.
type Node struct {
	ID      string            `json:"node_id"`
	Zone    string            `json:"zone"`              // data zone, "global" for all of them
	Version string            `json:"version,omitempty"` // of Wye
	Labels  map[string]string `json:"labels,omitempty"`
}

// Keys of what a member says of itself, in envoy.NamespaceDecision of its
// metadata, beside envoy.KeyZone.
const (
	keyVersion = "version"
	keyLabels  = "labels"
)

// Bounds on what a member says of itself.
const (
	maxNodeID = 256
	maxLabels = 32
)

// label is the form of a label's key and of its value; a value may be empty.
var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$`)

// CheckLabel refuses what cannot be a label.
func CheckLabel(key, value string) error {
	if !label.MatchString(key) || value != "" && !label.MatchString(value) {
		return fmt.Errorf("%q=%q is no label: both sides are at most 63 letters, digits or . _ / -, and start and end with a letter or digit", shorten(key), shorten(value))
	}
	return nil
}

// nodeID is the form of a node id: printable ASCII without spaces.
var nodeID = regexp.MustCompile(`^[[:graph:]]{1,256}$`)

// version is the form of a version; another is not shown.
var version = regexp.MustCompile(`^[[:graph:]]{1,64}$`)

// CheckNodeID refuses what cannot be a node id.
func CheckNodeID(id string) error {
	if !nodeID.MatchString(id) {
		return fmt.Errorf("a node id is 1 to %d printable ASCII characters without spaces", maxNodeID)
	}
	return nil
}

// message is how a node says so.
func (n Node) message() *corev3.Node {
	labels := &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	for k, v := range n.Labels {
		labels.Fields[k] = structpb.NewStringValue(v)
	}
	own := &structpb.Struct{Fields: map[string]*structpb.Value{
		keyVersion: structpb.NewStringValue(n.Version), keyLabels: structpb.NewStructValue(labels),
	}}
	if n.Zone != "" {
		own.Fields[envoy.KeyZone] = structpb.NewStringValue(n.Zone)
	}
	return &corev3.Node{
		Id: n.ID, Cluster: envoy.NodeCluster, UserAgentName: "wye",
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{envoy.NamespaceDecision: structpb.NewStructValue(own)}},
	}
}

// readNode reads the node of a stream's first request. bound is the zone of the
// identity that opened the stream, empty where identities are not looked at. The
// error is for the stream.
func readNode(m *corev3.Node, bound string) (Node, error) {
	n := Node{ID: m.GetId()}
	if err := CheckNodeID(n.ID); err != nil {
		return n, status.Error(codes.InvalidArgument, err.Error())
	}
	own := m.GetMetadata().GetFields()[envoy.NamespaceDecision].GetStructValue().GetFields()
	if v := own[keyVersion].GetStringValue(); version.MatchString(v) {
		n.Version = v
	}
	labels := own[keyLabels].GetStructValue().GetFields()
	if len(labels) > maxLabels {
		return n, status.Errorf(codes.InvalidArgument, "a node has at most %d labels", maxLabels)
	}
	if len(labels) > 0 {
		n.Labels = make(map[string]string, len(labels))
	}
	for k, v := range labels {
		if _, isText := v.GetKind().(*structpb.Value_StringValue); !isText {
			return n, status.Error(codes.InvalidArgument, "a label's value must be text")
		}
		if err := CheckLabel(k, v.GetStringValue()); err != nil {
			return n, status.Error(codes.InvalidArgument, err.Error())
		}
		n.Labels[k] = v.GetStringValue()
	}
	zone, err := zoneOf(m)
	if err != nil {
		return n, err
	}
	switch {
	case bound == "" || bound == router.ZoneGlobal:
		n.Zone = zone
	case zone != "" && zone != bound:
		return n, status.Errorf(codes.PermissionDenied, "the node says zone %q, and its identity is of zone %q", zone, bound)
	default:
		n.Zone = bound
	}
	if n.Zone == "" {
		n.Zone = router.ZoneGlobal
	}
	return n, nil
}

// zoneOf is the data zone that a node names, empty if it names none. What is
// there but cannot be read must not open every zone.
func zoneOf(m *corev3.Node) (string, error) {
	zone := m.GetLocality().GetZone()
	if v, ok := m.GetMetadata().GetFields()[envoy.NamespaceDecision].GetStructValue().GetFields()[envoy.KeyZone]; ok {
		if zone = v.GetStringValue(); zone == "" {
			return "", status.Error(codes.InvalidArgument, "the zone in the node's metadata cannot be read")
		}
	}
	if zone != "" && !envoy.IsZone(zone) {
		return "", status.Error(codes.InvalidArgument, "the node's zone is not the name of a data zone: lower-case letters, digits and -")
	}
	return zone, nil
}

// same reports whether two nodes are one.
func (n Node) same(o Node) bool {
	return n.ID == o.ID && n.Zone == o.Zone && maps.Equal(n.Labels, o.Labels)
}
