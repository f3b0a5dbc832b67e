package xds

import (
	_ "embed"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	accessgrpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	metadatav3 "github.com/envoyproxy/go-control-plane/envoy/type/metadata/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"wye/envoy"
)

// usageScript reads a response's usage as it passes. Envoy's own json_to_metadata
// and sse_to_metadata cannot be used: docs/adr/0013-usage-path.md.
//
//go:embed usage.lua
var usageScript string

// usageFilterName is the name of the filter in the listener, by which routes turn
// it on.
const usageFilterName = "wye.usage"

const usageScriptName = "usage"

// runUsageFilter is how a route turns it on.
func runUsageFilter() *routev3.FilterConfig {
	return &routev3.FilterConfig{Config: packed(&luav3.LuaPerRoute{Override: &luav3.LuaPerRoute_Name{Name: usageScriptName}})}
}

// usageFilter runs usageScript.
func usageFilter() *hcmv3.HttpFilter {
	f := httpFilter(usageFilterName, &luav3.Lua{
		StatPrefix: "usage",
		SourceCodes: map[string]*corev3.DataSource{
			usageScriptName: {Specifier: &corev3.DataSource_InlineString{InlineString: usageScript}},
		},
	})
	f.Disabled = true // but for the routes that turn it on
	return f
}

// How long and how much of the access log Envoy collects before it sends it.
const (
	accessLogFlush = 500 * time.Millisecond
	accessLogBytes = 64 << 10
)

// usageLog sends Wye one entry for each request that was decided or refused by
// it, in batches after its end, over the connections that ext_proc has anyway.
func (b *builder) usageLog() *accesslogv3.AccessLog {
	requestHeaders := []string{"traceparent"}
	if h := b.snapshot.Usage.CallerHeader; h != "" {
		requestHeaders = append(requestHeaders, h)
	}
	return &accesslogv3.AccessLog{
		Name:   "envoy.access_loggers.http_grpc",
		Filter: decidedOrRefused(),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: packed(&accessgrpcv3.HttpGrpcAccessLogConfig{
			CommonConfig: &accessgrpcv3.CommonGrpcAccessLogConfig{
				LogName:             envoy.AccessLogName,
				TransportApiVersion: corev3.ApiVersion_V3,
				GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
					EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: envoy.ExtProcCluster, SkipEnvoyHeaders: true},
				}},
				BufferFlushInterval: durationpb.New(accessLogFlush),
				BufferSizeBytes:     wrapperspb.UInt32(accessLogBytes),
				CustomTags: []*tracingv3.CustomTag{
					servedTag(envoy.KeyBackend), servedTag(envoy.KeyModel), servedTag(envoy.KeyZone),
				},
			},
			AdditionalRequestHeadersToLog: requestHeaders,
			AdditionalResponseHeadersToLog: []string{
				"content-encoding", "content-type",
				// Of refusals, which carry no dynamic metadata.
				envoy.HeaderDecision, envoy.HeaderDeployment, envoy.HeaderMode, envoy.HeaderPolicy,
			},
		})},
	}
}

// servedTag is what the metadata of the cluster that served says. The entry's own
// name of the cluster is the one of its statistics, which has no hash.
func servedTag(key string) *tracingv3.CustomTag {
	return &tracingv3.CustomTag{Tag: key, Type: &tracingv3.CustomTag_Metadata_{Metadata: &tracingv3.CustomTag_Metadata{
		Kind: &metadatav3.MetadataKind{Kind: &metadatav3.MetadataKind_Cluster_{Cluster: &metadatav3.MetadataKind_Cluster{}}},
		MetadataKey: &metadatav3.MetadataKey{
			Key:  envoy.NamespaceDecision,
			Path: []*metadatav3.MetadataKey_PathSegment{{Segment: &metadatav3.MetadataKey_PathSegment_Key{Key: key}}},
		},
	}}}
}

// decidedOrRefused leaves out what Wye has nothing to do with, such as
// /v1/models.
func decidedOrRefused() *accesslogv3.AccessLogFilter {
	decided := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{
		MetadataFilter: &accesslogv3.MetadataFilter{
			Matcher: &matcherv3.MetadataMatcher{
				Filter: envoy.NamespaceDecision,
				Path: []*matcherv3.MetadataMatcher_PathSegment{
					{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: envoy.KeyDecision}},
				},
				Value: &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_PresentMatch{PresentMatch: true}},
			},
			MatchIfKeyNotFound: wrapperspb.Bool(false),
		},
	}}
	refused := celFilter("'" + envoy.HeaderDecision + "' in response.headers")
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_OrFilter{
		OrFilter: &accesslogv3.OrFilter{Filters: []*accesslogv3.AccessLogFilter{decided, refused}},
	}}
}
