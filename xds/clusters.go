package xds

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"wye/envoy"
	"wye/router"
)

// addBackend adds the clusters of a backend, and the endpoints and the
// secret that they refer to.
func (b *builder) addBackend(r *Resources, backend *router.Backend) error {
	address, err := envoy.ParseAddress(backend.Address)
	if err != nil {
		return fmt.Errorf("address: %w", err)
	}
	tls, err := b.transportSocket(r, backend, address)
	if err != nil {
		return err
	}
	var errs []error
	for _, use := range usesOf(backend) {
		name := use.cluster(backend)
		filters, err := b.upstreamFilters(backend, use)
		if err != nil {
			return err
		}
		options := upstreamProtocol(backend)
		options.HttpFilters = filters
		c := &clusterv3.Cluster{
			Name:            name,
			AltStatName:     statName(backend, use),
			ConnectTimeout:  durationpb.New(b.options.ConnectTimeout),
			TransportSocket: tls,
			Metadata:        b.clusterMetadata(backend),
			CircuitBreakers: circuitBreakers(),
			UpstreamConnectionOptions: &clusterv3.UpstreamConnectionOptions{
				TcpKeepalive: &corev3.TcpKeepalive{
					KeepaliveTime: wrapperspb.UInt32(30), KeepaliveInterval: wrapperspb.UInt32(10), KeepaliveProbes: wrapperspb.UInt32(3),
				},
			},
			TypedExtensionProtocolOptions: map[string]*anypb.Any{httpProtocolOptions: packed(options)},
		}
		if address.Path != "" || address.IP.IsValid() {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
			c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: overADS()}
			// A cluster that changes under its name goes on with the endpoints
			// that it has, but first waits for them to come again, which delta
			// xDS does not make them do.
			c.EdsClusterConfig.EdsConfig.InitialFetchTimeout = durationpb.New(time.Second)
			errs = append(errs, r.add(name, behindProxy(backend, address, loadAssignment(name, address))))
		} else {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
			c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
			c.LoadAssignment = withSubstitute(behindProxy(backend, address, loadAssignment(name, address)))
		}
		errs = append(errs, r.add(name, c))
	}
	for _, s := range secretsOf(backend) {
		errs = append(errs, r.add(s.name, b.secret(backend, s)))
	}
	return errors.Join(errs...)
}

// httpProtocolOptions is the extension point of HTTP options on a cluster.
const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// statName keeps a backend's statistics under one name while its hash changes.
// Envoy's statistics take dots as separators.
func statName(backend *router.Backend, u use) string {
	name := [...]string{first: "wye_first_", fallback: "wye_fallback_", translating: "wye_translating_"}[u]
	return name + strings.NewReplacer(".", "_", ":", "_", "/", "_").Replace(backend.Name)
}

// clusterMetadata is what responses are annotated with.
func (b *builder) clusterMetadata(backend *router.Backend) *corev3.Metadata {
	fields := map[string]*structpb.Value{
		envoy.KeyModel:   structpb.NewStringValue(b.snapshot.Models[backend.Model].Version()),
		envoy.KeyZone:    structpb.NewStringValue(backend.Zone),
		envoy.KeyBackend: structpb.NewStringValue(backend.Name),
		envoy.KeySendAs:  structpb.NewStringValue(backend.SendAs),
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{envoy.NamespaceDecision: {Fields: fields}}}
}

// circuitBreakers lifts Envoy's defaults, of which three concurrent retries a
// cluster is the one that hurts: a failover is a retry.
func circuitBreakers() *clusterv3.CircuitBreakers {
	const limit = 16384
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: wrapperspb.UInt32(limit), MaxPendingRequests: wrapperspb.UInt32(limit),
		MaxRequests: wrapperspb.UInt32(limit), MaxRetries: wrapperspb.UInt32(limit),
	}}}
}

func loadAssignment(cluster string, a envoy.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{
				HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
					Address: protoAddress(a), Hostname: hostHeader(a),
				}},
			}},
		}},
	}
}

// behindProxy names the endpoint as a proxy is to be asked for it: Envoy puts the
// port behind the name itself.
func behindProxy(backend *router.Backend, address envoy.Address, a *endpointv3.ClusterLoadAssignment) *endpointv3.ClusterLoadAssignment {
	if backend.Proxy != "" {
		address.Port = 443
		a.GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().Hostname = hostHeader(address)
	}
	return a
}

