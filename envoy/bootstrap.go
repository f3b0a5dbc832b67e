package envoy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// BootstrapConfig is what an Envoy must be told before it can ask Wye for the
// rest.
type BootstrapConfig struct {
	NodeID      string // unique in the fleet; required
	NodeCluster string // default: NodeCluster
	Zone        string // data zone that the Envoy stands in, sent as locality and node metadata; empty: none
	// ADS is the address of Wye's xDS server: host:port, or unix:/path.
	ADS string
	// TLS, unless nil, is how to speak to Wye's servers. They may then ask who it is.
	TLS *BootstrapTLS
	// Admin is where Envoy's admin page listens: a loopback host:port, where
	// port 0 picks a free one, or unix:/path. Default 127.0.0.1:0.
	Admin string
	// AdminAnywhere allows an Admin address that other machines can reach. The
	// page has no authentication and can stop Envoy.
	AdminAnywhere bool
	// MaxHeapBytes is what Envoy may allocate: near it, it gives memory back to the
	// system, then refuses requests. DefaultMaxHeapBytes.
	MaxHeapBytes int64
	// MaxConnections is how many clients may be connected at once; more are hung
	// up on. DefaultMaxConnections.
	MaxConnections int
	// StateOfTheWorld selects the older xDS variant that sends everything on
	// every change; the default is delta.
	StateOfTheWorld bool
}

// BootstrapTLS names files in PEM that the Envoy can read. It reads them when it
// starts.
type BootstrapTLS struct {
	Cert, Key string // the Envoy's own certificate and key
	CA        string // roots of Wye's certificate
	// ServerName is what Wye's certificate must be for: a DNS name, an IP address,
	// or a URI such as spiffe://example.org/wye. Default: the host of ADS.
	ServerName string
}

// The bounds of an Envoy for which nobody has set others.
const (
	DefaultMaxHeapBytes   = 2 << 30
	DefaultMaxConnections = 16384
)

type object = map[string]any

// Bootstrap renders an Envoy bootstrap document as JSON: the node, the admin
// address and the ADS cluster. Listeners, routes, clusters, endpoints and
// secrets come over ADS. The error lists every fault of c.
func Bootstrap(c BootstrapConfig) ([]byte, error) {
	var errs []error
	if c.NodeID == "" {
		errs = append(errs, errors.New("node id is empty"))
	}
	if c.Zone != "" && !IsZone(c.Zone) {
		errs = append(errs, fmt.Errorf("zone: %q is not the name of a data zone: lower-case letters, digits and -", c.Zone))
	}
	if c.NodeCluster == "" {
		c.NodeCluster = NodeCluster
	}
	if c.Admin == "" {
		c.Admin = "127.0.0.1:0"
	}
	ads, err := ParseAddress(c.ADS)
	if err != nil {
		errs = append(errs, fmt.Errorf("ads address: %w", err))
	} else if ads.Port == 0 && ads.Path == "" {
		errs = append(errs, fmt.Errorf("ads address: %q has port 0", c.ADS))
	}
	admin, err := ParseAddress(c.Admin)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("admin address: %w", err))
	case admin.Path == "" && !admin.IP.IsValid():
		errs = append(errs, fmt.Errorf("admin address: %q: the host must be an IP address", c.Admin))
	case admin.Path == "" && !admin.IP.IsLoopback() && !c.AdminAnywhere:
		errs = append(errs, fmt.Errorf("admin address: %q is not loopback, and the admin page has no authentication", c.Admin))
	}
	if c.TLS != nil {
		if c.TLS.Cert == "" || c.TLS.Key == "" || c.TLS.CA == "" {
			errs = append(errs, errors.New("tls: certificate, key and CA belong together"))
		}
		if c.TLS.ServerName == "" && ads.Host == "" {
			errs = append(errs, errors.New("tls: a Unix socket has no name; say what Wye's certificate is for"))
		}
	}
	if c.MaxHeapBytes < 0 || c.MaxConnections < 0 {
		errs = append(errs, errors.New("the bounds on heap and connections must be above 0"))
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("bootstrap: %w", errors.Join(errs...))
	}
	static := object{"clusters": []any{adsCluster(ads, c.TLS)}}
	if c.TLS != nil {
		static["secrets"] = c.TLS.secrets(ads)
	}
	document := object{
		"node": node(c),
		// Whoever looks for the reason must get in.
		"admin":            object{"address": admin.proto(), "ignore_global_conn_limit": true},
		"overload_manager": overloadManager(c),
		"static_resources": static,
		"dynamic_resources": object{
			"ads_config": adsConfig(c.StateOfTheWorld),
			"cds_config": overADS(),
			"lds_config": overADS(),
		},
		"layered_runtime": object{"layers": []any{object{"name": "wye", "static_layer": runtimeFlags()}}},
	}
	b, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	return append(b, '\n'), nil
}

