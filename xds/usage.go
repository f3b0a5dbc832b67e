package xds

import (
	_ "embed"
	"strings"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	otellogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	otelv1 "go.opentelemetry.io/proto/otlp/common/v1"
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

// usageLogs send Wye one line for each request that was decided or refused by it,
// in batches after its end, over the connections that ext_proc has anyway. What
// Wye decides of a routed request is in its dynamic metadata, of a refused one in
// its response headers. Why it is OpenTelemetry's logger and one line of text:
// docs/adr/0027-access-log.md.
func (b *builder) usageLogs() []*accesslogv3.AccessLog {
	decided := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{MetadataFilter: hasDecision(true)}}
	// Not celFilter alone: it is dear, and so comes only after the cheap one.
	refused := &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{
		Filters: []*accesslogv3.AccessLogFilter{
			{FilterSpecifier: &accesslogv3.AccessLogFilter_MetadataFilter{MetadataFilter: hasDecision(false)}},
			celFilter("'" + envoy.HeaderDecision + "' in response.headers"),
		},
	}}}
	return []*accesslogv3.AccessLog{
		b.usageLog(decided, func(key, _ string) string { return "%DYNAMIC_METADATA(" + envoy.NamespaceDecision + ":" + key + ")%" }),
		b.usageLog(refused, func(_, header string) string { return "%RESP(" + header + ")%" }),
	}
}

// usageLog logs what filter passes. from is the format of what Wye says under a key
// of its metadata or in a response header.
func (b *builder) usageLog(filter *accesslogv3.AccessLogFilter, from func(key, header string) string) *accesslogv3.AccessLog {
	return &accesslogv3.AccessLog{
		Name:   "envoy.access_loggers.open_telemetry",
		Filter: filter,
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: packed(&otellogv3.OpenTelemetryAccessLogConfig{
			GrpcService: &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: envoy.ExtProcCluster, SkipEnvoyHeaders: true},
			}},
			LogName:              envoy.AccessLogName,
			StatPrefix:           envoy.StatPrefix + ".",
			DisableBuiltinLabels: true,
			BufferFlushInterval:  durationpb.New(accessLogFlush),
			BufferSizeBytes:      wrapperspb.UInt32(accessLogBytes),
			Body: &otelv1.AnyValue{Value: &otelv1.AnyValue_StringValue{
				StringValue: strings.Join(b.logLine(from), envoy.LogSeparator),
			}},
		})},
	}
}

// logLine is the format of each field of a line.
func (b *builder) logLine(from func(key, header string) string) []string {
	served := func(key string) string { return "%METADATA(CLUSTER:" + envoy.NamespaceDecision + ":" + key + ")%" }
	line := make([]string, envoy.LogFields)
	line[envoy.LogDecision] = from(envoy.KeyDecision, envoy.HeaderDecision)
	line[envoy.LogDeployment] = from(envoy.KeyDeployment, envoy.HeaderDeployment)
	line[envoy.LogMode] = from(envoy.KeyMode, envoy.HeaderMode)
	line[envoy.LogPolicy] = from(envoy.KeyPolicy, envoy.HeaderPolicy)
	line[envoy.LogDropped] = from(envoy.KeyDropped, envoy.HeaderDropped)
	line[envoy.LogBackend] = served(envoy.KeyBackend)
	line[envoy.LogModel] = served(envoy.KeyModel)
	line[envoy.LogZone] = served(envoy.KeyZone)
	line[envoy.LogAttempts] = "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"
	line[envoy.LogStatus] = "%RESPONSE_CODE%"
	line[envoy.LogDetails] = "%RESPONSE_CODE_DETAILS%"
	line[envoy.LogFlags] = "%RESPONSE_FLAGS%"
	line[envoy.LogFirst] = "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%"
	line[envoy.LogTotal] = "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%"
	line[envoy.LogElapsed] = "%DURATION%"
	line[envoy.LogType] = "%RESP(content-type)%"
	line[envoy.LogCoding] = "%RESP(content-encoding)%"
	line[envoy.LogTraceParent] = "%REQ(traceparent)%"
	line[envoy.LogCaller] = envoy.LogAbsent
	if h := b.snapshot.Usage.CallerHeader; h != "" {
		line[envoy.LogCaller] = "%REQ(" + h + ")%"
	}
	line[envoy.LogUsage] = "%DYNAMIC_METADATA(" + envoy.NamespaceUsage + ":" + envoy.KeyUsage + ")%"
	return line
}

// hasDecision passes requests whose metadata has a decision, or those whose has
// not: Envoy holds a value that is there against the matcher, of which it ignores
// invert.
func hasDecision(yes bool) *accesslogv3.MetadataFilter {
	value := &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_PresentMatch{PresentMatch: true}}
	if !yes { // an id is never null
		value = &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_NullMatch_{NullMatch: &matcherv3.ValueMatcher_NullMatch{}}}
	}
	return &accesslogv3.MetadataFilter{
		Matcher: &matcherv3.MetadataMatcher{
			Filter: envoy.NamespaceDecision,
			Path: []*matcherv3.MetadataMatcher_PathSegment{
				{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: envoy.KeyDecision}},
			},
			Value: value,
		},
		MatchIfKeyNotFound: wrapperspb.Bool(!yes),
	}
}
