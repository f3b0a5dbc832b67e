package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// moves are what edits do to backends.
type moves struct {
	away      []rig.Backend   // elsewhere, under other names for the model
	added     rig.Backend     // in no policy of Start
	providers []*rig.Provider // of all of these
}

// startMoves starts a second provider for each backend that deployment auto
// uses, which takes only bodies that name the model in its own way: one that was
// decided under another policy than its cluster is from counts as wrong. And it
// starts one for a further backend.
func startMoves(t *testing.T, s *rig.Stack) *moves {
	t.Helper()
	m := new(moves)
	start := func(b rig.Backend) rig.Backend {
		p := s.AddProviderAs(t, b)
		m.providers = append(m.providers, p)
		b.Address = p.Addr
		return b
	}
	for _, b := range s.Policy.Backends {
		if b.Model == "large" || b.Model == "medium" || b.Model == "small" {
			b.SendAs, b.PathPrefix = b.Model+"-moved", "/elsewhere"
			m.away = append(m.away, start(b))
		}
	}
	m.added = start(rig.Backend{Name: "small-eu", Model: "small", Zone: "eu", SendAs: "small-in-europe"})
	return m
}

// edit returns the policy after the i-th edit, whose backends differ from those
// before it: every one is elsewhere in the first of three, some are and there
// is one more in the second, and all are home in the third.
func (m *moves) edit(p rig.Policy, i int) rig.Policy {
	switch i % 3 {
	case 0:
		return p.Replace(m.away...)
	case 1:
		return p.Replace(append(m.away[:2:2], m.added)...)
	default:
		return p
	}
}

// check fails unless the load saw n policies and backends were called where
// edits put them.
func (m *moves) check(t *testing.T, outcomes []rig.Outcome, n int) {
	t.Helper()
	policies := map[string]int{}
	for _, o := range outcomes {
		policies[o.Response.Header.Get("x-wye-policy")]++
	}
	moved := 0
	for _, p := range m.providers {
		moved += p.Served()
	}
	t.Logf("%d requests, %d of them at moved and added backends; by policy: %v", len(outcomes), moved, policies)
	if len(policies) < n {
		t.Errorf("%d policies were in force for requests, want %d", len(policies), n)
	}
	if moved == 0 || moved == len(outcomes) {
		t.Errorf("%d of %d requests went to moved and added backends", moved, len(outcomes))
	}
}

// An edit takes effect within a second, for every request from then on, and
// requests around it neither fail nor go astray.
func TestPolicyEdit(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	m := startMoves(t, s)
	load := startLoad(t, s)
	served(t, load, time.Now(), 30*time.Second)
	first := s.PolicyHash(t)
	for i, mode := range []string{"quality", "cost", "balanced", "cost"} {
		p := m.edit(s.Policy, i)
		p.AutoMode = mode
		p.LargeOutputPrice = itoa(8 + i)
		edited := time.Now()
		rig.WriteFile(t, s.PolicyPath, p.YAML(t))
		took := rig.Eventually(t, 20*time.Second, "the edit takes effect", func() (bool, string) {
			got := s.Post(t, rig.Chat("auto", "Say hello."))
			return got.Header.Get("x-wye-mode") == mode && got.Header.Get("x-wye-policy") != first, got.Header.Get("x-wye-mode")
		})
		t.Logf("in force after %v", took)
		if took > slack(time.Second) {
			t.Errorf("edit %d took %v to take effect, want a second", i, took)
		}
		first = s.PolicyHash(t)
		if got := s.Explain(t, rig.Chat("auto", "Say hello."), "").Policy; got != first {
			t.Errorf("policy %s is in force, wye explain has %s for the same file", first, got)
		}
		for time.Since(edited) < 1200*time.Millisecond {
			time.Sleep(20 * time.Millisecond)
		}
	}
	outcomes := load.Stop()
	for _, bad := range rig.Bad(outcomes, http.StatusOK) {
		t.Error(bad)
	}
	m.check(t, outcomes, 5)
	s.CheckStrict(t)
}

// A deployment that an edit adds can be called, one that it removes cannot,
// and a moved backend is called at its new address alone.
func TestPolicyEditMovesThings(t *testing.T) { testPolicyEditMovesThings(t, rig.Options{}) }

