package envoy

import (
	"net"
	"strings"
)

// secrets are the static ones that clusters of Wye's own refer to.
func (t *BootstrapTLS) secrets(ads Address) []any {
	name := t.ServerName
	if name == "" {
		name = ads.Host
	}
	kind := "DNS"
	switch {
	case strings.Contains(name, "://"):
		kind = "URI"
	case net.ParseIP(name) != nil:
		kind = "IP_ADDRESS"
	}
	file := func(name string) object { return object{"filename": name} }
	return []any{
		object{"name": IdentitySecret, "tls_certificate": object{
			"certificate_chain": file(t.Cert), "private_key": file(t.Key),
		}},
		object{"name": TrustSecret, "validation_context": object{
			"trusted_ca": file(t.CA),
			"match_typed_subject_alt_names": []any{
				object{"san_type": kind, "matcher": object{"exact": name}},
			},
		}},
	}
}

// socket is the transport socket of the ADS cluster.
func (t *BootstrapTLS) socket(ads Address) object {
	const context = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
	tls := object{
		"@type": context,
		"common_tls_context": object{
			"alpn_protocols":                       []string{"h2"},
			"tls_certificate_sds_secret_configs":   []any{object{"name": IdentitySecret}},
			"validation_context_sds_secret_config": object{"name": TrustSecret},
		},
	}
	if ads.Path == "" && !ads.IP.IsValid() {
		tls["sni"] = ads.Host
	}
	return object{"name": "envoy.transport_sockets.tls", "typed_config": tls}
}
