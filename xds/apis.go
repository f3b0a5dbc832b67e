package xds

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"wye/envoy"
	"wye/router"
)

// routeName is the name of a deployment's route for the clients of an API.
func routeName(d *router.Deployment, api router.API) string {
	name := "deployment/" + d.Name
	if api != router.APIChat {
		name += "/" + api.String()
	}
	return name
}

// otherAPIs are the routes of the APIs beside chat completions that a backend
// serves. They are matched as those of chat completions are.
func (b *builder) otherAPIs() (routes []*routev3.Route) {
	for _, api := range router.AllAPIs {
		if api == router.APIChat || !b.snapshot.Serves(api) {
			continue
		}
		for i := range b.snapshot.Deployments {
			if d := &b.snapshot.Deployments[i]; len(b.defaultGroups(d, api)) > 0 {
				routes = append(routes, b.deploymentRoute(d, api))
			}
		}
		path := envoy.Paths[api.String()]
		word := failure.body
		if isMessages(api) {
			word = failure.messagesBody
		}
		if b.view.zone != "" {
			routes = append(routes, b.elsewhere(exactPath(path, http.MethodPost), word(noProvider)))
		}
		undecided := reply("undecided/"+api.String(), exactPath(path, http.MethodPost), http.StatusServiceUnavailable, word(routerUnavailable))
		undecided.TypedPerFilterConfig = b.routedFilters()
		notPost := notAllowed(exactPath(path), "POST")
		notPost.GetDirectResponse().Body = inline(word(wrongMethod("POST")))
		routes = append(routes, undecided, notPost)
	}
	return routes
}

// isMessages reports whether clients of the API read errors in Anthropic's shape.
func isMessages(api router.API) bool {
	return api == router.APIMessages || api == router.APICountTokens
}

// messagesClient is the CEL expression for requests of such clients. Once it is
// decided, a request is known by its route, since attempts change its path.
var messagesClient = func() string {
	const metadata = "xds.route_metadata.filter_metadata"
	api := fmt.Sprintf("%s['%s']['%s']", metadata, envoy.NamespaceDecision, envoy.KeyAPI)
	return fmt.Sprintf("('%s' in %s ? (%s == '%s' || %s == '%s') : request.url_path.startsWith('%s'))",
		envoy.NamespaceDecision, metadata, api, router.APIMessages, api, router.APICountTokens, envoy.PathMessages)
}()

// messagesBody renders f in Anthropic's shape.
func (f failure) messagesBody() string {
	kind, ok := messagesTypes[f.code]
	if !ok {
		kind = strings.ReplaceAll(f.kind, kindServer, "api_error")
	}
	type fields struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	}
	b, err := json.Marshal(struct {
		Type  string `json:"type"`
		Error fields `json:"error"`
	}{"error", fields{kind, f.message}})
	if err != nil {
		panic(fmt.Sprintf("error body: %v", err)) // strings always marshal
	}
	return string(b)
}

// messagesTypes are Anthropic's error types for the codes of failures, where they
// are others than invalid_request_error and api_error.
var messagesTypes = map[string]string{
	"router_unavailable":   "overloaded_error",
	"upstream_unavailable": "overloaded_error",
	"all_models_failed":    "overloaded_error",
	"upstream_timeout":     "timeout_error",
	"zone_refused":         "permission_error",
	"request_too_large":    "request_too_large",
}
