package router_test

import (
	"slices"
	"strings"
	"testing"

	"wye/router"
)

// A model with a place of the client's API and one that speaks another is served
// by both, and by the former alone if the request cannot be translated; a model
// with a place of another API is then out, and the error says why.
func TestRouteTranslated(t *testing.T) {
	t.Parallel()
	s := newSnapshot(t, func(c *router.Config) {
		for i := range c.Backends {
			if c.Backends[i].Name != "small-us" {
				c.Backends[i].APIs, c.Backends[i].Translate = router.APIs(0).With(router.APIMessages), true
			}
		}
	})
	if d := s.Deployment([]byte("auto")); !d.Translates(router.APIChat) || d.Translates(router.APIMessages) {
		t.Errorf("translates chat %v, messages %v", d.Translates(router.APIChat), d.Translates(router.APIMessages))
	}
	var d router.Decision
	route := func(req router.Request) *router.Error { return s.Route(&req, &d) }
	if err := route(router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality}); err != nil {
		t.Fatal(err)
	}
	if got, want := chainOf(&d), []string{"large@large-us", "medium@medium-eu"}; !slices.Equal(got[:2], want) || len(got) != 4 || d.Places() != 4 {
		t.Errorf("chain %q, %d places", got, d.Places())
	}
	if err := route(router.Request{Deployment: []byte("auto"), Mode: router.ModeQuality, Untranslatable: "n above 1"}); err != nil {
		t.Fatal(err)
	}
	if got := chainOf(&d); !slices.Equal(got, []string{"small@small-us"}) || d.Places() != 1 {
		t.Errorf("chain %q, %d places", got, d.Places())
	}
	if got := reasonsOf(&d); got["large"] != router.ReasonProtocol || got["medium"] != router.ReasonProtocol {
		t.Errorf("reasons %v", got)
	}
	err := route(router.Request{Deployment: []byte("eu"), Untranslatable: "n above 1"})
	if err == nil || err.Kind != router.ErrNoCandidate || !strings.Contains(err.Message, "(n above 1 cannot be translated)") {
		t.Errorf("error %v", err)
	}
	if d.Reset(); d.Untranslatable != "" {
		t.Error("a decision that was reset has an obstacle")
	}
}

// Whatever a translated request depends on is in the backend's hash.
func TestTranslatedHash(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, edit := range map[string]func(*router.Config){
		"plain":      func(*router.Config) {},
		"translated": func(c *router.Config) { c.Backends[0].Translate = true },
		"output":     func(c *router.Config) { c.Backends[0].Translate, c.Models[0].MaxOutput = true, 9_000 },
		"window":     func(c *router.Config) { c.Backends[0].Translate, c.Models[0].ContextWindow = true, 9_000 },
		"effort":     func(c *router.Config) { c.Backends[0].Translate, c.Backends[0].Effort = true, true },
		"thinking": func(c *router.Config) {
			c.Backends[0].Translate, c.Backends[0].Thinking = true, []router.Thinking{{Effort: "low", Tokens: 1}}
		},
	} {
		hash := newSnapshot(t, edit).Backends[0].Hash
		if other, ok := seen[hash]; ok {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[hash] = name
	}
}
