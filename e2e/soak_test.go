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

// A hundred clients, streamed and not, with an edit every second that moves,
// adds and removes backends: no error, and Wye stays small.
func TestSoak(t *testing.T) {
	length := 12 * time.Second
	if text := os.Getenv("WYE_E2E_SECONDS"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 1 {
			t.Fatalf("WYE_E2E_SECONDS=%q, want a number of seconds", text)
		}
		length = time.Duration(seconds) * time.Second
	}
	s := rig.Start(t, rig.Options{Unaccounted: true})
	m := startMoves(t, s)
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
		p := m.edit(s.Policy, reloads)
		p.AutoMode = modes[reloads%len(modes)]
		p.LargeOutputPrice = itoa(8 + reloads%5)
		rig.WriteFile(t, s.PolicyPath, p.YAML(t))
		time.Sleep(time.Second)
	}
	outcomes := load.Stop()
	for _, bad := range rig.Bad(outcomes, http.StatusOK) {
		t.Error(bad)
	}
	m.check(t, outcomes, max(2, min(reloads*3/4, 5*len(modes)))) // then they recur
	now, peak := s.Wye.RSS(t)
	status := s.PolicyStatus(t)
	t.Logf("%d requests, %d edits of which %d came into force; memory %d MiB, peak %d MiB",
		len(outcomes), reloads, status.Reloads, now>>20, peak>>20)
	if status.Failures > 0 || status.Reloads < reloads*3/4 {
		t.Errorf("policy status %+v after %d edits", status, reloads)
	}
	if peak > maxRSS {
		t.Errorf("Wye's memory peaked at %d MiB, want below %d", peak>>20, maxRSS>>20)
	}
	s.CheckStrict(t)
}
