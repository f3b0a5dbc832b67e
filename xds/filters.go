package xds

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"wye/envoy"
	"wye/router"
)

// overADS refers to the stream that the resource itself came over.
func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: packed(config)}}
}

// extProc is the ext_proc filter that asks Wye about a whole request at once.
// statPrefix tells the step that routes from the one that rewrites a fallback.
func extProc(statPrefix string, initialMetadata ...*corev3.HeaderValue) *extprocfilterv3.ExternalProcessor {
	return &extprocfilterv3.ExternalProcessor{
		GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: envoy.ExtProcCluster, SkipEnvoyHeaders: true},
			},
			InitialMetadata: initialMetadata,
		},
		// One round trip, and no limit on the body but Wye's own. Envoy knows no
		// timeout in this mode: see extProcCluster for what bounds it.
		ProcessingMode: &extprocfilterv3.ProcessingMode{
			RequestHeaderMode:   extprocfilterv3.ProcessingMode_SEND,
			RequestBodyMode:     extprocfilterv3.ProcessingMode_FULL_DUPLEX_STREAMED,
			RequestTrailerMode:  extprocfilterv3.ProcessingMode_SEND,
			ResponseHeaderMode:  extprocfilterv3.ProcessingMode_SKIP,
			ResponseBodyMode:    extprocfilterv3.ProcessingMode_NONE,
			ResponseTrailerMode: extprocfilterv3.ProcessingMode_SKIP,
		},
		StatPrefix:    statPrefix,
		StatusOnError: &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		// The server knows the new length; without this the request would go
		// out chunked.
		AllowContentLengthHeader: true,
		// Credentials and cookies never reach Wye: it has no use for them.
		ForwardRules: &extprocfilterv3.HeaderForwardingRules{AllowedHeaders: exactly(append([]string{
			":method", ":path", "content-type", "content-length", "content-encoding", "x-request-id", "traceparent",
			envoy.HeaderAzureSession,
		}, envoy.ClientHeaders...)...)},
		MutationRules: &mutationv3.HeaderMutationRules{
			DisallowAll: wrapperspb.Bool(true),
			AllowExpression: &matcherv3.RegexMatcher{
				// The rules are for the headers of immediate responses, too. The
				// path changes where it is a client's own way to say the same.
				Regex: ":path|content-length|content-encoding|content-type|allow|retry-after|" +
					envoy.HeaderPrefix + "[a-z]+|x-ratelimit-[a-z-]+",
			},
		},
	}
}

func untyped(namespaces ...string) *extprocfilterv3.MetadataOptions_MetadataNamespaces {
	return &extprocfilterv3.MetadataOptions_MetadataNamespaces{Untyped: namespaces}
}

// restoredMetadata is what a step that rewrites a body for its own model is shown
// of the first rewrite, and may say: which fields its model does not take.
func restoredMetadata() *extprocfilterv3.MetadataOptions {
	return &extprocfilterv3.MetadataOptions{
		ForwardingNamespaces: untyped(envoy.NamespaceRemoved),
		ReceivingNamespaces:  untyped(envoy.NamespaceDecision),
	}
}

func exactly(names ...string) *matcherv3.ListStringMatcher {
	l := &matcherv3.ListStringMatcher{}
	for _, n := range names {
		l.Patterns = append(l.Patterns, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: n}})
	}
	return l
}

// routingFilter is the ext_proc filter of the listener. It is off but for the
// routes that turn it on.
func (b *builder) routingFilter() *hcmv3.HttpFilter {
	var metadata []*corev3.HeaderValue
	if b.view.zone != "" {
		metadata = append(metadata, &corev3.HeaderValue{Key: envoy.MetadataZone, Value: b.view.zone})
	}
	if b.view.byAttempt {
		metadata = append(metadata, &corev3.HeaderValue{Key: envoy.MetadataChain, Value: envoy.ChainByAttempt})
	}
	config := extProc(envoy.StatPrefix, metadata...)
	config.MetadataOptions = &extprocfilterv3.MetadataOptions{
		ReceivingNamespaces: untyped(envoy.NamespaceDecision, envoy.NamespaceRoute, envoy.NamespaceRemoved),
	}
	config.ForwardRules.AllowedHeaders.Patterns = append(config.ForwardRules.AllowedHeaders.Patterns,
		exactly(b.snapshot.CallerHeaders()...).GetPatterns()...)
	f := httpFilter(envoy.ExtProcFilter, config)
	f.Disabled = true
	return f
}

