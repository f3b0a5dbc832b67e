package extproc_test

import (
	"context"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wye/envoy"
	"wye/extproc"
	"wye/router"
)

// answered is what a translating stream makes of a response.
type answered struct {
	Set    map[string]string
	Remove []string
	Usage  string
	Body   string
	Parts  int // body messages
	End    bool
	Last   bool // trailers were let pass
}

func answerHeaders(end bool, pairs ...string) *extprocv3.ProcessingRequest {
	m := &corev3.HeaderMap{}
	for i := 0; i < len(pairs); i += 2 {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{
		ResponseHeaders: &extprocv3.HttpHeaders{Headers: m, EndOfStream: end},
	}}
}

func answerBody(chunk string, end bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{
		ResponseBody: &extprocv3.HttpBody{Body: []byte(chunk), EndOfStream: end},
	}}
}

func answerTrailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{
		ResponseTrailers: &extprocv3.HttpTrailers{},
	}}
}

// readAnswered reads what follows the request's part of the exchange.
func readAnswered(t *testing.T, got []*extprocv3.ProcessingResponse) answered {
	t.Helper()
	a := answered{Set: map[string]string{}}
	for _, m := range got {
		if u := m.GetDynamicMetadata().GetFields()[envoy.NamespaceUsage].GetStructValue().GetFields()[envoy.KeyUsage]; u != nil {
			a.Usage = u.GetStringValue()
		}
		switch {
		case m.GetResponseHeaders() != nil:
			mutation := m.GetResponseHeaders().GetResponse().GetHeaderMutation()
			for _, h := range mutation.GetSetHeaders() {
				a.Set[h.GetHeader().GetKey()] = string(h.GetHeader().GetRawValue())
			}
			a.Remove = mutation.GetRemoveHeaders()
		case m.GetResponseBody() != nil:
			chunk := m.GetResponseBody().GetResponse().GetBodyMutation().GetStreamedResponse()
			a.Body += string(chunk.GetBody())
			a.End = chunk.GetEndOfStream()
			a.Parts++
		case m.GetResponseTrailers() != nil:
			a.Last = true
		default:
			t.Fatalf("message %v", m)
		}
	}
	return a
}

// asTranslating is a context with the initial metadata of a translating cluster.
func asTranslating(ctx context.Context, pairs ...string) context.Context {
	return asFallback(ctx, append([]string{envoy.MetadataSendAs, "claude-v1", envoy.MetadataTranslate, "messages"}, pairs...)...)
}

const (
	chatBody = `{"model":"first","messages":[{"role":"user","content":"hi"}],"seed":1}`
	message  = `{"id":"msg_1","type":"message","model":"claude-v1","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}`
	events   = `data: {"type":"message_start","message":{"id":"msg_1","model":"claude-v1","usage":{"input_tokens":3}}}` + "\n\n" +
		`data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}` + "\n\n" +
		`data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}` + "\n\n" + `data: {"type":"message_stop"}` + "\n\n"
	usageOf = `{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0}}`
)

