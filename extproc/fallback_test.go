package extproc_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
	"wye/extproc"
	"wye/router"
)

// A fallback needs no policy and decides nothing: what it does to the body is
// in the stream's metadata.
func TestFallback(t *testing.T) {
	t.Parallel()
	var fallbacks atomic.Int64
	_, conn := start(t, extproc.Config{
		Router:   new(router.Router),
		Observer: extproc.Observer{Fallback: func() { fallbacks.Add(1) }},
	})
	const first = `{"model":"small-v1", "n":1.00,"temperature":0.5,"max_tokens":7,"messages":[],"logprobs":true,"reasoning_effort":"none"}`
	for name, tc := range map[string]struct {
		metadata          []string
		removed           string
		want, wantDropped string
	}{
		"model": {
			[]string{envoy.MetadataSendAs, "large-v1"},
			"",
			strings.Replace(first, "small-v1", "large-v1", 1), "",
		},
		"dropped fields": {
			[]string{envoy.MetadataSendAs, "large-v1", envoy.MetadataDrop, "temperature,logprobs"},
			"",
			`{"model":"large-v1", "n":1.00,"max_tokens":7,"messages":[],"reasoning_effort":"none"}`, "temperature,logprobs",
		},
		"reasoning effort": {
			[]string{envoy.MetadataSendAs, "large-v1", envoy.MetadataEffort, "minimal=low,none=low"},
			"",
			strings.NewReplacer("small-v1", "large-v1", `"none"`, `"low"`).Replace(first), "",
		},
		"output cap": {
			[]string{envoy.MetadataSendAs, "large-v1", envoy.MetadataMaxTokensField, "max_completion_tokens"},
			"",
			strings.NewReplacer("small-v1", "large-v1", "max_tokens", "max_completion_tokens").Replace(first), "",
		},
		"what the first model did not take": {
			[]string{envoy.MetadataSendAs, "large-v1", envoy.MetadataDrop, "temperature,logprobs,stop"},
			`"top_p":0.1,"stop":["x"],"reasoning_effort":"minimal"`,
			`{"top_p":0.1,"reasoning_effort":"minimal","model":"large-v1","n":1.00,"max_tokens":7,"messages":[]}`, "stop,temperature,logprobs",
		},
		"what cannot be restored": {
			[]string{envoy.MetadataSendAs, "large-v1"}, `"model":"other"`, strings.Replace(first, "small-v1", "large-v1", 1), "",
		},
	} {
		got, err := exchangeCtx(asFallback(t.Context(), tc.metadata...), t, conn, false,
			withRemoved(headers(false, ":path", "/openai/v1/chat/completions", "x-wye-mode", "nonsense"), tc.removed), body(first[:20], false), body(first[20:], true))
		want := routed{
			Body: tc.want, Chunks: []int{len(tc.want)}, End: true,
			Set:      map[string]string{"content-length": fmt.Sprint(len(tc.want))},
			Metadata: map[string]any{envoy.NamespaceDecision: map[string]any{envoy.KeyDropped: tc.wantDropped}},
		}
		if diff := cmp.Diff(want, readRouted(t, got, err)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if n := fallbacks.Load(); n != 6 {
		t.Errorf("%d fallbacks observed, want 6", n)
	}
}

// withRemoved adds to a message what the first rewrite removed, as Envoy does.
func withRemoved(m *extprocv3.ProcessingRequest, removed string) *extprocv3.ProcessingRequest {
	if removed != "" {
		m.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			envoy.NamespaceRemoved: {Fields: map[string]*structpb.Value{envoy.KeyRemoved: structpb.NewStringValue(removed)}},
		}}
	}
	return m
}

// A body that was the largest that is allowed may have grown by the first
// rewrite.
func TestFallbackLargest(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	text := `{"model":"` + strings.Repeat("m", 500) + `","messages":[{"role":"user","content":"` + strings.Repeat("x", maxBody) + `"}]}`
	messages := []*extprocv3.ProcessingRequest{chat(len(text))}
	for at := 0; at < len(text); at += 60_000 {
		messages = append(messages, body(text[at:min(at+60_000, len(text))], at+60_000 >= len(text)))
	}
	got, err := exchangeCtx(asFallback(t.Context(), envoy.MetadataSendAs, "s"), t, conn, false, messages...)
	if r := readRouted(t, got, err); !strings.HasPrefix(r.Body, `{"model":"s","messages"`) || !r.End {
		t.Errorf("got %.40q", r.Body)
	}
}

// Envoy sends the whole body of a retry in one message.
func TestFallbackInOneMessage(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{Router: new(router.Router)})
	text := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", extproc.DefaultMaxBodyBytes-1024) + `"}]}`
	got, err := exchangeCtx(asFallback(t.Context(), envoy.MetadataSendAs, "s"), t, conn, false, chat(len(text)), body(text, true))
	if r := readRouted(t, got, err); len(r.Body) != len(text) || !r.End {
		t.Errorf("got %d bytes of %d", len(r.Body), len(text))
	}
}

// A body that cannot be rewritten names another model and must not pass.
func TestFallbackRefused(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	for name, messages := range map[string][]*extprocv3.ProcessingRequest{
		"not JSON": {chat(1), body("x", true)},
		"no body":  {headers(true)},
		"trailers": {chat(0), trailers()},
	} {
		got, err := exchangeCtx(asFallback(t.Context(), envoy.MetadataSendAs, "s"), t, conn, false, messages...)
		if r := readRefusal(t, got, err); r.Status != 502 || !strings.Contains(r.Body, `"code":"fallback_failed"`) {
			t.Errorf("%s: got %+v", name, r)
		} else if r.Headers[envoy.HeaderDecision]+r.Headers[envoy.HeaderPolicy] != "" {
			t.Errorf("%s: another decision or policy than the first attempt's: %v", name, r.Headers)
		}
	}
}
