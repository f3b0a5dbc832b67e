package xds

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	corexdsv3 "github.com/cncf/xds/go/xds/core/v3"
	treev3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	skipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/matcher/action/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	codecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"wye/envoy"
)

// noteFilter notes the status of an attempt that did not succeed, and when the
// provider wants to be asked again, for exhaustedCluster to tell. Envoy itself
// forgets a failed attempt. What answers 200, as nearly everything does, is
// matched natively and runs no Lua: a script on every response costs a tenth of
// what plain Envoy does. begun: the attempt is noted before it has an answer, too,
// which one has to be whose group is not named by its model: a fallback's.
func noteFilter(cluster, model string, begun bool) *hcmv3.HttpFilter {
	note := `handle:streamInfo():dynamicMetadata():set("` + envoy.NamespaceAttempts + `", "` + cluster + `", `
	code := `function envoy_on_response(handle)
  local headers = handle:headers()
  local status = headers:get(":status")
  local wait = string.match(headers:get("retry-after") or "", "^%d+$") or ""
  ` + note + luaString(model+" ") + ` .. status .. " " .. wait)
end
`
	if begun {
		code += `function envoy_on_request(handle)
  ` + note + luaString(model) + `)
end
`
		return httpFilter(luaFilterName, luaScript(code))
	}
	return httpFilter("envoy.filters.http.match_delegate", &matchingv3.ExtensionWithMatcher{
		ExtensionConfig: &corev3.TypedExtensionConfig{
			Name:        luaFilterName,
			TypedConfig: packed(luaScript(code)),
		},
		XdsMatcher: &treev3.Matcher{MatcherType: &treev3.Matcher_MatcherTree_{MatcherTree: &treev3.Matcher_MatcherTree{
			Input: &corexdsv3.TypedExtensionConfig{
				Name:        "status",
				TypedConfig: packed(&matcherv3.HttpResponseHeaderMatchInput{HeaderName: ":status"}),
			},
			TreeType: &treev3.Matcher_MatcherTree_ExactMatchMap{ExactMatchMap: &treev3.Matcher_MatcherTree_MatchMap{
				Map: map[string]*treev3.Matcher_OnMatch{"200": {OnMatch: &treev3.Matcher_OnMatch_Action{
					Action: &corexdsv3.TypedExtensionConfig{Name: "skip", TypedConfig: packed(&skipv3.SkipFilter{})},
				}}},
			}},
		}}},
	})
}

const (
	luaFilterName = "envoy.filters.http.lua"
	luaDetails    = "lua_response" // response code details of what a script answers
)

func luaScript(code string) *luav3.Lua {
	return &luav3.Lua{DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: code}}}
}

// exhaustedCluster ends every chain: what gets there has failed everywhere
// before. It is no place: its filter answers before a connection is used, and
// Envoy does not retry what a filter answers. The endpoint is there because a
// cluster without any runs no filters.
func (b *builder) exhaustedCluster() *clusterv3.Cluster {
	nowhere := envoy.Address{Host: "127.0.0.1", IP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	return &clusterv3.Cluster{
		Name:                 envoy.ExhaustedCluster,
		AltStatName:          "wye_exhausted",
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(time.Second),
		LoadAssignment:       loadAssignment(envoy.ExhaustedCluster, nowhere),
		CircuitBreakers:      circuitBreakers(),
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpProtocolOptions: packed(&httpv3.HttpProtocolOptions{
			UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
				ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
					ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
						HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
					},
				},
			},
			HttpFilters: []*hcmv3.HttpFilter{
				httpFilter(luaFilterName, luaScript(exhaustedScript(b.view.byAttempt))),
				httpFilter("envoy.filters.http.upstream_codec", &codecv3.UpstreamCodec{}),
			},
		})},
	}
}

// maxRetryAfter bounds the retry-after, in seconds, that an exhausted chain
// passes on. OpenAI's SDKs do not wait longer than a minute either.
const maxRetryAfter = 60

// exhaustedScript words the answer of an exhausted chain: 503 with the model and
// the status of each attempt, in the order of the chain. An attempt that left no
// note of a status got no answer: the connection failed or broke, or it took too
// long. The client may come back when the first
// of the providers that named a time will take requests.
func exhaustedScript(byAttempt bool) string {
	form := func(body string) string {
		before, after, _ := strings.Cut(body, attemptsMark)
		return luaString(before) + " .. list .. " + luaString(after)
	}
	chain := `route["` + envoy.KeyPriorityGroups + `"] or {}`
	var reader string
	if byAttempt {
		chain, reader = "groups(route)", attemptGroups
	}
	return reader + `local function escape(s) return (string.gsub(s, '["\\]', "\\%0")) end
function envoy_on_request(handle)
  local metadata = handle:streamInfo():dynamicMetadata()
  local notes = metadata:get("` + envoy.NamespaceAttempts + `") or {}
  local route = metadata:get("` + envoy.NamespaceRoute + `") or {}
  local tried, wait = {}, nil
  for _, group in ipairs(` + chain + `) do
    local cluster = group.clusters and group.clusters[1].cluster_name or group.name
    if cluster ~= "` + envoy.ExhaustedCluster + `" then
      local model, status, after = string.match(notes[cluster] or group.name, "^(%S+) ?(%d*) ?(%d*)$")
      tried[#tried + 1] = escape(model) .. (status ~= "" and ": status " .. status or ": no answer")
      after = tonumber(after)
      if after and (not wait or after < wait) then wait = after end
    end
  end
  local list = #tried > 0 and ": " .. table.concat(tried, "; ") or ""
  if #tried > 0 then
    metadata:set("` + envoy.NamespaceAttempts + `", "` + envoy.KeyMade + `", tostring(#tried))
  end
  local headers = {[":status"] = "503", ["content-type"] = "application/json"}
  if wait then headers["retry-after"] = string.format("%d", math.max(1, math.min(wait, ` + strconv.Itoa(maxRetryAfter) + `))) end
  -- The attempts have changed the request's own path.
  local path = handle:metadata():get("` + envoy.KeyPath + `") or ""
  if string.find(path, "` + envoy.PathMessages + `", 1, true) == 1 then
    handle:respond(headers, ` + form(exhausted.messagesBody()) + `)
  else
    handle:respond(headers, ` + form(exhausted.body()) + `)
  end
end
`
}

// attemptsMark stands for the list of the attempts.
const attemptsMark = "ATTEMPTS"

var exhausted = failure{
	"Every model that could serve the request failed" + attemptsMark + ".", kindServer, "", "all_models_failed",
}

// luaString is a Lua literal of s, whatever bytes it has.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteString(`\` + string([]byte{'0' + c/100, '0' + c/10%10, '0' + c%10}))
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
