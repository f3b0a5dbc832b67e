package extproc

import (
	"bytes"
	"net/http"
	"net/url"

	"wye/envoy"
	"wye/wire"
)

// requestPath is the path of chat completions, and the one under which a provider
// is asked for them. Envoy's routes ask Wye about no others than this and Azure's; this is
// the second lock.
const requestPath = envoy.PathChatCompletions

// The paths of clients that are made for Azure OpenAI: its newer API, whose body
// names the deployment, and the older one, whose path does, between these two.
const (
	azurePath            = "/openai" + requestPath
	azureDeploymentStart = "/openai/deployments/"
	azureDeploymentEnd   = "/chat/completions"
)

// takePath reads the request's path. Behind another path than requestPath stands
// the same request; then the provider is asked under requestPath, and a query
// such as Azure's api-version, which means nothing to it, stays behind.
func (f *requestFacts) takePath(path []byte) *wire.Problem {
	path, _, _ = bytes.Cut(path, []byte("?"))
	if string(path) == requestPath {
		return nil
	}
	if a, ok := apiOf(path); ok {
		f.api = a
		return nil
	}
	f.repath = true
	if string(path) == azurePath {
		return nil
	}
	if rest, ok := bytes.CutPrefix(path, []byte(azureDeploymentStart)); ok {
		if name, ok := bytes.CutSuffix(rest, []byte(azureDeploymentEnd)); ok {
			text, err := url.PathUnescape(string(name))
			if err == nil && text != "" {
				f.deployment = []byte(text)
				return nil
			}
		}
	}
	return refuse(http.StatusNotFound, codeUnknownURL, "", "there is nothing at %.128q; the router serves %s", path, requestPath)
}
