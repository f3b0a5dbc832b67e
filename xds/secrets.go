package xds

import (
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	credentialv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	genericv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"wye/envoy"
	"wye/router"
)

// secretHeader is a header of requests to a backend whose value only Envoy and
// the provider see.
type secretHeader struct {
	name string // of the SDS secret
	from router.Credential
}

// secretsOf lists the backend's secret headers: its credential, and others.
func secretsOf(backend *router.Backend) []secretHeader {
	at := secretName(backend)
	var all []secretHeader
	if c := backend.Credential; c != nil {
		all = append(all, secretHeader{at, *c})
	}
	for _, h := range backend.Headers {
		if h.Secret() {
			all = append(all, secretHeader{at + "/" + h.Name, router.Credential{Env: h.Env, File: h.File, Header: h.Name}})
		}
	}
	return all
}

// secretName is the name of the backend's credential.
func secretName(backend *router.Backend) string {
	return envoy.ClusterPrefix + "credential/" + backend.Name + "/" + backend.Hash
}

// injector puts a secret into its header.
func injector(s secretHeader) *hcmv3.HttpFilter {
	return httpFilter("envoy.filters.http.credential_injector", &credentialv3.CredentialInjector{
		Overwrite: true,
		Credential: &corev3.TypedExtensionConfig{
			Name: "envoy.http.injected_credentials.generic",
			TypedConfig: packed(&genericv3.Generic{
				Credential:        &tlsv3.SdsSecretConfig{Name: s.name, SdsConfig: overADS()},
				Header:            s.from.Header,
				HeaderValuePrefix: s.from.Prefix,
			}),
		},
	})
}

// ownHeaders sets every header that an attempt at another backend may have
// changed to the backend's own value or, where it has none, to what the client
// sent; of credentials, a backend that has one gets no other.
func (b *builder) ownHeaders(backend *router.Backend) []*mutationv3.HeaderMutation {
	var mutations []*mutationv3.HeaderMutation
	for _, name := range b.keptHeaders {
		own := slices.IndexFunc(backend.Headers, func(h router.Header) bool { return h.Name == name })
		_, isCredential := slices.BinarySearch(b.credentialHeaders, name)
		switch {
		case own < 0 && backend.Translate && name == versionHeader:
			continue // the translation's
		case own < 0 && isCredential && backend.Credential != nil, own >= 0 && backend.Headers[own].Secret():
			mutations = append(mutations, removeHeader(name))
		case own < 0:
			mutations = append(mutations, removeHeader(name), setHeader(name, clientCredential(name)))
		default:
			mutations = append(mutations, removeHeader(name), setHeader(name, escapeFormat(backend.Headers[own].Value)))
		}
	}
	return mutations
}

// versionHeader is the version of Anthropic's API that a client speaks.
const versionHeader = "anthropic-version"

// missingSecret stands in for a key that could not be read. The provider
// answers 401, which moves the request on to the next backend, where leaving
// the secret out would hold up the cluster and everything that waits for it.
const missingSecret = "missing-credential"

// secret holds a key of backend.
func (b *builder) secret(backend *router.Backend, s secretHeader) *tlsv3.Secret {
	key, err := b.options.Secret(s.from)
	if err != nil {
		b.missing(backend, &s.from, err)
		key = missingSecret
	}
	return &tlsv3.Secret{
		Name: s.name,
		Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secret: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: key}},
		}},
	}
}
