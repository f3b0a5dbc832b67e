package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

// failed is the value of rig.FailHeader under which the first n steps of the
// chain fail.
func failed(e rig.Explanation, n int, how string) string {
	var parts []string
	for _, step := range e.Chain[:n] {
		parts = append(parts, step.Backend+"="+how)
	}
	return strings.Join(parts, ",")
}

func backends(e rig.Explanation, n int) []string {
	var names []string
	for _, step := range e.Chain[:n] {
		names = append(names, step.Backend)
	}
	return names
}

// Each retry goes to the next model of the prompt's own chain, with a body
// written for it, and the response says who served.
func testFailover(t *testing.T, s *rig.Stack) {
	body := []byte(`{"model":"any-order","messages":[{"role":"user","content":"Say hello."}],"max_tokens":50}`)
	e := s.Explain(t, body, "")
	if len(e.Chain) < 4 {
		t.Fatalf("the chain is %v, the test needs four steps", e.Chain)
	}
	for _, how := range []string{"500", "502", "503", "429", "reset"} {
		for n := 1; n <= 3; n++ {
			t.Run(how+" "+itoa(n), func(t *testing.T) {
				id := rig.ID()
				got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failed(e, n, how))
				if got.Status != http.StatusOK {
					t.Fatalf("status %d: %s", got.Status, got.Body)
				}
				if seen, want := s.Seen(id), backends(e, n+1); !slices.Equal(seen, want) {
					t.Errorf("backends %q were called, the chain is %q", seen, want)
				}
				last := e.Chain[n]
				for name, want := range map[string]string{
					"x-wye-attempts": itoa(n + 1), "x-wye-model": rig.ServedAs[last.Model], "x-wye-zone": last.Zone,
				} {
					if have := got.Header.Get(name); have != want {
						t.Errorf("%s %q, want %q", name, have, want)
					}
				}
				for _, r := range s.Find(id) {
					checkAttempt(t, s, r)
				}
				if reported := gjson.GetBytes(got.Body, "model").String(); reported != rig.ServedAs[last.Model] {
					t.Errorf("the body reports %q, %s served", reported, last.Model)
				}
			})
		}
	}
}

// checkAttempt fails unless r carries a body for the backend that got it.
func checkAttempt(t *testing.T, s *rig.Stack, r rig.Sighting) {
	t.Helper()
	if !json.Valid(r.Body) {
		t.Errorf("%s was sent broken JSON: %.200q", r.Backend, r.Body)
	}
	if model, want := gjson.GetBytes(r.Body, "model").String(), s.SendAs(r.Backend); model != want {
		t.Errorf("%s was sent model %q, want %q", r.Backend, model, want)
	}
	capped := gjson.GetBytes(r.Body, "max_completion_tokens").Int()
	if !strings.HasPrefix(r.Backend, "thinker") { // the others take either name
		capped += gjson.GetBytes(r.Body, "max_tokens").Int()
	}
	if capped != 50 {
		t.Errorf("%s was sent an output cap of %d, want 50: %s", r.Backend, capped, r.Body)
	}
	key := "Bearer sk-e2e" // the client's
	if r.Backend == "thinker-us" {
		key = "Bearer " + rig.ThinkerKey
	}
	if got := r.Header.Values("Authorization"); len(got) != 1 || got[0] != key {
		t.Errorf("%s was sent Authorization %q, want %q", r.Backend, got, key)
	}
	for name := range r.Header {
		if strings.HasPrefix(strings.ToLower(name), "x-wye-") {
			t.Errorf("%s was sent %s", r.Backend, name)
		}
	}
}

// A backend that does not even listen costs one attempt.
func testFailoverRefused(t *testing.T, s *rig.Stack) {
	body := rig.Chat("refused-first", "Say hello.")
	e := s.Explain(t, body, "")
	if e.Chain[0].Backend != "absent-us" {
		t.Fatalf("the chain %v does not begin with the absent backend", e.Chain)
	}
	id := rig.ID()
	got := s.Post(t, body, rig.IDHeader, id)
	if got.Status != http.StatusOK || got.Header.Get("x-wye-attempts") != "2" {
		t.Fatalf("status %d after %q attempts: %s", got.Status, got.Header.Get("x-wye-attempts"), got.Body)
	}
	if seen := s.Seen(id); !slices.Equal(seen, []string{e.Chain[1].Backend}) {
		t.Errorf("backends %q were called, want %s", seen, e.Chain[1].Backend)
	}
}

