package xds

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	prioritygroupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"wye/envoy"
	"wye/router"
)

// The paths that clients call.
const (
	PathChatCompletions = envoy.PathChatCompletions
	PathModels          = "/v1/models"
)

// The paths of clients that are made for Azure OpenAI. The ext_proc server puts
// PathChatCompletions in their place.
const (
	azureAPI         = "/openai"
	azureModels      = "/openai/models"
	azureDeployments = "/openai/deployments/.+/chat/completions"
)

// routes is the one virtual host. A chat completion is matched twice: when its
// headers arrive, by path, which runs ext_proc on it; and when ext_proc has
// cleared the route cache, by the deployment in the dynamic metadata, which no
// client can write. What ext_proc has not decided ends in the first route.
func (b *builder) routes() *routev3.RouteConfiguration {
	var routes []*routev3.Route
	for i := range b.snapshot.Deployments {
		routes = append(routes, b.deploymentRoute(&b.snapshot.Deployments[i], router.APIChat))
	}
	for _, path := range []func(...string) *routev3.RouteMatch{
		func(m ...string) *routev3.RouteMatch { return exactPath(PathChatCompletions, m...) },
		func(m ...string) *routev3.RouteMatch { return exactPath(azureAPI+PathChatCompletions, m...) },
		func(m ...string) *routev3.RouteMatch { return matchingPath(azureDeployments, m...) },
	} {
		if b.view.zone != "" {
			routes = append(routes, b.elsewhere(path(http.MethodPost), noProvider.body()))
		}
		undecided := reply("undecided", path(http.MethodPost), http.StatusServiceUnavailable, routerUnavailable.body())
		undecided.TypedPerFilterConfig = b.routedFilters()
		routes = append(routes, undecided, notAllowed(path(), "POST"))
	}
	routes = append(routes, b.otherAPIs()...)

	list, each := modelList(b.snapshot.Names())
	largest := len(list)
	for _, models := range []string{PathModels, azureAPI + PathModels, azureModels} {
		routes = append(routes,
			reply("models", exactPath(models, http.MethodGet, http.MethodHead), http.StatusOK, list),
			notAllowed(exactPath(models), "GET, HEAD"))
		for _, name := range b.snapshot.Names() {
			largest = max(largest, len(each[name]))
			// Clients differ in whether they escape a slash.
			paths := []string{models + "/" + url.PathEscape(name), models + "/" + name}
			for _, path := range slices.Compact(paths) {
				routes = append(routes,
					reply("model/"+name, exactPath(path, http.MethodGet, http.MethodHead), http.StatusOK, each[name]),
					notAllowed(exactPath(path), "GET, HEAD"))
			}
		}
		routes = append(routes, reply("no model", prefixPath(models+"/"), http.StatusNotFound,
			failure{"The model does not exist.", kindInvalid, "model", "model_not_found"}.body()))
	}
	routes = append(routes,
		reply("no path", prefixPath("/"), http.StatusNotFound,
			failure{"The path does not exist.", kindInvalid, "", "unknown_url"}.body()))
	return &routev3.RouteConfiguration{
		Name: envoy.RouteName,
		VirtualHosts: []*routev3.VirtualHost{{
			Name: "wye", Domains: []string{"*"}, Routes: routes,
			IncludeRequestAttemptCount: b.view.byAttempt,
		}},
		MaxDirectResponseBodySizeBytes: wrapperspb.UInt32(uint32(max(largest, 4096))),
	}
}

