package xds

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/http_11_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"wye/envoy"
	"wye/router"
)

// systemBundles are where systems keep the CAs that they trust: Debian, Alpine
// and distroless images, Fedora, SUSE, and macOS.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

// transportSocket is TLS that checks the server's certificate, nil for plain
// text.
func (b *builder) transportSocket(r *Resources, backend *router.Backend, a envoy.Address) (*corev3.TransportSocket, error) {
	if backend.TLS == nil {
		return nil, nil
	}
	name := backend.TLS.ServerName
	if name == "" {
		name = a.Host
	}
	san := tlsv3.SubjectAltNameMatcher_DNS
	sni := name
	if net.ParseIP(name) != nil {
		san, sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "" // SNI is for names
	}
	ca, err := b.trustedCA(r, backend.TLS.CAFile)
	if err != nil {
		return nil, err
	}
	return throughProxy(backend, &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(&tlsv3.UpstreamTlsContext{
			Sni: sni,
			CommonTlsContext: &tlsv3.CommonTlsContext{
				ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
					CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
						DefaultValidationContext: &tlsv3.CertificateValidationContext{
							MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{{
								SanType: san,
								Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
							}},
						},
						ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: ca, SdsConfig: overADS()},
					},
				},
			},
		})},
	})
}

// throughProxy has TLS go through the backend's proxy, if it has one: Envoy asks
// that one to connect it, and speaks TLS with the provider itself.
func throughProxy(backend *router.Backend, tls *corev3.TransportSocket) (*corev3.TransportSocket, error) {
	if backend.Proxy == "" {
		return tls, nil
	}
	at, err := envoy.ParseAddress(backend.Proxy)
	if err != nil || !at.IP.IsValid() {
		return nil, fmt.Errorf("proxy %q is not an IP address and a port", backend.Proxy)
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.http_11_proxy",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(&proxyv3.Http11ProxyUpstreamTransport{
			TransportSocket: tls, DefaultProxyAddress: protoAddress(at),
		})},
	}, nil
}

// trustedCA adds the secret that holds a CA bundle, if it is not there yet, and
// returns its name. The bundle travels once, however many backends trust it,
// and Envoy needs no file. It is Wye's system whose bundle counts: Envoy's own
// system_root_certs cannot be combined with a check of the server's name.
func (b *builder) trustedCA(r *Resources, file string) (name string, err error) {
	if name, ok := b.bundles[file]; ok {
		return name, nil
	}
	bundle, err := b.readBundle(file)
	if err != nil {
		return "", fmt.Errorf("CA bundle: %w", err)
	}
	if block, _ := pem.Decode(bundle); block == nil || block.Type != "CERTIFICATE" {
		return "", fmt.Errorf("CA bundle: %s does not begin with a certificate in PEM", file)
	}
	name = envoy.ClusterPrefix + "ca/" + contentVersion(bundle)[:8]
	b.bundles[file] = name
	if r.Resource(secretType, name) != nil {
		return name, nil // two files of the same content
	}
	return name, r.add(name, &tlsv3.Secret{
		Name: name,
		Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: string(bundle)}},
		}},
	})
}

// readBundle reads the file, or the system's if it is empty.
func (b *builder) readBundle(file string) ([]byte, error) {
	if file != "" {
		return b.options.ReadFile(file)
	}
	for _, system := range systemBundles {
		bundle, err := b.options.ReadFile(system)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return bundle, err
		}
	}
	return nil, fmt.Errorf("the system has none of %q", systemBundles)
}

// identity is TLS with the certificates that the Envoy was started with.
func identity() *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(&tlsv3.UpstreamTlsContext{
			CommonTlsContext: &tlsv3.CommonTlsContext{
				AlpnProtocols:                  []string{"h2"},
				TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: envoy.IdentitySecret}},
				ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
					ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: envoy.TrustSecret},
				},
			},
		})},
	}
}
