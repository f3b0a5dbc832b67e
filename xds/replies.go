package xds

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"wye/envoy"
	"wye/router"
)

// failure is an error body in OpenAI's shape; empty param and code are null.
type failure struct {
	message, kind, param, code string
}

// OpenAI's error types.
const (
	kindInvalid = "invalid_request_error"
	kindServer  = "server_error"
)

// body renders f. It says nothing of what happened inside.
func (f failure) body() string {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	// A struct rather than a map, for OpenAI's order of the fields.
	type fields struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Param   any    `json:"param"`
		Code    any    `json:"code"`
	}
	b, err := json.Marshal(struct {
		Error fields `json:"error"`
	}{fields{f.message, f.kind, orNull(f.param), orNull(f.code)}})
	if err != nil {
		panic(fmt.Sprintf("error body: %v", err)) // strings and nil always marshal
	}
	return string(b)
}

// routerUnavailable is what a client reads when Wye cannot be asked.
var routerUnavailable = failure{
	"The model router is unavailable. Try again shortly.", kindServer, "", "router_unavailable",
}

// zoneRefused is what a client reads when Envoy kept the request in its zone.
// The status is Envoy's own, 403.
var zoneRefused = failure{
	"The request was about to leave its data zone and was stopped.", kindServer, "", "zone_refused",
}

// overloaded is what a client reads when Envoy is out of memory.
var overloaded = failure{
	"The gateway is overloaded. Try again shortly.", kindServer, "", "overloaded",
}

// envoyFailures words the replies that Envoy makes by itself, in the order in
// which they are tried. The first four decide by where the reply comes from.
var envoyFailures = []struct {
	when string // CEL over Envoy's attributes
	failure
}{
	// Of the overload manager, before any filter has run.
	{`response.code_details == 'overload'`, overloaded},
	{`response.code_details.startsWith('ext_proc')`, routerUnavailable},
	{`response.code_details.startsWith('rbac_access_denied')`, zoneRefused},
	{statusIs(http.StatusServiceUnavailable), failure{
		"No provider of a suitable model could be reached. Try again shortly.", kindServer, "", "upstream_unavailable",
	}},
	{statusIs(http.StatusGatewayTimeout), failure{
		"The model took too long to answer.", kindServer, "", "upstream_timeout",
	}},
	{statusIs(http.StatusRequestTimeout), failure{
		"The request did not arrive in time.", kindInvalid, "", "request_timeout",
	}},
	{statusIs(http.StatusRequestEntityTooLarge), failure{
		"The request body is too large.", kindInvalid, "", "request_too_large",
	}},
	{statusIs(http.StatusRequestHeaderFieldsTooLarge), failure{
		"The request headers are too large.", kindInvalid, "", "request_headers_too_large",
	}},
	{"response.code >= 500", failure{
		"The gateway failed to serve the request.", kindServer, "", "internal_error",
	}},
	{"response.code >= 400", failure{
		"The gateway could not read the request.", kindInvalid, "", "bad_request",
	}},
}

func statusIs(code int) string { return fmt.Sprintf("response.code == %d", code) }

// localReplies gives Envoy's own errors OpenAI's shape. Replies that were
// worded by Wye, by a direct response here, by exhaustedCluster or by the
// ext_proc server, pass as they are.
func (b *builder) localReplies() *hcmv3.LocalReplyConfig {
	worded := fmt.Sprintf("response.code_details in ['direct_response', '%s'] || response.code_details.startsWith('%s')",
		luaDetails, envoy.CodeDetails)
	c := &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{{Filter: celFilter(worded)}}}
	if b.snapshot.Serves(router.APIMessages) {
		for _, f := range envoyFailures {
			c.Mappers = append(c.Mappers, mapper(messagesClient+" && ("+f.when+")", f.failure, f.messagesBody()))
		}
	}
	for _, f := range envoyFailures {
		c.Mappers = append(c.Mappers, mapper(f.when, f.failure, f.body()))
	}
	return c
}