// deploymentRoute carries a decided request along its chain.
func (b *builder) deploymentRoute(d *router.Deployment, api router.API) *routev3.Route {
	name := routeName(d, api)
	match := exactPath(envoy.Paths[api.String()], http.MethodPost)
	match.DynamicMetadata = []*matcherv3.MetadataMatcher{
		metadataIs(envoy.NamespaceDecision, envoy.KeyDeployment, d.Name),
	}
	groups := b.defaultGroups(d, api)
	if len(groups) == 0 {
		r := reply(name, match, http.StatusServiceUnavailable, noProvider.body())
		r.TypedPerFilterConfig = b.routedFilters()
		r.Metadata = routeMetadata(d, api)
		return r
	}
	maxBody := d.MaxBodyBytes
	if maxBody <= 0 {
		maxBody = DefaultMaxBodyBytes
	}
	return &routev3.Route{
		Name:     name,
		Match:    match,
		Metadata: routeMetadata(d, api),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_InlineClusterSpecifierPlugin{
				InlineClusterSpecifierPlugin: &routev3.ClusterSpecifierPlugin{Extension: b.chain(d, api, groups)},
			},
			HostRewriteSpecifier: &routev3.RouteAction_AutoHostRewrite{AutoHostRewrite: wrapperspb.Bool(true)},
			Timeout:              durationpb.New(d.Timeout),
			// The listener's idle timeout is for clients that stop sending; how
			// long a model may think is the deployment's to say.
			IdleTimeout: durationpb.New(d.Timeout),
			RetryPolicy: b.retryPolicy(d),
		}},
		TypedPerFilterConfig: b.routedFilters(),
		// A retry needs the whole body. The rewritten one may be a little longer
		// than the client's.
		RequestBodyBufferLimit:  wrapperspb.UInt64(uint64(maxBody) + rewriteSlack),
		RequestHeadersToRemove:  b.removedHeaders(),
		ResponseHeadersToAdd:    slices.Concat(servedHeaders(), limitHeaders(d)),
		ResponseHeadersToRemove: wyeHeaders(),
	}
}

// chain is how a route chooses the cluster of each attempt.
func (b *builder) chain(d *router.Deployment, api router.API, groups []*prioritygroupv3.PriorityGroup) *corev3.TypedExtensionConfig {
	if b.view.byAttempt {
		return b.attemptChain(d, api, groups)
	}
	return &corev3.TypedExtensionConfig{
		Name: "envoy.router.cluster_specifier_plugin.priority_group",
		TypedConfig: packed(&prioritygroupv3.PriorityGroupClusterSpecifier{
			PriorityGroups: groups, OverrideMetadataNamespace: envoy.NamespaceRoute,
		}),
	}
}

// noProvider is what a client reads when no backend may serve the deployment.
var noProvider = failure{
	"The deployment has no provider in its data zone.", kindServer, "model", "upstream_unavailable",
}

// elsewhere answers for deployments of other zones, which an Envoy of a zone has
// no routes for.
func (b *builder) elsewhere(match *routev3.RouteMatch, body string) *routev3.Route {
	decided := metadataIs(envoy.NamespaceDecision, envoy.KeyDeployment, "")
	decided.Value = &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_PresentMatch{PresentMatch: true}}
	match.DynamicMetadata = []*matcherv3.MetadataMatcher{decided}
	r := reply("elsewhere", match, http.StatusServiceUnavailable, body)
	r.TypedPerFilterConfig = b.routedFilters()
	return r
}

// rewriteSlack is more than a rewrite adds to a body: a model name and a field.
const rewriteSlack = 64 << 10

// defaultGroups is the chain for a request whose metadata names none, which
// takes a faulty ext_proc server: every backend of the deployment's zone, in
// its order, by the clusters that rewrite the body themselves.
func (b *builder) defaultGroups(d *router.Deployment, api router.API) []*prioritygroupv3.PriorityGroup {
	var groups []*prioritygroupv3.PriorityGroup
	for i := range d.Subset {
		for _, index := range d.Serving(api, i) {
			backend := &b.snapshot.Backends[index]
			u := fallback
			if _, ok := backend.Translates(api); ok {
				u = translating
			}
			groups = append(groups, group(u.cluster(backend)))
		}
	}
	if len(groups) == 0 {
		return nil
	}
	return append(groups, group(envoy.ExhaustedCluster))
}

// group is a priority group of one cluster, by its name.
func group(cluster string) *prioritygroupv3.PriorityGroup {
	return &prioritygroupv3.PriorityGroup{
		Name:     cluster,
		Clusters: []*prioritygroupv3.ClusterWeight{{ClusterName: cluster, Weight: wrapperspb.UInt32(1)}},
	}
}