// What a translating cluster sends is the request in the provider's words, with
// what its model takes.
func TestTranslateRequest(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{Router: new(router.Router)})
	for name, tt := range map[string]struct {
		metadata   []string
		body, want string
	}{
		"plain": {nil, chatBody, `{"model":"claude-v1","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":4096}`},
		"bounds": {
			[]string{envoy.MetadataMaxOutput, "64000", envoy.MetadataContextWindow, "200000"},
			chatBody,
			`{"model":"claude-v1","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":64000}`,
		},
		"little room": {
			[]string{envoy.MetadataMaxOutput, "64000", envoy.MetadataContextWindow, "500"},
			chatBody,
			`{"model":"claude-v1","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":1024}`,
		},
		"effort": {
			[]string{envoy.MetadataKnowsEffort, "true"},
			`{"model":"first","reasoning_effort":"high","messages":[{"role":"user","content":"hi"}]}`,
			`{"model":"claude-v1","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"output_config":{"effort":"high"},"thinking":{"type":"adaptive"},"max_tokens":4096}`,
		},
		"dropped and thinking": {
			[]string{envoy.MetadataDrop, "temperature", envoy.MetadataEffort, "minimal=low", envoy.MetadataThinking, "low=2048,high=9000"},
			`{"model":"first","temperature":1,"reasoning_effort":"minimal","messages":[{"role":"user","content":"hi"}]}`,
			`{"model":"claude-v1","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"thinking":{"type":"enabled","budget_tokens":2048},"max_tokens":4096}`,
		},
		"what the first model did not take": {
			[]string{"removed", `"temperature":0.5,"max_tokens":7`},
			`{"model":"first","max_completion_tokens":9,"messages":[{"role":"user","content":"hi"}]}`,
			`{"model":"claude-v1","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"max_tokens":7,"temperature":0.5}`,
		},
	} {
		removed := ""
		if len(tt.metadata) > 0 && tt.metadata[0] == "removed" {
			tt.metadata, removed = nil, tt.metadata[1]
		}
		got, err := exchangeCtx(asTranslating(t.Context(), tt.metadata...), t, conn, false,
			withRemoved(headers(false, ":path", "/v1/messages"), removed), body(tt.body[:9], false), body(tt.body[9:], true),
			answerHeaders(true, ":status", "204"))
		if err != nil || len(got) < 2 {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		r := readRouted(t, got[:2], nil)
		if diff := cmp.Diff(tt.want, r.Body); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The reverse, of which the words of the model's parameters are the provider's.
func TestTranslateToChat(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	const ask = `{"model":"first","max_tokens":9,"temperature":1,"messages":[{"role":"user","content":"hi"}],"thinking":{"type":"enabled","budget_tokens":1024}}`
	exchangeAs := func(messages ...*extprocv3.ProcessingRequest) (string, answered) {
		t.Helper()
		ctx := asFallback(t.Context(), envoy.MetadataSendAs, "gpt-v1", envoy.MetadataTranslate, "chat_completions", envoy.MetadataDrop, "temperature",
			envoy.MetadataMaxTokensField, "max_completion_tokens", envoy.MetadataThinking, "minimal=1024", envoy.MetadataEffort, "minimal=low")
		got, err := exchangeCtx(ctx, t, conn, false, append([]*extprocv3.ProcessingRequest{headers(false, ":path", "/v1/chat/completions"), body(ask, true)}, messages...)...)
		if err != nil || len(got) < 3 {
			t.Fatalf("%v, %v", got, err)
		}
		return readRouted(t, got[:2], nil).Body, readAnswered(t, got[2:])
	}
	sent, a := exchangeAs(answerHeaders(false, ":status", "200", "content-type", "application/json"),
		answerBody(`{"id":"c","model":"gpt-v1","choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}`, true))
	if want := `{"model":"gpt-v1","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":9,"reasoning_effort":"low"}`; sent != want {
		t.Errorf("sent %s", sent)
	}
	if want := `{"id":"c","type":"message","role":"assistant","model":"gpt-v1","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","stop_sequence":null,` +
		`"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}`; a.Body != want {
		t.Errorf("answer %s", a.Body)
	}
	_, a = exchangeAs(answerHeaders(false, ":status", "200", "content-type", "text/event-stream"),
		answerBody(`data: {"id":"c","model":"gpt-v1","choices":[{"index":0,"delta":{"content":"a"}}]}`+"\n\n", false), answerBody("", true))
	if !strings.HasPrefix(a.Body, "event: message_start\n") || !strings.Contains(a.Body, `{"type":"text_delta","text":"a"}`) || a.Usage != "" {
		t.Errorf("stream %+v", a)
	}
	_, a = exchangeAs(answerHeaders(false, ":status", "404", "content-type", "application/json"), answerBody(`{"error":{"message":"m"}}`, true))
	if a.Body != `{"type":"error","error":{"type":"not_found_error","message":"m"}}` {
		t.Errorf("error %s", a.Body)
	}
	_, a = exchangeAs(answerHeaders(false, ":status", "200", "content-type", "application/json"), answerBody(`[]`, true))
	if a.Body != `{"type":"error","error":{"type":"api_error","message":"the provider's answer could not be read"}}` || a.Set[":status"] != "502" {
		t.Errorf("no answer %+v", a)
	}
}

func TestTranslateResponse(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	const js, sse = "application/json", "text/event-stream; charset=utf-8"
	unset := func(a answered) answered { // what differs from run to run
		for _, created := range []string{`"created":`} {
			for at := 0; ; {
				i := strings.Index(a.Body[at:], created)
				if i < 0 {
					break
				}
				at += i + len(created)
				end := at + strings.IndexByte(a.Body[at:], ',')
				a.Body = a.Body[:at] + "7" + a.Body[end:]
			}
		}
		return a
	}
	const answer = `{"id":"msg_1","object":"chat.completion","created":7,"model":"claude-v1","choices":[{"index":0,"message":{"role":"assistant","content":"a","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":` + usageOf + `}`
	chunk := func(delta, finish string) string {
		return `data: {"id":"msg_1","object":"chat.completion.chunk","created":7,"model":"claude-v1","choices":[{"index":0,"delta":{` + delta + `},"logprobs":null,"finish_reason":` + finish + "}]}\n\n"
	}
	stream := chunk(`"role":"assistant","content":"","refusal":null`, "null") + chunk(`"content":"a"`, "null") + chunk("", `"stop"`) + "data: [DONE]\n\n"
	const unreadable = `{"error":{"message":"the provider's answer could not be read","type":"server_error","param":null,"code":"invalid_answer"}}`
	whole := func(code, body string) answered {
		set := map[string]string{"content-length": strconv.Itoa(len(body)), "content-type": js}
		if code != "" {
			set[":status"] = code
		}
		return answered{Set: set, Body: body, Parts: 1, End: true}
	}
	for name, tt := range map[string]struct {
		messages []*extprocv3.ProcessingRequest
		want     answered
	}{
		"whole": {
			[]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "200", "content-type", js), answerBody(message[:9], false), answerBody(message[9:], true)},
			whole("", answer),
		},
		"whole with trailers": {
			[]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "200", "content-type", js), answerBody(message, false), answerTrailers()},
			func() answered { a := whole("", answer); a.End, a.Last = false, true; return a }(),
		},
		"events": {
			[]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "200", "content-type", sse), answerBody(events[:150], false), answerBody(events[150:], false), answerBody("", true)},
			answered{Set: map[string]string{}, Remove: []string{"content-length"}, Usage: usageOf, Body: stream, Parts: 3, End: true},
		},
		"events with trailers": {
			[]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "200", "content-type", sse), answerBody(events[:5], false), answerBody(events[5:], false), answerTrailers()},
			answered{Set: map[string]string{}, Remove: []string{"content-length"}, Body: stream, Parts: 1, Last: true},
		},
		"error": {
			[]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "529", "content-type", js), answerBody(`{"type":"error","error":{"type":"overloaded_error","message":"m"}}`, true)},
			whole("", `{"error":{"message":"m","type":"server_error","param":null,"code":"overloaded"}}`),
		},
		"no answer": {
			[]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "200", "content-type", "text/html"), answerBody("<html>", true)}, whole("502", unreadable),
		},
		"compressed": {
			[]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "200", "content-type", sse, "content-encoding", "gzip"), answerBody(message, true)},
			func() answered { a := whole("502", unreadable); a.Remove = []string{"content-encoding"}; return a }(),
		},
		"too large": {
			append([]*extprocv3.ProcessingRequest{answerHeaders(false, ":status", "200", "content-type", js)}, large()...),
			func() answered { a := whole("502", unreadable); a.Remove = []string{"content-encoding"}; return a }(),
		},
		"nothing":          {[]*extprocv3.ProcessingRequest{answerHeaders(true, ":status", "200")}, answered{Set: map[string]string{":status": "502"}, Remove: []string{"content-length"}}},
		"an error, barely": {[]*extprocv3.ProcessingRequest{answerHeaders(true, ":status", "503")}, answered{Set: map[string]string{}, Remove: []string{"content-length"}}},
	} {
		got, err := exchangeCtx(asTranslating(t.Context()), t, conn, false, append([]*extprocv3.ProcessingRequest{chat(len(chatBody)), body(chatBody, true)}, tt.messages...)...)
		if err != nil || len(got) < 3 {
			t.Fatalf("%s: %d messages, %v", name, len(got), err)
		}
		a := unset(readAnswered(t, got[2:]))
		if tt.want.Set["content-length"] != "" && strings.Contains(tt.want.Body, `"created"`) {
			tt.want.Set["content-length"] = a.Set["content-length"] // of the true time
		}
		if diff := cmp.Diff(tt.want, a); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// large is a body beyond the server's default bound.
func large() (messages []*extprocv3.ProcessingRequest) {
	text := strings.Repeat(" ", 1<<20)
	for range extproc.DefaultMaxBodyBytes>>20 + 1 {
		messages = append(messages, answerBody(text, false))
	}
	return append(messages, answerBody("", true))
}

// Messages out of order end the stream, and so the attempt.
func TestTranslateOrder(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	request := []*extprocv3.ProcessingRequest{chat(len(chatBody)), body(chatBody, true)}
	ok := answerHeaders(false, ":status", "200", "content-type", "application/json")
	for name, messages := range map[string][]*extprocv3.ProcessingRequest{
		"body first":       append(request, answerBody("", true)),
		"trailers first":   append(request, answerTrailers()),
		"headers twice":    append(request, ok, ok),
		"request again":    append(request, ok, body("", true)),
		"before a request": {ok},
	} {
		if _, err := exchangeCtx(asTranslating(t.Context()), t, conn, false, messages...); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"no JSON": "{", "what no client could have sent": `{"model":"m","messages":[{"role":"user","content":"a"}],"n":2}`} {
		got, err := exchangeCtx(asTranslating(t.Context()), t, conn, false, chat(len(text)), body(text, true))
		if r := readRefusal(t, got, err); r.Status != 502 || !strings.Contains(r.Body, "fallback_failed") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A decision names the translating cluster of a backend that speaks another API,
// says what a translation leaves out, and leaves the body in the client's words.
func TestTranslatedDecision(t *testing.T) {
	t.Parallel()
	r := new(router.Router)
	snapshot, err := router.NewSnapshot(router.Config{
		Hash:   "p1",
		Models: []router.Model{{Name: "small", ServedAs: "small-v1"}, {Name: "claude", ServedAs: "large-v1", Price: router.Price{Output: 10}, Parameters: router.Parameters{Drop: []string{"top_p"}}}},
		Backends: []router.Backend{
			{Name: "s1", Model: 0, SendAs: "small-v1"},
			{
				Name: "l1", Model: 1, SendAs: "claude-v1", APIs: router.APIs(0).With(router.APIMessages), Translate: true,
				Thinking: []router.Thinking{{Effort: "low", Tokens: 1024}},
			},
		},
		Deployments: []router.Deployment{{
			Name: "auto", Mode: router.ModeQuality, AllowedModes: router.ModeSet(0).With(router.ModeQuality).With(router.ModeCost), Subset: []router.ModelIndex{0, 1}, MaxAttempts: 2, Scorer: fixedScorer{},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Swap(snapshot)
	_, conn := start(t, extproc.Config{Router: r, RouteLag: -1})
	translating := envoy.TranslatingClusterName("l1", snapshot.Backends[1].Hash)
	const fields = `"messages":[{"role":"user","content":"hi"}],"seed":1,"top_p":0.5,"temperature":1,"reasoning_effort":"low"`
	text := `{"model":"auto",` + fields + `}`
	decide := func(text string, more ...string) routed {
		t.Helper()
		got, err := exchange(t, conn, false, chat(len(text), more...), body(text, true))
		return readRouted(t, got, err)
	}
	first := decide(text)
	if want := `{"model":"claude-v1",` + strings.Replace(fields, `"top_p":0.5,`, "", 1) + `}`; first.Body != want {
		t.Errorf("body %s", first.Body)
	}
	if diff := cmp.Diff(groupsByName(translating, cluster(snapshot, "s1", true)), first.Metadata[envoy.NamespaceRoute]); diff != "" {
		t.Error(diff)
	}
	if dropped := first.Metadata[envoy.NamespaceDecision].(map[string]any)[envoy.KeyDropped]; dropped != "top_p,seed" {
		t.Errorf("dropped %q", dropped)
	}
	cheap := decide(text, envoy.HeaderMode, "cost")
	if diff := cmp.Diff(groupsByName(cluster(snapshot, "s1", false), translating), cheap.Metadata[envoy.NamespaceRoute]); diff != "" {
		t.Error(diff)
	}
	_, slow := start(t, extproc.Config{Router: r})
	got, err := exchange(t, slow, false, chat(len(text), envoy.HeaderMode, "cost"), body(text, true))
	if diff := cmp.Diff(groups(cluster(snapshot, "s1", false), translating), readRouted(t, got, err).Metadata[envoy.NamespaceRoute]); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{
		strings.Replace(text, `"seed":1`, `"n":2`, 1),
		strings.Replace(text, `"seed":1`, `"seed":1,"routing_config":{"require_parameters":true}`, 1),
	} {
		only := decide(text)
		if diff := cmp.Diff(groupsByName(cluster(snapshot, "s1", false)), only.Metadata[envoy.NamespaceRoute]); diff != "" {
			t.Error(diff)
		}
	}
}
