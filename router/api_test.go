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
