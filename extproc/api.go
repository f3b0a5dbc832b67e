package extproc

import (
	"bytes"
	"strings"

	"wye/envoy"
	"wye/router"
	"wye/wire"
)

// ShapeOf is the shape of the requests and errors of an API.
func ShapeOf(a router.API) wire.Shape {
	switch a {
	case router.APIMessages:
		return wire.ShapeMessages
	case router.APICountTokens:
		return wire.ShapeCountTokens
	case router.APIResponses:
		return wire.ShapeResponses
	case router.APICompletions:
		return wire.ShapeCompletions
	case router.APIEmbeddings:
		return wire.ShapeEmbeddings
	case router.APIChat:
	}
	return wire.ShapeChat
}

// pathOf is the path of every API.
var pathOf = func() (paths [len(router.AllAPIs)]string) {
	for _, a := range router.AllAPIs {
		paths[a] = envoy.Paths[a.String()]
	}
	return paths
}()

// apiOf is the API that is called under path, which has no query.
func apiOf(path []byte) (a router.API, ok bool) {
	for i, p := range pathOf {
		if string(path) == p {
			return router.API(i), true
		}
	}
	return 0, false
}

// upstreamAPI is the API in which a fallback cluster asks its provider, by the
// path that it put before the API's own.
func upstreamAPI(headers []header) router.API {
	for i := range headers {
		if string(headers[i].key) != ":path" {
			continue
		}
		path, _, _ := bytes.Cut(headers[i].value, []byte("?"))
		for _, a := range router.AllAPIs {
			// Not every provider has the version. Chat completions come first.
			if bytes.HasSuffix(path, []byte(strings.TrimPrefix(pathOf[a], envoy.Version))) {
				return a
			}
		}
	}
	return router.APIChat
}

// Undetermined returns why the request, of which f are the facts, must not be
// sent where d says, although all models of d could serve it: only one of them
// may, and the request does not say which. nil: it may be sent.
func Undetermined(req *router.Request, f *wire.Facts, d *router.Decision) *wire.Problem {
	switch {
	case req.API == router.APIEmbeddings && d.Ranked > 1:
		return errEmbeddings(d)
	case f.Stateful != "" && d.Places() > 1:
		return errStateful(f.Stateful, d)
	}
	return nil
}

// errEmbeddings refuses to choose between models whose embeddings cannot be
// compared.
func errEmbeddings(d *router.Decision) *wire.Problem {
	return refuse(400, codeModelRequired, "model",
		"deployment %q has %d models that may serve this request, whose embeddings cannot be compared; name one of them", d.Deployment.Name, d.Ranked)
}

// errStateful refuses a request that refers to what one provider keeps while
// several could be asked: docs/adr/0021-provider-state.md.
func errStateful(field string, d *router.Decision) *wire.Problem {
	return refuse(400, codeNotPinned, field,
		"%s refers to what one provider keeps, but deployment %q has %d places that may serve this request; name a model that is served in one place",
		field, d.Deployment.Name, d.Places())
}
