package router_test

import (
	"testing"

	"wye/router"
)

func TestAPINames(t *testing.T) {
	t.Parallel()
	for _, a := range router.AllAPIs {
		if got, ok := router.ParseAPI(a.String()); !ok || got != a {
			t.Errorf("%v is read as %v, %v", a, got, ok)
		}
	}
	if a, ok := router.ParseAPI("chat"); ok {
		t.Errorf("chat is read as %v", a)
	}
}

// A backend without APIs serves chat completions and nothing else, one with them
// exactly those.
func TestBackendServes(t *testing.T) {
	t.Parallel()
	silent := router.Backend{}
	spoken := router.Backend{APIs: router.APIs(0).With(router.APIMessages).With(router.APIEmbeddings)}
	for _, a := range router.AllAPIs {
		if got := silent.Serves(a); got != (a == router.APIChat) {
			t.Errorf("a silent backend serves %v: %v", a, got)
		}
		if got := spoken.Serves(a); got != (a == router.APIMessages || a == router.APIEmbeddings) {
			t.Errorf("the other backend serves %v: %v", a, got)
		}
	}
}

// What a backend speaks is never translated, and only chat completions and
// Messages are.
func TestBackendTranslates(t *testing.T) {
	t.Parallel()
	apis := func(all ...router.API) (s router.APIs) {
		for _, a := range all {
			s = s.With(a)
		}
		return s
	}
	for name, tt := range map[string]struct {
		backend  router.Backend
		from, to router.API
		ok       bool
	}{
		"to Messages":          {router.Backend{APIs: apis(router.APIMessages), Translate: true}, router.APIChat, router.APIMessages, true},
		"to chat completions":  {router.Backend{Translate: true}, router.APIMessages, router.APIChat, true},
		"not asked for":        {router.Backend{APIs: apis(router.APIMessages)}, router.APIChat, router.APIMessages, false},
		"spoken":               {router.Backend{APIs: apis(router.APIMessages, router.APIChat), Translate: true}, router.APIChat, router.APIMessages, false},
		"neither":              {router.Backend{APIs: apis(router.APIEmbeddings), Translate: true}, router.APIChat, router.APIMessages, false},
		"Responses":            {router.Backend{Translate: true}, router.APIResponses, router.APIResponses, false},
		"a count of tokens":    {router.Backend{Translate: true}, router.APICountTokens, router.APICountTokens, false},
		"chat of its own kind": {router.Backend{Translate: true}, router.APIChat, router.APIMessages, false},
	} {
		to, ok := tt.backend.Translates(tt.from)
		if to != tt.to || ok != tt.ok {
			t.Errorf("%s: %v, %v", name, to, ok)
		}
		if serves := tt.backend.Serves(tt.from); serves != (ok || name == "spoken" || name == "chat of its own kind") {
			t.Errorf("%s: serves %v", name, serves)
		}
	}
}
