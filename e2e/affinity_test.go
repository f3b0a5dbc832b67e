package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// conversation is a client's side of one: it sends the whole history each time.
type conversation struct {
	Model    string              `json:"model"`
	Messages []map[string]string `json:"messages"`
	Control  map[string]any      `json:"routing_config,omitempty"`
}

func (c *conversation) say(role, text string) {
	c.Messages = append(c.Messages, map[string]string{"role": role, "content": text})
}

func (c *conversation) body(t *testing.T) []byte {
	t.Helper()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A conversation stays with its model while the cached prefix makes it worth
// more, and moves for a turn that another model is worth more for. What it does
// is what wye explain says of the same memory.
func testConversation(t *testing.T, s *rig.Stack) {
	record := strings.Repeat("The ledger lists every vessel that entered between spring and autumn, with tonnage, flag and cargo. ", 150)
	c := conversation{Model: "auto"}
	model, cached, kept, moved := "", 0, 0, 0
	for i, turn := range []struct{ mode, strategy, text string }{
		{"quality", "", rig.ID() + " is a record.\n" + record + "\nProve rigorously that a greedy schedule of it is optimal."},
		{"cost", "sticky", "Thanks. And when does it end?"},
		{"cost", "adaptive", "Thanks."},
		{"quality", "", "Now find a counterexample to its dual."},
	} {
		c.Control = nil
		if turn.strategy != "" {
			c.Control = map[string]any{"session_affinity": map[string]any{"strategy": turn.strategy}}
		}
		c.say("user", turn.text)
		body := c.body(t)
		unaided := s.Explain(t, body, turn.mode)
		want := unaided
		if model != "" {
			want = s.Explain(t, body, turn.mode, "--session-model", model, "--cached-tokens", fmt.Sprint(cached))
		}
		id := rig.ID()
		got := s.Post(t, body, "x-wye-mode", turn.mode, rig.IDHeader, id)
		if got.Status != http.StatusOK {
			t.Fatalf("turn %d: status %d: %s", i+1, got.Status, got.Body)
		}
		first := want.Chain[0]
		if where := s.Seen(id); len(where) != 1 || !strings.HasPrefix(where[0], first.Model) {
			t.Errorf("turn %d went to %q, want %s (%s)", i+1, where, first.Model, want.Session)
		}
		switch {
		case want.Session == "retain" && unaided.Chain[0].Model != first.Model:
			kept++
		case want.Session == "switch":
			moved++
		}
		model, cached = first.Model, want.Tokens/128*128
		c.say("assistant", "Very well.")
	}
	if kept == 0 || moved == 0 {
		t.Errorf("the memory kept the conversation %d times, and it moved %d times: the test shows little", kept, moved)
	}
}

// A named conversation stays on one backend, and no provider learns the name.
func testSessionHeaders(t *testing.T, s *rig.Stack) {
	for _, header := range []string{"x-wye-session", "x-ms-session-id"} {
		seen := map[string]bool{}
		for range 12 {
			name, where := rig.ID(), ""
			for range 3 {
				id := rig.ID()
				got := s.Post(t, rig.Chat("fixed", rig.ID()), header, name, rig.IDHeader, id)
				if got.Status != http.StatusOK {
					t.Fatalf("status %d: %s", got.Status, got.Body)
				}
				for _, r := range s.Find(id) {
					if where != "" && r.Backend != where {
						t.Errorf("%s went to %s, then to %s", name, where, r.Backend)
					}
					where = r.Backend
					for h, values := range r.Header {
						if strings.Contains(strings.ToLower(h), "session") || slices.Contains(values, name) {
							t.Errorf("the provider was sent %s: %q", h, values)
						}
					}
				}
			}
			seen[where] = true
		}
		if len(seen) < 2 {
			t.Errorf("%s: 12 conversations all went to %v", header, seen)
		}
		got := s.Post(t, rig.Chat("fixed", "hi"), header, strings.Repeat("x", 257))
		if e, err := got.Error(); err != nil || got.Status != http.StatusBadRequest || e.Code == nil || *e.Code != "invalid_session" {
			t.Errorf("a long name: status %d, %v: %s", got.Status, err, got.Body)
		}
	}
}

// After a fallback the conversation is with the model that served, which only the
// access log says.
func testConversationAfterFallback(t *testing.T, s *rig.Stack) {
	c := conversation{Model: "any-order"}
	c.say("user", rig.ID()+" is a code. "+strings.Repeat("The ledger lists every vessel that entered, with tonnage and flag. ", 200)+"Repeat the code.")
	routing := map[string]any{"session_affinity": map[string]string{"strategy": "sticky"}}
	id := rig.ID()
	got := s.Post(t, c.with(t, "routing_config", routing), rig.IDHeader, id, rig.FailHeader, "thinker-us=503,large-eu=503,large-us=503")
	if got.Status != http.StatusOK {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	tried := s.Seen(id)
	served := tried[len(tried)-1]
	if len(tried) < 2 {
		t.Fatalf("backends %q were called: there was no fallback", tried)
	}
	c.say("assistant", "No.")
	c.say("user", "Please.")
	rig.Eventually(t, 10*time.Second, "the conversation is with "+served, func() (bool, string) {
		id := rig.ID()
		got := s.Post(t, c.with(t, "routing_config", routing), rig.IDHeader, id)
		if got.Status != http.StatusOK {
			return false, fmt.Sprintf("status %d: %s", got.Status, got.Body)
		}
		where := s.Seen(id)
		return len(where) == 1 && where[0] == served, fmt.Sprint(where)
	})
}

// with is the body with a further field.
func (c *conversation) with(t *testing.T, field string, value any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{"model": c.Model, "messages": c.Messages, field: value})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