// mapper answers with body, which words f, where the CEL expression when is true.
func mapper(when string, f failure, body string) *hcmv3.ResponseMapper {
	headers := decisionHeaders()
	if f == overloaded {
		headers = append(headers, overwrite("retry-after", "1"))
	}
	return &hcmv3.ResponseMapper{
		Filter: celFilter(when),
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineString{InlineString: escapeFormat(body)},
			}},
			ContentType: "application/json",
		},
		HeadersToAdd: headers,
	}
}

func celFilter(expression string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{
		ExtensionFilter: &accesslogv3.ExtensionFilter{
			Name:       "envoy.access_loggers.extension_filters.cel",
			ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: packed(&celv3.ExpressionFilter{Expression: expression})},
		},
	}}
}

// decisionHeaders says what is known of the decision: what Wye wrote into the
// request's dynamic metadata.
func decisionHeaders() []*corev3.HeaderValueOption {
	var headers []*corev3.HeaderValueOption
	for _, h := range [][2]string{
		{envoy.HeaderDeployment, envoy.KeyDeployment},
		{envoy.HeaderMode, envoy.KeyMode},
		{envoy.HeaderDecision, envoy.KeyDecision},
		{envoy.HeaderPolicy, envoy.KeyPolicy},
		{envoy.HeaderDropped, envoy.KeyDropped},
		{envoy.HeaderTrace, envoy.KeyTrace},
	} {
		headers = append(headers, overwrite(h[0], "%DYNAMIC_METADATA("+envoy.NamespaceDecision+":"+h[1]+")%"))
	}
	return headers
}

// servedHeaders says who served, by the metadata of the cluster that did. All
// routes have the same ones, which nobody changes.
var servedHeaders = sync.OnceValue(func() []*corev3.HeaderValueOption {
	cluster := func(key string) string { return "%METADATA(CLUSTER:" + envoy.NamespaceDecision + ":" + key + ")%" }
	return append(decisionHeaders(),
		overwrite(envoy.HeaderModel, cluster(envoy.KeyModel)),
		overwrite(envoy.HeaderZone, cluster(envoy.KeyZone)),
		overwrite(envoy.HeaderAttempts, "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
		// The step to exhaustedCluster is none at a provider.
		overwrite(envoy.HeaderAttempts, "%DYNAMIC_METADATA("+envoy.NamespaceAttempts+":"+envoy.KeyMade+")%"),
	)
})

// limitHeaders say where the deployment, or its caller, stands against its limits and its budget, by what Wye
// wrote into the request's dynamic metadata. A provider's own would be about
// another limit.
func limitHeaders(d *router.Deployment) []*corev3.HeaderValueOption {
	var names []string
	if d.PerMinute.Requests > 0 || d.Callers.PerMinute.Requests > 0 {
		names = append(names, envoy.HeaderLimitRequests, envoy.HeaderRemainingRequests, envoy.HeaderResetRequests)
	}
	if d.PerMinute.Tokens > 0 || d.Callers.PerMinute.Tokens > 0 {
		names = append(names, envoy.HeaderLimitTokens, envoy.HeaderRemainingTokens, envoy.HeaderResetTokens)
	}
	var headers []*corev3.HeaderValueOption
	for _, h := range names {
		headers = append(headers, overwrite(h, "%DYNAMIC_METADATA("+envoy.NamespaceDecision+":"+h+")%"))
	}
	if d.Budget.USDPerDay > 0 {
		headers = append(headers, overwrite(envoy.HeaderBudget, "%DYNAMIC_METADATA("+envoy.NamespaceDecision+":"+envoy.KeyBudget+")%"))
	}
	return headers
}

func overwrite(header, format string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: header, Value: format},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// modelList is the answer to GET /v1/models in OpenAI's shape, and each model's
// own by its name.
func modelList(names []string) (list string, each map[string]string) {
	// The time of creation is part of OpenAI's shape but not of a policy.
	const form = `{"id":%s,"object":"model","created":0,"owned_by":"wye"}`
	each = make(map[string]string, len(names))
	all := make([]string, 0, len(names))
	for _, name := range names {
		id, err := json.Marshal(name)
		if err != nil {
			panic(fmt.Sprintf("model name: %v", err)) // a string always marshals
		}
		each[name] = fmt.Sprintf(form, id)
		all = append(all, each[name])
	}
	return `{"object":"list","data":[` + strings.Join(all, ",") + `]}`, each
}
