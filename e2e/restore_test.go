package e2e_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

// What the first model does not take reaches the next one that does, as the
// client wrote it, and the response says what the model that served did not take.
func testFailoverRestores(t *testing.T, s *rig.Stack) {
	body := []byte(`{"model":"any-order","temperature":0.50,"stop":["a","b"],"max_tokens":50,"reasoning_effort":"minimal",` +
		`"messages":[{"role":"user","content":"Prove that for every prime p > 3, p^2 - 1 is divisible by 24, then find all integers n with n^2 + 3n + 5 divisible by 121."}]}`)
	e := s.Explain(t, body, "")
	if e.Chain[0].Backend != "thinker-us" {
		t.Fatalf("the chain %v does not begin with the model that takes less", e.Chain)
	}
	members := func(body []byte) map[string]string {
		all := map[string]string{}
		gjson.ParseBytes(body).ForEach(func(name, value gjson.Result) bool {
			if name.Str != "model" && name.Str != "messages" {
				all[name.Str] = value.Raw
			}
			return true
		})
		return all
	}
	whole := map[string]string{"temperature": "0.50", "stop": `["a","b"]`, "max_tokens": "50", "reasoning_effort": `"minimal"`}
	for n := range len(e.Chain) {
		id := rig.ID()
		got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failed(e, n, "503"))
		if got.Status != http.StatusOK || got.Header.Get("x-wye-attempts") != itoa(n+1) {
			t.Fatalf("status %d after %s attempts: %s", got.Status, got.Header.Get("x-wye-attempts"), got.Body)
		}
		if seen, want := s.Seen(id), backends(e, n+1); !slices.Equal(seen, want) {
			t.Errorf("backends %q were called, the chain is %q", seen, want)
		}
		var dropped string
		for _, r := range s.Find(id) {
			want := whole
			dropped = ""
			switch r.Backend {
			case "thinker-us":
				want, dropped = map[string]string{"max_completion_tokens": "50", "reasoning_effort": `"low"`}, "temperature,stop"
			case "small-us":
				want, dropped = map[string]string{"temperature": "0.50", "stop": `["a","b"]`, "max_tokens": "50"}, "reasoning_effort"
			}
			if diff := cmp.Diff(want, members(r.Body)); diff != "" {
				t.Errorf("%s was sent (-want +got): %s", r.Backend, diff)
			}
		}
		if have := got.Header.Get("x-wye-dropped"); have != dropped {
			t.Errorf("after %d attempts x-wye-dropped is %q, want %q", n+1, have, dropped)
		}
	}
}