// When every attempt fails the client is told of each, after as many attempts as
// the deployment allows and no more.
func testFailoverExhausted(t *testing.T, s *rig.Stack) {
	for _, deployment := range []string{"auto", "thinking", "fixed", "any-order"} {
		t.Run(deployment, func(t *testing.T) {
			body := rig.Chat(deployment, "Say hello.")
			e := s.Explain(t, body, "")
			id := rig.ID()
			statuses := []string{"503", "reset", "429", "500"}
			var faults, tried []string
			for i, step := range e.Chain {
				how := statuses[i%len(statuses)]
				faults = append(faults, step.Backend+"="+how)
				if how == "reset" {
					tried = append(tried, rig.ServedAs[step.Model]+": no answer")
				} else {
					tried = append(tried, rig.ServedAs[step.Model]+": status "+how)
				}
			}
			got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, strings.Join(faults, ","))
			if got.Status != http.StatusServiceUnavailable {
				t.Errorf("status %d, want 503", got.Status)
			}
			apiErr, err := got.Error()
			if err != nil {
				t.Fatal(err)
			}
			if apiErr.Code == nil || *apiErr.Code != "all_models_failed" || apiErr.Type != "server_error" ||
				!strings.HasSuffix(apiErr.Message, ": "+strings.Join(tried, "; ")+".") {
				t.Errorf("error %s, want one that ends in %q", got.Body, tried)
			}
			if seen := s.Seen(id); !slices.Equal(seen, backends(e, len(e.Chain))) {
				t.Errorf("backends %q were called, the chain is %v", seen, e.Chain)
			}
			if have := got.Header.Get("x-wye-attempts"); have != itoa(len(e.Chain)) {
				t.Errorf("x-wye-attempts %q, want %d", have, len(e.Chain))
			}
			for _, name := range []string{"x-wye-model", "x-wye-zone"} {
				if have := got.Header.Get(name); have != "" {
					t.Errorf("%s says %q, nobody served", name, have)
				}
			}
		})
	}
}

// A provider that does not begin to answer in time is left for the next.
func testFailoverTimeout(t *testing.T, s *rig.Stack) {
	body := rig.Chat("any-order", "Say hello.")
	e := s.Explain(t, body, "")
	id := rig.ID()
	begin := time.Now()
	got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failed(e, 1, "hang"))
	took := time.Since(begin)
	if got.Status != http.StatusOK || got.Header.Get("x-wye-attempts") != "2" {
		t.Fatalf("status %d after %q attempts: %s", got.Status, got.Header.Get("x-wye-attempts"), got.Body)
	}
	if took < 1500*time.Millisecond || took > 15*time.Second {
		t.Errorf("it took %v, per_try_timeout is 2s", took)
	}
}

// A body beyond Envoy's default buffer of 1 MiB is retried like any other.
func testFailoverLargeBody(t *testing.T, s *rig.Stack) {
	prompt := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 42000) // 1.9 MB, within large's window
	body := rig.Chat("auto", prompt)
	e := s.Explain(t, body, "")
	if len(e.Chain) == 1 {
		// Only one model takes so long a prompt, so its other backend is next.
		t.Fatalf("the chain %v leaves nothing to fall back to", e.Chain)
	}
	id := rig.ID()
	got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failed(e, 1, "503"))
	if got.Status != http.StatusOK || got.Header.Get("x-wye-attempts") != "2" {
		t.Fatalf("status %d after %q attempts: %.300s", got.Status, got.Header.Get("x-wye-attempts"), got.Body)
	}
	for _, r := range s.Find(id) {
		if gjson.GetBytes(r.Body, "messages.0.content").String() != prompt {
			t.Errorf("%s was sent another prompt of %d bytes", r.Backend, len(r.Body))
		}
	}
}

// What the next model would refuse as well is not retried.
func testClientErrorsNotRetried(t *testing.T, s *rig.Stack) {
	body := rig.Chat("auto", "Say hello.")
	e := s.Explain(t, body, "")
	for _, status := range []string{"400", "401", "403", "404", "422"} {
		id := rig.ID()
		got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failed(e, 1, status))
		if itoa(got.Status) != status {
			t.Errorf("status %d, the provider's was %s", got.Status, status)
		}
		if seen := s.Seen(id); len(seen) != 1 {
			t.Errorf("%s: backends %q were called, want one", status, seen)
		}
	}
}