// withSubstitute adds an endpoint of lower priority that refuses connections:
// nobody can listen on port 0. Envoy takes it while the name of the real one has
// never resolved, and the attempt fails as one at a provider that is down, which
// moves the request on. A cluster without any endpoint would end the request
// with 503, whatever else there is in its chain.
func withSubstitute(a *endpointv3.ClusterLoadAssignment) *endpointv3.ClusterLoadAssignment {
	nowhere := envoy.Address{Host: "127.0.0.1", IP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	substitute := loadAssignment(a.ClusterName, nowhere).Endpoints[0]
	substitute.Priority = 1
	a.Endpoints = append(a.Endpoints, substitute)
	return a
}

// hostHeader is what auto_host_rewrite makes of a request's host.
func hostHeader(a envoy.Address) string {
	switch {
	case a.Path != "":
		return "localhost"
	case a.Port != 443 && a.Port != 80:
		return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
	case strings.Contains(a.Host, ":"):
		return "[" + a.Host + "]"
	}
	return a.Host
}

func protoAddress(a envoy.Address) *corev3.Address {
	if a.Path != "" {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: a.Path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port)},
	}}}
}

// upstreamProtocol leaves the choice of HTTP/2 to TLS's ALPN; a plain-text
// backend is taken to speak HTTP/1.1.
func upstreamProtocol(backend *router.Backend) *httpv3.HttpProtocolOptions {
	if backend.TLS == nil {
		return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
					HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
				},
			},
		}}
	}
	return &httpv3.HttpProtocolOptions{UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_AutoConfig{
		AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{
			HttpProtocolOptions:  &corev3.Http1ProtocolOptions{},
			Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
		},
	}}
}

// extProcCluster is Wye itself. A Wye that died is noticed by its connections,
// one that froze by unanswered pings and health checks: requests under way fail
// when the connection is closed, and with no panic threshold later ones fail at
// once until a health check succeeds again.
func (b *builder) extProcCluster() *clusterv3.Cluster {
	options := &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
						ConnectionKeepalive: &corev3.KeepaliveSettings{
							Interval: durationpb.New(time.Second), Timeout: durationpb.New(2 * time.Second),
						},
						// One connection a worker, however many requests: Envoy's
						// own default is 1024.
						MaxConcurrentStreams:        wrapperspb.UInt32(1<<31 - 1),
						InitialStreamWindowSize:     wrapperspb.UInt32(1 << 20),
						InitialConnectionWindowSize: wrapperspb.UInt32(16 << 20),
					},
				},
			},
		},
	}
	kind := clusterv3.Cluster_STATIC
	if b.extProc.Path == "" && !b.extProc.IP.IsValid() {
		kind = clusterv3.Cluster_STRICT_DNS
	}
	c := &clusterv3.Cluster{
		Name:                                envoy.ExtProcCluster,
		ClusterDiscoveryType:                &clusterv3.Cluster_Type{Type: kind},
		ConnectTimeout:                      durationpb.New(time.Second),
		DnsLookupFamily:                     clusterv3.Cluster_V4_PREFERRED,
		LoadAssignment:                      loadAssignment(envoy.ExtProcCluster, b.extProc),
		CircuitBreakers:                     circuitBreakers(),
		CloseConnectionsOnHostHealthFailure: true,
		CommonLbConfig:                      &clusterv3.Cluster_CommonLbConfig{HealthyPanicThreshold: &typev3.Percent{Value: 0}},
		HealthChecks: []*corev3.HealthCheck{{
			Timeout:            durationpb.New(1500 * time.Millisecond),
			Interval:           durationpb.New(500 * time.Millisecond),
			NoTrafficInterval:  durationpb.New(500 * time.Millisecond),
			UnhealthyInterval:  durationpb.New(250 * time.Millisecond),
			UnhealthyThreshold: wrapperspb.UInt32(2),
			HealthyThreshold:   wrapperspb.UInt32(1),
			HealthChecker: &corev3.HealthCheck_GrpcHealthCheck_{GrpcHealthCheck: &corev3.HealthCheck_GrpcHealthCheck{
				ServiceName: "envoy.service.ext_proc.v3.ExternalProcessor",
			}},
		}},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpProtocolOptions: packed(options)},
	}
	if b.options.ExtProcTLS {
		c.TransportSocket = identity()
	}
	return c
}