// retryPolicy moves on to the next cluster of the chain. It goes by what says
// that this provider cannot serve now, and not by what says that the request is
// at fault. A 401 or 403 counts where Wye holds the key, since then it is not
// the client who can help.
func (b *builder) retryPolicy(d *router.Deployment) *routev3.RetryPolicy {
	p := &routev3.RetryPolicy{
		RetryOn:              "connect-failure,refused-stream,reset,5xx,retriable-status-codes",
		RetriableStatusCodes: []uint32{http.StatusRequestTimeout, http.StatusTooManyRequests},
		// The last is the one to exhaustedCluster.
		NumRetries:            wrapperspb.UInt32(uint32(d.MaxAttempts)),
		RefreshClusterOnRetry: true,
		// Another provider, so there is nothing to wait for.
		RetryBackOff: &routev3.RetryPolicy_RetryBackOff{
			BaseInterval: durationpb.New(5 * time.Millisecond), MaxInterval: durationpb.New(50 * time.Millisecond),
		},
	}
	if b.ownsCredentials(d) {
		p.RetriableStatusCodes = append(p.RetriableStatusCodes, http.StatusUnauthorized, http.StatusForbidden)
	}
	if d.PerTryTimeout > 0 {
		p.PerTryTimeout = durationpb.New(d.PerTryTimeout)
	}
	return p
}

// ownsCredentials reports whether every backend of d has a credential of Wye's.
func (b *builder) ownsCredentials(d *router.Deployment) bool {
	for i := range d.Subset {
		for _, index := range d.Backends(i) {
			if b.snapshot.Backends[index].Credential == nil {
				return false
			}
		}
	}
	return true
}

// removedHeaders are the request headers that do not reach a provider. A
// compressed answer could not be read as it passes.
func (b *builder) removedHeaders() []string {
	watched := slices.ContainsFunc(b.snapshot.Backends, func(o router.Backend) bool { return o.FirstToken > 0 })
	if b.snapshot.Usage.Off && !watched {
		return privateHeaders()
	}
	return append(privateHeaders(), "accept-encoding")
}

// privateHeaders are the request headers that are no business of a provider.
func privateHeaders() []string {
	return append([]string{"cookie", "x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal", envoy.HeaderAzureSession},
		wyeHeaders()...)
}

// wyeHeaders are removed from what goes to a provider and from what it answers:
// Wye alone speaks for Wye. All routes have the same list.
var wyeHeaders = sync.OnceValue(func() []string { return slices.Concat(envoy.ReservedHeaders, envoy.ClientHeaders) })

// routedFilters turns the filters on for a route that are for routed requests.
func (b *builder) routedFilters() map[string]*anypb.Any {
	filters := map[string]*anypb.Any{envoy.ExtProcFilter: packed(&routev3.FilterConfig{
		Config: packed(&extprocfilterv3.ExtProcPerRoute{
			Override: &extprocfilterv3.ExtProcPerRoute_Overrides{Overrides: &extprocfilterv3.ExtProcOverrides{}},
		}),
	})}
	if !b.snapshot.Usage.Off {
		filters[usageFilterName] = packed(runUsageFilter())
	}
	return filters
}

func exactPath(path string, methods ...string) *routev3.RouteMatch {
	return withMethods(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}}, methods)
}

// matchingPath matches paths, without their query, by a regular expression.
func matchingPath(regex string, methods ...string) *routev3.RouteMatch {
	return withMethods(&routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: regex},
	}}, methods)
}

func prefixPath(path string) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: path}}
}

// withMethods restricts m to the methods; none means any.
func withMethods(m *routev3.RouteMatch, methods []string) *routev3.RouteMatch {
	if len(methods) == 0 {
		return m
	}
	value := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: methods[0]}}
	if len(methods) > 1 {
		value = &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
			SafeRegex: &matcherv3.RegexMatcher{Regex: strings.Join(methods, "|")},
		}}
	}
	m.Headers = []*routev3.HeaderMatcher{{
		Name: ":method", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: value},
	}}
	return m
}

// reply answers with a JSON body.
func reply(name string, match *routev3.RouteMatch, status int, body string) *routev3.Route {
	return &routev3.Route{
		Name:  name,
		Match: match,
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: uint32(status),
			Body:   inline(body),
		}},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{overwrite("content-type", "application/json")},
	}
}

func notAllowed(match *routev3.RouteMatch, allow string) *routev3.Route {
	r := reply("method not allowed", match, http.StatusMethodNotAllowed,
		wrongMethod(allow).body())
	r.ResponseHeadersToAdd = append(r.ResponseHeadersToAdd, overwrite("allow", allow))
	return r
}

func wrongMethod(allow string) failure {
	return failure{"The path does not take this method; it takes " + allow + ".", kindInvalid, "", "method_not_allowed"}
}

func inline(text string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}}
}
