package extproc_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"wye/envoy"
	"wye/extproc"
	"wye/router"
)

// An Envoy of a zone is told to go only where it can: its zone is in the
// stream's metadata.
func TestZoneOfEnvoy(t *testing.T) {
	t.Parallel()
	s, err := router.NewSnapshot(router.Config{
		Hash:   "p1",
		Models: []router.Model{{Name: "small"}},
		Backends: []router.Backend{
			{Name: "us", SendAs: "small-v1", Zone: "us"}, {Name: "eu", SendAs: "small-v1", Zone: "eu"},
		},
		Deployments: []router.Deployment{
			{Name: "auto", Mode: router.ModeCost, AllowedModes: router.ModeSet(0).With(router.ModeCost), Subset: []router.ModelIndex{0}, MaxAttempts: 2, Scorer: fixedScorer{}},
			{Name: "us-chat", Zone: "us", Mode: router.ModeCost, AllowedModes: router.ModeSet(0).With(router.ModeCost), Subset: []router.ModelIndex{0}, MaxAttempts: 2, Scorer: fixedScorer{}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var r router.Router
	r.Swap(s)
	_, conn := start(t, extproc.Config{Router: &r})
	ask := func(zone, model string) (chain map[string]any, refused refusal) {
		ctx := t.Context()
		if zone != "" {
			ctx = metadata.NewOutgoingContext(context.Background(), metadata.Pairs(envoy.MetadataZone, zone))
		}
		text := `{"model":"` + model + `","messages":[{"role":"user","content":"hi"}]}`
		got, err := exchangeCtx(ctx, t, conn, false, chat(len(text)), body(text, true))
		if len(got) == 1 {
			return nil, readRefusal(t, got, err)
		}
		chain, ok := readRouted(t, got, err).Metadata["wye.route"].(map[string]any)
		if !ok {
			t.Fatalf("no chain in %v", got)
		}
		return chain, refusal{}
	}
	for _, zone := range []string{"eu", "us"} {
		if chain, _ := ask(zone, "auto"); !cmp.Equal(chain, groups(cluster(s, zone, false))) {
			t.Errorf("the chain in %s is %v", zone, chain)
		}
	}
	if _, r := ask("eu", "us-chat"); r.Status != 404 {
		t.Errorf("another zone's deployment: %+v", r)
	}
	if _, r := ask("mars", "auto"); r.Status != 400 || !strings.Contains(r.Body, "no backend in the zone") {
		t.Errorf("in a zone without backends: %+v", r)
	}
	if chain, _ := ask("", "us-chat"); !cmp.Equal(chain, groups(cluster(s, "us", false))) {
		t.Errorf("the chain of an Envoy of no zone is %v", chain)
	}
}
