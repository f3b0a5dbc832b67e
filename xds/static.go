package xds

import (
	"bytes"
	"encoding/json"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	// The bootstrap names these types, and reading it looks them up.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"wye/envoy"
	"wye/router"
)

// Static renders, as JSON, all that an Envoy of the zone (empty: none) and release
// needs to serve s without xDS. r is built from s. Keys are not in it: Envoy reads
// them itself where the policy says they are. admin is the address of Envoy's own
// admin page.
func Static(s *router.Snapshot, r *Resources, zone string, release envoy.Release, admin string) ([]byte, error) {
	part, err := r.For(zone, release)
	if err != nil {
		return nil, err
	}
	base, err := envoy.Bootstrap(envoy.BootstrapConfig{NodeID: "wye", Zone: zone, ADS: "127.0.0.1:1", Admin: admin})
	if err != nil {
		return nil, err
	}
	b := new(bootstrapv3.Bootstrap)
	if err := protojson.Unmarshal(base, b); err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	b.DynamicResources = nil
	b.StaticResources = new(bootstrapv3.Bootstrap_StaticResources)
	for _, name := range part.Names(secretType) {
		secret := proto.CloneOf(part.Resource(secretType, name).(*tlsv3.Secret))
		b.StaticResources.Secrets = append(b.StaticResources.Secrets, secret)
		for i := range s.Backends {
			if c := s.Backends[i].Credential; c != nil && secretName(&s.Backends[i]) == name {
				secret.GetGenericSecret().Secret = keySource(c)
			}
		}
	}
	for _, name := range part.Names(resourcev3.ClusterType) {
		c := proto.CloneOf(part.Resource(resourcev3.ClusterType, name).(*clusterv3.Cluster))
		if c.GetType() == clusterv3.Cluster_EDS {
			load, ok := part.Resource(resourcev3.EndpointType, name).(*endpointv3.ClusterLoadAssignment)
			if !ok {
				return nil, fmt.Errorf("cluster %s has no endpoints", name)
			}
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
			c.EdsClusterConfig, c.LoadAssignment = nil, load
		}
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, c)
	}
	for _, name := range part.Names(resourcev3.ListenerType) {
		b.StaticResources.Listeners = append(b.StaticResources.Listeners,
			proto.CloneOf(part.Resource(resourcev3.ListenerType, name).(*listenerv3.Listener)))
	}
	if err := part.settle(b.ProtoReflect()); err != nil {
		return nil, err
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("static bootstrap: %w", err)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("static bootstrap: %w", err)
	}
	var out bytes.Buffer // protojson varies its white space
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, fmt.Errorf("static bootstrap: %w", err)
	}
	return append(out.Bytes(), '\n'), nil
}

// keySource is where Envoy reads a key.
func keySource(c *router.Credential) *corev3.DataSource {
	if c.Env != "" {
		return &corev3.DataSource{Specifier: &corev3.DataSource_EnvironmentVariable{EnvironmentVariable: c.Env}}
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: c.File}}
}

// settle replaces, however deep in m, references to what comes over ADS: a secret
// by the static one of its name, routes by themselves.
func (r *Resources) settle(m protoreflect.Message) error {
	switch x := m.Interface().(type) {
	case *anypb.Any:
		inner, err := x.UnmarshalNew()
		if err != nil {
			return fmt.Errorf("static bootstrap: %w", err)
		}
		if err := r.settle(inner.ProtoReflect()); err != nil {
			return err
		}
		proto.Reset(x)
		proto.Merge(x, packed(inner))
		return nil
	case *tlsv3.SdsSecretConfig:
		x.SdsConfig = nil
		return nil
	case *hcmv3.HttpConnectionManager:
		routes, ok := r.Resource(resourcev3.RouteType, x.GetRds().GetRouteConfigName()).(*routev3.RouteConfiguration)
		if !ok {
			return fmt.Errorf("static bootstrap: there are no routes %q", x.GetRds().GetRouteConfigName())
		}
		x.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: proto.CloneOf(routes)}
	}
	var err error
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					err = r.settle(v.Message())
					return err == nil
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = r.settle(v.List().Get(i).Message())
			}
		default:
			err = r.settle(v.Message())
		}
		return err == nil
	})
	return err
}
