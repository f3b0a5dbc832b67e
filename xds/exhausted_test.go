package xds_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wye/envoy"
	"wye/router"
)

// The answer of an exhausted chain names each attempt's model and status, in the
// order of the attempts, and nothing else.
func TestExhaustedChain(t *testing.T) {
	t.Parallel()
	limited := func(after string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("retry-after", after)
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	refused := newProvider(t, nil)
	refused.Close()
	for _, tt := range []struct {
		name          string
		first, second *provider
		model         string // of the first attempt
		tried         string
		after         string // retry-after
	}{
		{"both answer", newProvider(t, status(500)), newProvider(t, status(503)), "gpt", "a-2026: status 500; b: status 503", ""},
		{"neither answers", refused, newProvider(t, cut), "a", "a: no answer; b: no answer", ""},
		{"too late", newProvider(t, hang), newProvider(t, status(500)), "a", "a: no answer; b: status 500", ""},
		{"the sooner counts", newProvider(t, limited("9")), newProvider(t, limited("7")), "a", "a-2026: status 429; b: status 429", "7"},
		{"one says when", newProvider(t, limited("9")), newProvider(t, status(500)), "a", "a-2026: status 429; b: status 500", "9"},
		{"not for hours", newProvider(t, limited("86400")), refused, "a", "a-2026: status 429; b: no answer", "60"},
		{"at once", newProvider(t, limited("0")), refused, "a", "a-2026: status 429; b: no answer", "1"},
		{"beyond all numbers", newProvider(t, limited("99999999999999999999999")), refused, "a", "a-2026: status 429; b: no answer", "60"},
		{"a date", newProvider(t, limited("Wed, 21 Oct 2026 07:28:00 GMT")), refused, "a", "a-2026: status 429; b: no answer", ""},
		{"an odd name", refused, newProvider(t, status(500)), `a"\%1'`, `a"\%1': no answer; b: status 500`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, twoBackends(tt.first.address(), tt.second.address(), func(c *router.Config) {
				c.Deployments[0].PerTryTimeout = 500 * time.Millisecond
			}))
			g := startGateway(t, s, gatewayOptions{})
			got := g.chat(plan{
				Deployment: "auto", SendAs: "a-sent", Model: tt.model,
				Clusters: []string{first(s, 0), fallback(s, 1), envoy.ExhaustedCluster},
			})
			if _, _, code := errorBody(t, got); got.status != 503 || code != "all_models_failed" {
				t.Errorf("status %d, %s", got.status, got.body)
			}
			var doc struct{ Error struct{ Message string } }
			if err := json.Unmarshal([]byte(got.body), &doc); err != nil {
				t.Fatal(err)
			}
			if want := "Every model that could serve the request failed: " + tt.tried + "."; doc.Error.Message != want {
				t.Errorf("the message is %q, want %q", doc.Error.Message, want)
			}
			if after := got.header.Get("retry-after"); after != tt.after {
				t.Errorf("retry-after %q, want %q", after, tt.after)
			}
			want := map[string]string{"attempts": "2", "decision": "d1", "deployment": "auto", "mode": "quality", "policy": "p1"}
			if diff := cmp.Diff(want, wyeHeaders(got.header)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The default order, for a request whose metadata names no chain, ends in the
// same way, without a list that nothing vouches for.
func TestExhaustedDefaultOrder(t *testing.T) {
	t.Parallel()
	a, b := newProvider(t, status(500)), newProvider(t, status(500))
	s := snapshot(t, twoBackends(a.address(), b.address(), func(c *router.Config) { c.Deployments[0].MaxAttempts = 2 }))
	g := startGateway(t, s, gatewayOptions{})
	got := g.chat(plan{Deployment: "auto", SendAs: "wrong"})
	if _, _, code := errorBody(t, got); got.status != 503 || code != "all_models_failed" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if len(a.received()) != 1 || len(b.received()) != 1 {
		t.Errorf("%d and %d attempts, want one each", len(a.received()), len(b.received()))
	}
}
