package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// An edit takes effect within a second, for every request from then on, and
// requests around it neither fail nor go astray.
func TestPolicyEdit(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	load := startLoad(t, s)
	served(t, load, time.Now(), 30*time.Second)
	first := s.PolicyHash(t)
	for i, mode := range []string{"quality", "cost", "balanced", "cost"} {
		p := s.Policy
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
	t.Logf("%d requests under four edits", len(outcomes))
	s.CheckStrict(t)
}

// A deployment that an edit adds can be called, one that it removes cannot,
// and a moved backend is called at its new address alone.
func TestPolicyEditMovesThings(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	if got := s.Post(t, rig.Chat("added", "hi")); got.Status != http.StatusNotFound {
		t.Fatalf("status %d for a deployment that does not exist yet", got.Status)
	}
	p := s.Policy
	p.ExtraDeployments = []string{"added"}
	moved := s.AddProvider(t, "thinker-us")
	p.Backends = append([]rig.Backend(nil), p.Backends...)
	for i := range p.Backends {
		if p.Backends[i].Name == "thinker-us" {
			p.Backends[i].Address = moved.Addr
		}
	}
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
	p := s.Policy
	p.Backends = append([]rig.Backend(nil), p.Backends...)
	for i := range p.Backends {
		if p.Backends[i].Name == "thinker-us" {
			p.Backends[i].Address = s.AddProvider(t, "thinker-us").Addr
		}
	}
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

// A hundred clients, streamed and not, with a reload every second: no error,
// and Wye stays small.
func TestSoak(t *testing.T) {
	length := 12 * time.Second
	if text := os.Getenv("WYE_E2E_SECONDS"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 1 {
			t.Fatalf("WYE_E2E_SECONDS=%q, want a number of seconds", text)
		}
		length = time.Duration(seconds) * time.Second
	}
	s := rig.Start(t, rig.Options{})
	client := rig.NewClient(t)
	long := strings.Repeat("The quick brown fox jumps over the lazy dog. ", 400)
	load := rig.StartLoad(t, 100, 20*time.Millisecond, func(c, n int) (rig.Response, error) {
		deployment := []string{"auto", "eu-only", "thinking", "any-order"}[(c+n)%4]
		prompt := fmt.Sprintf("Say %d to %d.", n, c)
		if n%10 == 0 {
			prompt += long
		}
		body := rig.Chat(deployment, prompt)
		if n%3 == 0 {
			body = append(body[:len(body)-1], `,"stream":true}`...)
		}
		return rig.Post(t.Context(), client, s.URL, body)
	})
	reloads := 0
	for begin := time.Now(); time.Since(begin) < length; reloads++ {
		p := s.Policy
		p.AutoMode = modes[reloads%len(modes)]
		p.LargeOutputPrice = itoa(8 + reloads%5)
		rig.WriteFile(t, s.PolicyPath, p.YAML(t))
		time.Sleep(time.Second)
	}
	outcomes := load.Stop()
	for _, bad := range rig.Bad(outcomes, http.StatusOK) {
		t.Error(bad)
	}
	policies := map[string]bool{}
	for _, o := range outcomes {
		policies[o.Response.Header.Get("x-wye-policy")] = true
	}
	now, peak := s.Wye.RSS(t)
	status := s.PolicyStatus(t)
	t.Logf("%d requests, %d edits of which %d came into force, %d policies seen; memory %d MiB, peak %d MiB",
		len(outcomes), reloads, status.Reloads, len(policies), now>>20, peak>>20)
	if status.Failures > 0 || status.Reloads < reloads*3/4 {
		t.Errorf("policy status %+v after %d edits", status, reloads)
	}
	if peak > maxRSS {
		t.Errorf("Wye's memory peaked at %d MiB, want below %d", peak>>20, maxRSS>>20)
	}
	s.CheckStrict(t)
}