// runtimeFlags turns off the flow control between ext_proc streams and the
// requests they belong to. With it Envoy 1.40.0 crashes when the stream of an
// upstream ext_proc filter, such as the fallback clusters have, makes a request
// wait, which every body above 64 KiB does whose stream needs a new connection.
// Memory stays bounded by the limit on bodies.
func runtimeFlags() object {
	return object{"envoy.reloadable_features.grpc_side_stream_flow_control": false}
}

func node(c BootstrapConfig) object {
	metadata := object{KeyBootstrap: true}
	n := object{"id": c.NodeID, "cluster": c.NodeCluster, "metadata": object{NamespaceDecision: metadata}}
	if c.Zone != "" {
		n["locality"] = object{"zone": c.Zone}
		metadata[KeyZone] = c.Zone
	}
	return n
}

func adsConfig(stateOfTheWorld bool) object {
	api := "DELTA_GRPC"
	if stateOfTheWorld {
		api = "GRPC"
	}
	return object{
		"api_type": api, "transport_api_version": "V3", "set_node_on_first_message_only": true,
		"grpc_services": []any{object{"envoy_grpc": object{
			"cluster_name": ADSCluster,
			// Envoy's own wait grows to half a minute, over which a Wye that came
			// back would name clusters that Envoy has not heard of.
			"retry_policy": object{"retry_back_off": object{"base_interval": "0.1s", "max_interval": "1s"}},
		}}},
	}
}

func overADS() object {
	return object{"resource_api_version": "V3", "ads": object{}}
}

// adsCluster pings its connection, so that a control plane that vanished
// without closing it is noticed.
func adsCluster(a Address, tls *BootstrapTLS) object {
	const http = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	kind := "STATIC"
	if a.Path == "" && !a.IP.IsValid() {
		kind = "STRICT_DNS"
	}
	cluster := object{
		"name": ADSCluster, "type": kind, "connect_timeout": "1s", "dns_lookup_family": "V4_PREFERRED",
		"load_assignment": object{
			"cluster_name": ADSCluster,
			"endpoints": []any{object{"lb_endpoints": []any{
				object{"endpoint": object{"address": a.proto()}},
			}}},
		},
		"typed_extension_protocol_options": object{http: object{
			"@type": "type.googleapis.com/" + http,
			"explicit_http_config": object{"http2_protocol_options": object{
				"connection_keepalive": object{"interval": "10s", "timeout": "5s"},
			}},
		}},
	}
	if tls != nil {
		cluster["transport_socket"] = tls.socket(a)
	}
	return cluster
}

// Address is a place to listen at or to connect to: a Unix socket when Path is
// set, else Host and Port. IP is valid when Host is an IP address.
type Address struct {
	Path string
	Host string
	IP   netip.Addr
	Port uint16
}

// ParseAddress reads unix:/path, unix:@abstract-name (Linux), or host:port.
func ParseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "@") && !filepath.IsAbs(path) {
			return Address{}, fmt.Errorf("%q: the path of a Unix socket must be absolute", s)
		}
		return Address{Path: path}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, fmt.Errorf("%q is neither host:port nor unix:/path", s)
	}
	if host == "" {
		return Address{}, fmt.Errorf("%q has no host", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Address{}, fmt.Errorf("%q: port %q is not a number up to 65535", s, port)
	}
	a := Address{Host: host, Port: uint16(n)}
	if ip, err := netip.ParseAddr(host); err == nil {
		a.IP = ip
	}
	return a, nil
}

// Network returns the address as net.Dial takes it.
func (a Address) Network() (network, address string) {
	if a.Path != "" {
		return "unix", a.Path
	}
	return "tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

func (a Address) proto() object {
	if a.Path != "" {
		return object{"pipe": object{"path": a.Path}}
	}
	return object{"socket_address": object{"address": a.Host, "port_value": a.Port}}
}
