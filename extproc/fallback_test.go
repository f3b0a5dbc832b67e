package extproc_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"

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
		metadata []string
		want     string
	}{
		"model": {
			[]string{envoy.MetadataSendAs, "large-v1"},
			strings.Replace(first, "small-v1", "large-v1", 1),
		},
		"dropped fields": {
			[]string{envoy.MetadataSendAs, "large-v1", envoy.MetadataDrop, "temperature,logprobs"},
			`{"model":"large-v1", "n":1.00,"max_tokens":7,"messages":[],"reasoning_effort":"none"}`,
		},
		"reasoning effort": {
			[]string{envoy.MetadataSendAs, "large-v1", envoy.MetadataEffort, "minimal=low,none=low"},
			strings.NewReplacer("small-v1", "large-v1", `"none"`, `"low"`).Replace(first),
		},
		"output cap": {
			[]string{envoy.MetadataSendAs, "large-v1", envoy.MetadataMaxTokensField, "max_completion_tokens"},
			strings.NewReplacer("small-v1", "large-v1", "max_tokens", "max_completion_tokens").Replace(first),
		},
	} {
		got, err := exchangeCtx(asFallback(t.Context(), tc.metadata...), t, conn, false,
			headers(false, ":path", "/openai/v1/chat/completions", "x-wye-mode", "nonsense"), body(first[:20], false), body(first[20:], true))
		want := routed{
			Body: tc.want, Chunks: []int{len(tc.want)}, End: true,
			Set: map[string]string{"content-length": fmt.Sprint(len(tc.want))},
		}
		if diff := cmp.Diff(want, readRouted(t, got, err)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if n := fallbacks.Load(); n != 4 {
		t.Errorf("%d fallbacks observed, want 4", n)
	}
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
