package extproc

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/metadata"

	"wye/envoy"
	"wye/router"
	"wye/translate"
	"wye/wire"
)

// translation is what a translating cluster's stream knows: how to translate the
// request, from the cluster's configuration, and then how far the response is.
type translation struct {
	client, provider router.API
	options          translate.Options
	maxOutput        int // the model's bounds, in tokens; 0: unknown
	contextWindow    int
	request          translate.Request
	response         response
}

// translationOf reads from a stream's initial metadata what a translating cluster
// says; nil on all other streams.
func translationOf(ctx context.Context) *translation {
	provider := metadata.ValueFromIncomingContext(ctx, envoy.MetadataTranslate)
	if len(provider) == 0 {
		return nil
	}
	t := &translation{client: router.APIChat, provider: router.APIMessages}
	if provider[0] == router.APIChat.String() {
		t.client, t.provider = t.provider, t.client
	}
	number := func(key string) int {
		for _, v := range metadata.ValueFromIncomingContext(ctx, key) {
			if n, err := strconv.Atoi(v); err == nil {
				return n
			}
		}
		return 0
	}
	t.maxOutput, t.contextWindow = number(envoy.MetadataMaxOutput), number(envoy.MetadataContextWindow)
	t.options.Effort = len(metadata.ValueFromIncomingContext(ctx, envoy.MetadataKnowsEffort)) > 0
	for _, v := range metadata.ValueFromIncomingContext(ctx, envoy.MetadataThinking) {
		t.options.Thinking = make(map[string]int)
		for pair := range strings.SplitSeq(v, ",") {
			effort, tokens, _ := strings.Cut(pair, "=")
			if n, err := strconv.Atoi(tokens); err == nil {
				t.options.Thinking[effort] = n
			}
		}
	}
	return t
}

// appendRequest appends the request body that the provider of API provider is
// asked with.
func appendRequest(dst, body []byte, provider router.API, o translate.Options) ([]byte, translate.Request, error) {
	if provider == router.APIChat {
		return translate.AppendChatRequest(dst, body, o)
	}
	return translate.AppendMessagesRequest(dst, body, o)
}

// untranslatable names what of a request a backend of another API cannot be
// asked for, empty: nothing. strict: nor may anything be left out.
func untranslatable(client router.API, body []byte, strict bool) string {
	_, r, err := appendRequest(nil, body, providerOf(client), translate.Options{})
	if unable := (*translate.Unable)(nil); errors.As(err, &unable) {
		return unable.What
	}
	if strict && len(r.Dropped) > 0 {
		return r.Dropped[0]
	}
	return ""
}

// providerOf is the API that clients of the API are translated to.
func providerOf(client router.API) router.API {
	if client == router.APIChat {
		return router.APIMessages
	}
	return router.APIChat
}

// appendUntranslated appends to dst, which lists fields that were dropped, those
// that a translation leaves out for the backend.
func appendUntranslated(dst []byte, provider router.API, body []byte, b *router.Backend) []byte {
	o := translate.Options{Thinking: make(map[string]int), Effort: b.Effort}
	for _, t := range b.Thinking {
		o.Thinking[t.Effort] = t.Tokens
	}
	_, r, err := appendRequest(nil, body, provider, o)
	if err != nil {
		return dst // a mistake of ours: nothing was dropped, and the attempt fails
	}
	return appendNames(dst, r.Dropped)
}

// appendNames appends to dst, a list of names with commas between, those that it
// does not have.
func appendNames(dst []byte, names []string) []byte {
	named := strings.Split(string(dst), ",")
	for _, name := range names {
		if slices.Contains(named, name) || !printable(name) {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, name...)
	}
	return dst
}

// printable reports whether a client's field name may stand in a header's list.
func printable(name string) bool {
	const most = 64
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == ',' {
			return false
		}
	}
	return name != "" && len(name) <= most
}

// answerTranslated makes the body the provider's and goes on with the response.
func (st *stream) answerTranslated() error {
	t := st.translation
	st.restore()
	edited := st.server.buffers.Get(len(st.bytes()) + rewriteSlack)
	defer func() { st.server.buffers.Put(edited) }()
	out := st.server.buffers.Get(len(st.bytes()) + rewriteSlack)
	err := st.translateRequest(edited, out)
	if err != nil {
		st.server.buffers.Put(out)
		return st.refuse(errFallback)
	}
	head := st.server.buffers.Get(0)
	dst, headers := open((*head)[:0], outRequestHeaders)
	dst, common := open(dst, partResponse)
	dst, mutation := open(dst, commonHeaders)
	dst = appendContentLength(dst, len(*out))
	*head = appendDropped(shut(shut(shut(dst, mutation), common), headers), st.dropped)
	// What was held of the request is of no more use, and its response may take
	// minutes.
	st.in.release()
	if st.body != nil {
		st.server.buffers.Put(st.body)
		st.body = nil
	}
	st.server.inflight.give(st.reserved)
	st.reserved = 0
	if err := st.send(head, out); err != nil {
		return err
	}
	t.response = response{shape: ShapeOf(t.client)}
	return st.respond()
}

// translateRequest writes to out the body that the provider is asked with; edited
// is memory for the step between.
func (st *stream) translateRequest(edited, out *[]byte) error {
	t, edit := st.translation, st.edit
	t.options.MaxTokensField = edit.MaxTokensField
	edit.MaxTokensField = "" // until the request is a chat completion
	if p := wire.ScanShape(ShapeOf(t.client), nil, st.bytes(), &st.scan); p != nil {
		return p
	}
	*edited = wire.AppendRewrite((*edited)[:0], st.bytes(), &st.scan, edit)
	if t.options.MaxTokens = t.maxOutput; t.contextWindow > 0 && t.options.MaxTokens > 0 {
		// Where the prompt leaves less room than the model could fill, Anthropic's
		// API refuses a cap that does not fit.
		const least = 1024
		t.options.MaxTokens = min(t.options.MaxTokens, max(t.contextWindow-st.scan.PromptTokensMax, least))
	}
	var err error
	*out, t.request, err = appendRequest((*out)[:0], *edited, t.provider, t.options)
	st.dropped = appendNames(wire.AppendDropped(st.dropped[:0], &st.scan, edit), t.request.Dropped)
	if err != nil || t.provider != router.APIChat {
		return err
	}
	// What the model takes is said in the words of chat completions.
	*edited, *out = *out, *edited
	var p *wire.Problem
	if *out, p = wire.AppendRewriteBody((*out)[:0], *edited, &st.scan, st.edit); p != nil {
		return p
	}
	return nil
}