func testPolicyEditMovesThings(t *testing.T, o rig.Options) {
	t.Helper()
	s := rig.Start(t, o)
	if got := s.Post(t, rig.Chat("added", "hi")); got.Status != http.StatusNotFound {
		t.Fatalf("status %d for a deployment that does not exist yet", got.Status)
	}
	p, moved := s.Move(t, "thinker-us")
	p.ExtraDeployments = []string{"added"}
	rig.WriteFile(t, s.PolicyPath, p.YAML(t))
	rig.Eventually(t, 20*time.Second, "the added deployment can be called", func() (bool, string) {
		got := s.Post(t, rig.Chat("added", "hi"))
		return got.Status == http.StatusOK, fmt.Sprintf("%d: %s", got.Status, got.Body)
	})
	if list := s.Do(t, http.MethodGet, "/v1/models/added", nil); list.Status != http.StatusOK {
		t.Errorf("status %d for the added deployment's entry", list.Status)
	}
	before := moved.Served()
	for range 5 {
		if got := s.Post(t, rig.Chat("thinking", "hi")); got.Status != http.StatusOK {
			t.Errorf("status %d: %s", got.Status, got.Body)
		}
	}
	if n := moved.Served() - before; n != 5 {
		t.Errorf("%d of 5 requests went to the new address", n)
	}
	rig.WriteFile(t, s.PolicyPath, s.Policy.YAML(t))
	rig.Eventually(t, 20*time.Second, "the removed deployment is gone", func() (bool, string) {
		got := s.Post(t, rig.Chat("added", "hi"))
		return got.Status == http.StatusNotFound, fmt.Sprintf("%d: %s", got.Status, got.Body)
	})
	s.CheckStrict(t)
}

// A stream outlives the policy it was decided under, also when its backend is
// gone from the new one for longer than the grace.
func TestStreamSurvivesEdit(t *testing.T) {
	s := rig.Start(t, rig.Options{Args: []string{"--grace", "500ms"}})
	const chunks = 8
	id := rig.ID()
	steps := s.Steps(t, id, chunks)
	stream := openStream(t, s, "thinking", id, "thinker-us=steps")
	p, _ := s.Move(t, "thinker-us")
	before := s.PolicyHash(t)
	for i := range chunks {
		if line, want := readEvent(t, stream), "data: chunk "+itoa(i); line != want {
			t.Fatalf("event %q, want %q", line, want)
		}
		switch i {
		case 1:
			rig.WriteFile(t, s.PolicyPath, p.YAML(t))
			rig.Eventually(t, rig.Patience, "the edit takes effect", func() (bool, string) {
				hash := s.PolicyHash(t)
				return hash != before, hash
			})
		case 2:
			rig.Eventually(t, rig.Patience, "Envoy drops the old backend", func() (bool, string) {
				names := s.Clusters(t, "thinker-us")
				return len(names) == 2, fmt.Sprint(names) // for first attempts and for fallbacks
			})
		}
		steps.Acknowledge()
	}
	if line := readEvent(t, stream); line != "data: [DONE]" {
		t.Errorf("event %q, want the end", line)
	}
}

// A broken edit changes nothing, is explained in the log and on the admin
// page, and the next good one takes effect.
func TestPolicyBrokenEdit(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	load := startLoad(t, s)
	before := s.PolicyHash(t)
	good := s.Policy.YAML(t)
	for name, broken := range map[string]string{
		"syntax":        good + "\n  - : :\n]",
		"unknown field": strings.Replace(good, "defaults:", "defolts:", 1),
		"unknown model": strings.Replace(good, "subset: [thinker]", "subset: [thinkr]", 1),
		"no backends":   withoutBackends(t, good),
		"empty":         "",
	} {
		t.Run(name, func(t *testing.T) {
			logged, refused := len(s.Wye.Output()), s.PolicyStatus(t).Failures
			rig.WriteFile(t, s.PolicyPath, broken)
			rig.Eventually(t, 20*time.Second, "the admin page explains the refusal", func() (bool, string) {
				status := s.PolicyStatus(t)
				return status.Failures > refused && strings.Contains(status.Refused, "policy.yaml:"), fmt.Sprintf("%+v", status)
			})
			if status := s.PolicyStatus(t); status.Hash != before {
				t.Errorf("policy %s is in force, it was %s", status.Hash, before)
			}
			if hash := s.PolicyHash(t); hash != before {
				t.Errorf("requests are decided under %s, the policy was %s", hash, before)
			}
			if log := s.Wye.Output()[logged:]; !strings.Contains(log, "policy.yaml:") {
				t.Errorf("the log does not name the fault's place: %s", log)
			}
		})
	}
	p := s.Policy
	p.AutoMode = "cost"
	rig.WriteFile(t, s.PolicyPath, p.YAML(t))
	rig.Eventually(t, 20*time.Second, "a good edit takes effect again", func() (bool, string) {
		got := s.Post(t, rig.Chat("auto", "hi"))
		return got.Header.Get("x-wye-mode") == "cost" && s.PolicyStatus(t).Refused == "", got.Header.Get("x-wye-mode")
	})
	for _, bad := range rig.Bad(load.Stop(), http.StatusOK) {
		t.Error(bad)
	}
}

func withoutBackends(t *testing.T, policy string) string {
	t.Helper()
	head, rest, ok := strings.Cut(policy, "backends:")
	_, tail, ok2 := strings.Cut(rest, "deployments:")
	if !ok || !ok2 {
		t.Fatalf("the policy has no backends: %s", policy)
	}
	return head + "deployments:" + tail
}
