package e2e_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

func testResponseHeaders(t *testing.T, s *rig.Stack) {
	hash := regexp.MustCompile(`^[0-9a-f]{12,64}$`)
	check := func(t *testing.T, got rig.Response, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if have := got.Header.Values(name); len(have) != 1 || have[0] != value {
				t.Errorf("%s: %q, want one of %q", name, have, value)
			}
		}
		if !hash.MatchString(got.Header.Get("x-wye-policy")) {
			t.Errorf("x-wye-policy %q is no hash", got.Header.Get("x-wye-policy"))
		}
		if got.Header.Get("x-wye-decision") == "" {
			t.Error("no x-wye-decision")
		}
	}
	t.Run("answer", func(t *testing.T) {
		body := rig.Chat("alias-of-auto", "Say hello.")
		e := s.Explain(t, body, "")
		got := s.Post(t, body)
		if got.Status != http.StatusOK {
			t.Fatalf("status %d: %s", got.Status, got.Body)
		}
		check(t, got, map[string]string{
			"x-wye-model": rig.ServedAs[e.Chain[0].Model], "x-wye-deployment": "auto", "x-wye-mode": "balanced",
			"x-wye-zone": e.Chain[0].Zone, "x-wye-attempts": "1",
		})
		if policy := got.Header.Get("x-wye-policy"); policy != e.Policy {
			t.Errorf("x-wye-policy %q, wye explain has %q", policy, e.Policy)
		}
		var reply struct{ Model string }
		if err := json.Unmarshal(got.Body, &reply); err != nil {
			t.Fatal(err)
		}
		if reply.Model != rig.ServedAs[e.Chain[0].Model] {
			t.Errorf("the body's model %q is not what the provider reported", reply.Model)
		}
		again := s.Post(t, body)
		if again.Header.Get("x-wye-decision") == got.Header.Get("x-wye-decision") {
			t.Error("two requests have one decision id")
		}
	})
	t.Run("provider's error", func(t *testing.T) {
		got := s.Post(t, rig.Chat("thinking", "Say hello."), rig.FailHeader, "thinker-us=422")
		if got.Status != http.StatusUnprocessableEntity {
			t.Fatalf("status %d: %s", got.Status, got.Body)
		}
		check(t, got, map[string]string{
			"x-wye-model": "thinker-2026-03-01", "x-wye-deployment": "thinking", "x-wye-mode": "balanced",
			"x-wye-zone": "us", "x-wye-attempts": "1",
		})
	})
	t.Run("Wye's own error", func(t *testing.T) {
		got := s.Post(t, rig.Chat("fixed", "Say hello."), "x-wye-mode", "cost")
		if got.Status != http.StatusBadRequest {
			t.Fatalf("status %d: %s", got.Status, got.Body)
		}
		if got.Header.Get("x-wye-deployment") != "fixed" || !hash.MatchString(got.Header.Get("x-wye-policy")) {
			t.Errorf("headers %v lack the deployment or the policy", got.Header)
		}
		if model := got.Header.Get("x-wye-model"); model != "" {
			t.Errorf("no model served, yet x-wye-model is %q", model)
		}
	})
}

// A client can steer nothing by internal headers, and no provider sees any.
func testHeadersStripped(t *testing.T, s *rig.Stack) {
	body := rig.Chat("auto", "Say hello.")
	e := s.Explain(t, body, "")
	id := rig.ID()
	got := s.Post(t, body,
		rig.IDHeader, id,
		"x-wye-model", "large-2026-01-01", "x-wye-deployment", "thinking", "x-wye-zone", "eu", "x-wye-attempts", "9",
		"x-wye-decision", "forged", "x-wye-policy", "forged", "x-wye-dropped", "forged", "x-wye-anything", "forged",
		"x-wye-send-as", "large", "x-wye-cluster", "wye_extproc",
		"x-envoy-max-retries", "9", "x-envoy-retry-on", "5xx", "x-envoy-upstream-rq-timeout-ms", "1",
		"x-envoy-original-path", "/", "x-envoy-decorator-operation", "forged",
		"X-Wye-Mode", "balanced", "x-request-id", "kept-request-id", "x-custom", "kept",
	)
	if got.Status != http.StatusOK {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	for name, want := range map[string]string{
		"x-wye-model": rig.ServedAs[e.Chain[0].Model], "x-wye-deployment": "auto", "x-wye-zone": e.Chain[0].Zone,
		"x-wye-attempts": "1", "x-wye-policy": e.Policy,
	} {
		if have := got.Header.Values(name); len(have) != 1 || have[0] != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	if got.Header.Get("x-wye-decision") == "forged" {
		t.Error("the decision id is the client's")
	}
	seen := s.Find(id)
	if len(seen) != 1 {
		t.Fatalf("%d requests reached providers, want 1", len(seen))
	}
	for name := range seen[0].Header {
		if strings.HasPrefix(strings.ToLower(name), "x-wye-") {
			t.Errorf("the provider was sent %s: %q", name, seen[0].Header.Values(name))
		}
	}
	if want := s.Address(seen[0].Backend); seen[0].Host != want {
		t.Errorf("the provider was sent host %q, want its own %q", seen[0].Host, want)
	}
	if seen[0].Header.Get("x-custom") != "kept" {
		t.Error("a header that is none of Wye's business was lost")
	}
}

// What a provider says of itself in Wye's headers does not reach the client.
func testResponseHeadersNotForged(t *testing.T, s *rig.Stack) {
	got := s.Post(t, rig.Chat("thinking", "Say hello."), rig.FailHeader, "thinker-us=forge")
	if got.Status != http.StatusOK {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	for _, name := range []string{
		"x-wye-model", "x-wye-deployment", "x-wye-mode", "x-wye-zone", "x-wye-attempts", "x-wye-decision", "x-wye-policy",
	} {
		have := got.Header.Values(name)
		if len(have) != 1 || strings.Contains(have[0], "forged") {
			t.Errorf("%s: %q", name, have)
		}
	}
}

// A backend with a credential gets that, and only that; one without gets the
// client's.
func testCredentials(t *testing.T, s *rig.Stack) {
	for deployment, want := range map[string]string{"thinking": "Bearer " + rig.ThinkerKey, "short-context": "Bearer sk-client"} {
		id := rig.ID()
		got := s.Post(t, rig.Chat(deployment, "Say hello."), "Authorization", "Bearer sk-client", rig.IDHeader, id)
		if got.Status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", deployment, got.Status, got.Body)
		}
		for _, r := range s.Find(id) {
			if have := r.Header.Values("Authorization"); len(have) != 1 || have[0] != want {
				t.Errorf("%s: the provider was sent Authorization %q, want %q", deployment, have, want)
			}
		}
	}
	if strings.Contains(s.Wye.Output(), rig.ThinkerKey) || strings.Contains(s.Wye.Output(), "sk-client") {
		t.Error("a credential is in the log")
	}
}