// upstreamFilters are the filters of a backend's cluster; they run per attempt.
// Attempts of one request share its headers, so each sets whatever an earlier
// attempt at another backend may have changed: the path and the credentials.
func (b *builder) upstreamFilters(backend *router.Backend, u use) ([]*hcmv3.HttpFilter, error) {
	var filters []*hcmv3.HttpFilter
	if zoned(b.snapshot) {
		filters = append(filters, zoneLock(backend.Zone))
	}
	filters = append(filters, noteFilter(u.cluster(backend), b.snapshot.Models[backend.Model].Version(), u != first))
	path, err := b.pathFilter(backend, u)
	if err != nil {
		return nil, err
	}
	if path != nil {
		filters = append(filters, path)
	}
	switch u {
	case first:
	case translating:
		translate, err := b.translateFilters(backend)
		if err != nil {
			return nil, err
		}
		filters = append(filters, translate...)
	case fallback:
		metadata, err := b.rewriteMetadata(backend)
		if err != nil {
			return nil, err
		}
		config := extProc(envoy.StatPrefix+"_fallback", metadata...)
		config.MessageTimeout = durationpb.New(5 * time.Second)
		config.MetadataOptions = restoredMetadata()
		filters = append(filters, httpFilter(envoy.ExtProcFilter, config))
	}
	if len(b.keptHeaders) > 0 {
		filters = append(filters, httpFilter("envoy.filters.http.header_mutation", &headermutationv3.HeaderMutation{
			Mutations: &headermutationv3.Mutations{RequestMutations: b.ownHeaders(backend)},
		}))
	}
	for _, s := range secretsOf(backend) {
		filters = append(filters, injector(s))
	}
	if backend.FirstToken > 0 {
		filters = append(filters, firstTokenFilter(backend.FirstToken))
	}
	return append(filters, httpFilter("envoy.filters.http.upstream_codec", &codecv3.UpstreamCodec{})), nil
}

// pathFilter puts the backend's prefix before the path, nil when no backend has
// one and no attempt before or here changes the path. It is Lua, because
// header_mutation refuses to touch :path, and a route rewrites the path once and
// not per attempt. The query string stays.
func (b *builder) pathFilter(backend *router.Backend, u use) (*hcmv3.HttpFilter, error) {
	if u != translating && !b.besideTranslating[backend.Name] &&
		!slices.ContainsFunc(b.snapshot.Backends, func(o router.Backend) bool { return o.PathPrefix != "" }) {
		return nil, nil
	}
	if !pathPrefix.MatchString(backend.PathPrefix) {
		return nil, fmt.Errorf("path prefix %q is not a plain absolute path", backend.PathPrefix)
	}
	version := ""
	if backend.Protocol == router.ProtocolGemini {
		version = `  path = string.gsub(path, "^` + envoy.Version + `", "", 1)
`
	}
	path := `handle:metadata():get("` + envoy.KeyPath + `") or "` + PathChatCompletions + `"`
	if u == translating {
		_, asked, _ := translation(backend)
		path = luaString(envoy.Paths[asked.String()])
	}
	code := `function envoy_on_request(handle)
  local headers = handle:headers()
  local query = string.match(headers:get(":path"), "%?.*$") or ""
  local path = ` + path + `
` + version + `  headers:replace(":path", "` + strings.TrimSuffix(backend.PathPrefix, "/") + `" .. path .. query)
end
`
	return httpFilter(envoy.FilterPath, luaScript(code)), nil
}

// pathPrefix leaves out every character that Lua would not take literally.
var pathPrefix = regexp.MustCompile(`^(/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?$`)

func setHeader(header, format string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: header, Value: format},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}}
}

func removeHeader(header string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: header}}
}

// rewriteMetadata is all that the ext_proc server needs to rewrite a body for
// this backend.
func (b *builder) rewriteMetadata(backend *router.Backend) ([]*corev3.HeaderValue, error) {
	parameters := &b.snapshot.Models[backend.Model].Parameters
	var efforts []string
	for _, e := range parameters.ReasoningEffort {
		efforts = append(efforts, e[0]+"="+e[1])
	}
	var all []*corev3.HeaderValue
	for _, kv := range [][2]string{
		{envoy.MetadataSendAs, backend.SendAs},
		{envoy.MetadataDrop, strings.Join(parameters.Drop, ",")},
		{envoy.MetadataMaxTokensField, parameters.MaxTokensField},
		{envoy.MetadataEffort, strings.Join(efforts, ",")},
	} {
		if kv[1] == "" {
			continue
		}
		for i := range len(kv[1]) {
			if c := kv[1][i]; c < ' ' || c > '~' {
				return nil, fmt.Errorf("%s: %q is not printable ASCII", kv[0], kv[1])
			}
		}
		all = append(all, &corev3.HeaderValue{Key: kv[0], Value: escapeFormat(kv[1])})
	}
	return all, nil
}

// escapeFormat keeps Envoy from reading a literal as a format string.
func escapeFormat(s string) string { return strings.ReplaceAll(s, "%", "%%") }
