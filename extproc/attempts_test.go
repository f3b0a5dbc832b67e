package extproc_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"wye/envoy"
	"wye/extproc"
	"wye/router"
)

// An Envoy that takes chains by attempt gets them so, and no other does.
func TestChainByAttempt(t *testing.T) {
	t.Parallel()
	d := router.Deployment{Name: "auto", Mode: router.ModeCost, AllowedModes: router.ModeSet(0).With(router.ModeCost), MaxAttempts: 8, Scorer: fixedScorer{}}
	c := router.Config{Hash: "p1", Models: []router.Model{{Name: "small", ServedAs: "small-2026"}}}
	d.Subset = []router.ModelIndex{0}
	for i := range 9 {
		c.Backends = append(c.Backends, router.Backend{Name: "b" + strconv.Itoa(i), SendAs: "x"})
	}
	short := d
	short.Name, short.MaxAttempts = "short", 2
	c.Deployments = []router.Deployment{d, short}
	s, err := router.NewSnapshot(c)
	if err != nil {
		t.Fatal(err)
	}
	var r router.Router
	r.Swap(s)
	_, conn := start(t, extproc.Config{Router: &r})
	ask := func(form, deployment string) map[string]any {
		ctx := metadata.NewOutgoingContext(context.Background(), metadata.Pairs(envoy.MetadataChain, form))
		text := `{"model":"` + deployment + `","messages":[{"role":"user","content":"hi"}]}`
		got, err := exchangeCtx(ctx, t, conn, false, chat(len(text)), body(text, true))
		chain, _ := readRouted(t, got, err).Metadata[envoy.NamespaceRoute].(map[string]any)
		return chain
	}
	for deployment, attempts := range map[string]int{"auto": 8, "short": 2} {
		// The same chain in the other form.
		whole := ask("some other", deployment)
		listed, _ := whole[envoy.KeyPriorityGroups].([]any)
		if len(whole) != 1 || len(listed) != attempts+1 {
			t.Fatalf("%s: %v", deployment, whole)
		}
		want := map[string]any{envoy.KeyFirstModel: "small-2026"}
		for i, g := range listed {
			clusters, _ := g.(map[string]any)["clusters"].([]any)
			if len(clusters) != 1 {
				t.Fatalf("%s: group %v", deployment, g)
			}
			want[strconv.Itoa(i+1)] = clusters[0].(map[string]any)["cluster_name"]
		}
		if diff := cmp.Diff(want, ask(envoy.ChainByAttempt, deployment)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", deployment, diff)
		}
	}
}
