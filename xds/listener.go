package xds

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	setstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"wye/envoy"
)

// listener takes client requests, in HTTP/1.1 or HTTP/2 over plain text.
func (b *builder) listener(a envoy.Address) *listenerv3.Listener {
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix: envoy.StatPrefix,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: overADS(), RouteConfigName: envoy.RouteName,
		}},
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{{
			Name:        "envoy.http.early_header_mutation.header_mutation",
			TypedConfig: packed(reservedHeaders()),
		}},
		HttpFilters:      b.httpFilters(),
		LocalReplyConfig: b.localReplies(),
		// The client's address is for our own use: providers get no
		// x-forwarded-for.
		UseRemoteAddress: wrapperspb.Bool(true),
		SkipXffAppend:    true,
		// A client's x-request-id is kept, and told back.
		PreserveExternalRequestId:    true,
		AlwaysSetRequestIdInResponse: true,
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		RequestHeadersTimeout:        durationpb.New(10 * time.Second),
		RequestTimeout:               durationpb.New(b.options.RequestTimeout),
		// Applies until a deployment's route is known, that is, to clients that
		// stop in the middle of a body.
		StreamIdleTimeout: durationpb.New(time.Minute),
	}
	limit := (*wrapperspb.UInt32Value)(nil)
	if len(b.besideTranslating) > 0 {
		limit = wrapperspb.UInt32(translatedBuffer)
		hcm.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{InitialStreamWindowSize: limit}
	}
	if !b.snapshot.Usage.Off {
		hcm.AccessLog = b.usageLogs()
	}
	return &listenerv3.Listener{
		Name:                          envoy.ListenerName,
		Address:                       protoAddress(a),
		PerConnectionBufferLimitBytes: limit,
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: packed(hcm)},
			}},
		}},
	}
}

func (b *builder) httpFilters() []*hcmv3.HttpFilter {
	var filters []*hcmv3.HttpFilter
	if len(b.keptHeaders) > 0 {
		filters = append(filters, httpFilter("envoy.filters.http.set_filter_state", b.keepCredentials()))
	}
	filters = append(filters, b.routingFilter())
	if b.view.byAttempt {
		filters = append(filters, attemptFilter())
	}
	if !b.snapshot.Usage.Off {
		filters = append(filters, usageFilter())
	}
	return append(filters, httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true}))
}

// keepCredentials notes what the client sent, for attempts at backends without
// a credential, or a header, that follow attempts at backends with one: see
// upstreamFilters.
func (b *builder) keepCredentials() *setstatev3.Config {
	c := &setstatev3.Config{}
	for _, h := range b.keptHeaders {
		c.OnRequestHeaders = append(c.OnRequestHeaders, &filterstatev3.FilterStateValue{
			Key:        &filterstatev3.FilterStateValue_ObjectKey{ObjectKey: credentialState(h)},
			FactoryKey: "envoy.string",
			Value: &filterstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
					Specifier: &corev3.DataSource_InlineString{InlineString: "%REQ(" + h + ")%"},
				}},
				OmitEmptyValues: true,
			}},
			SkipIfEmpty: true,
		})
	}
	return c
}

func credentialState(header string) string { return "wye.client." + header }

// clientCredential is the format string of what keepCredentials noted.
func clientCredential(header string) string {
	return "%FILTER_STATE(" + credentialState(header) + ":PLAIN)%"
}
