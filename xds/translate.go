package xds

import (
	"strconv"
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"wye/envoy"
	"wye/router"
)

// use is which attempts a backend's cluster is for.
type use uint8

const (
	first       use = iota // first attempts, of bodies that were made for them
	fallback               // others, which make the body theirs
	translating            // all attempts of clients that speak another API
)

func (u use) cluster(b *router.Backend) string {
	if u == translating {
		return envoy.TranslatingClusterName(b.Name, b.Hash)
	}
	return envoy.ClusterName(b.Name, b.Hash, u == fallback)
}

// usesOf are the uses that a backend has clusters for.
func usesOf(b *router.Backend) []use {
	if _, _, ok := translation(b); ok {
		return []use{first, fallback, translating}
	}
	return []use{first, fallback}
}

// translation is from which API requests are translated for b, and to which. What
// a backend speaks itself is not, so that there is one at most.
func translation(b *router.Backend) (client, asked router.API, ok bool) {
	for _, a := range router.AllAPIs {
		if to, ok := b.Translates(a); ok {
			return a, to, true
		}
	}
	return 0, 0, false
}

// besideTranslating finds the backends that share a chain with one that asks
// under another path than the client.
func besideTranslating(s *router.Snapshot) map[string]bool {
	found := make(map[string]bool)
	for i := range s.Deployments {
		d := &s.Deployments[i]
		for _, a := range router.AllAPIs {
			if !d.Translates(a) {
				continue
			}
			for j := range d.Subset {
				for _, k := range d.Serving(a, j) {
					found[s.Backends[k].Name] = true
				}
			}
		}
	}
	return found
}

// anthropicVersion is the version of Anthropic's API that requests are translated
// to. A client of chat completions names none.
const anthropicVersion = "2023-06-01"

// translateFilters have Wye translate a request and its response. It is the one
// place where whole responses pass through Wye: docs/adr/0020-translation.md.
func (b *builder) translateFilters(backend *router.Backend) ([]*hcmv3.HttpFilter, error) {
	metadata, err := b.rewriteMetadata(backend)
	if err != nil {
		return nil, err
	}
	client, asked, _ := translation(backend)
	say := func(key, value string) {
		metadata = append(metadata, &corev3.HeaderValue{Key: key, Value: value})
	}
	say(envoy.MetadataTranslate, asked.String())
	model := &b.snapshot.Models[backend.Model]
	if n := model.MaxOutput; n > 0 {
		say(envoy.MetadataMaxOutput, strconv.Itoa(n))
	}
	if n := model.ContextWindow; n > 0 {
		say(envoy.MetadataContextWindow, strconv.Itoa(n))
	}
	var thinking []string
	for _, t := range backend.Thinking {
		thinking = append(thinking, t.Effort+"="+strconv.Itoa(t.Tokens))
	}
	if backend.Effort {
		say(envoy.MetadataKnowsEffort, "true")
	}
	if len(thinking) > 0 {
		say(envoy.MetadataThinking, strings.Join(thinking, ","))
	}
	config := extProc(envoy.StatPrefix+"_translate", metadata...)
	config.ProcessingMode.ResponseHeaderMode = extprocfilterv3.ProcessingMode_SEND
	config.ProcessingMode.ResponseBodyMode = extprocfilterv3.ProcessingMode_FULL_DUPLEX_STREAMED
	config.ProcessingMode.ResponseTrailerMode = extprocfilterv3.ProcessingMode_SEND
	config.ForwardRules.AllowedHeaders.Patterns = append(config.ForwardRules.AllowedHeaders.Patterns, exactly(":status").GetPatterns()...)
	// An answer that cannot be translated gets a status that has it retried.
	config.MutationRules.AllowExpression = &matcherv3.RegexMatcher{
		Regex: ":status|content-length|content-type|content-encoding",
	}
	config.MetadataOptions = restoredMetadata()
	if client == router.APIChat && !b.snapshot.Usage.Off {
		// Messages streams always say what they used; chat clients need not ask.
		receiving := config.MetadataOptions.ReceivingNamespaces
		receiving.Untyped = append(receiving.Untyped, envoy.NamespaceUsage)
	}
	mutations := []*mutationv3.HeaderMutation{removeHeader("accept-encoding")}
	if asked == router.APIMessages {
		mutations = append(mutations, setHeader(versionHeader, anthropicVersion))
	}
	return []*hcmv3.HttpFilter{
		httpFilter(envoy.ExtProcFilter, config),
		httpFilter("envoy.filters.http.header_mutation", &headermutationv3.HeaderMutation{
			Mutations: &headermutationv3.Mutations{RequestMutations: mutations},
		}),
	}, nil
}

// translatedBuffer is how much Envoy holds for a client that does not read, in
// bytes, where responses are translated: more than one translated response has.
// Envoy 1.40 crashes when it would stop reading from a provider that has sent all
// of its response, while a filter of the cluster still has a part of it.
const translatedBuffer = 64 << 20
