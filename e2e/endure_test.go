package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// kill -9, and by the time Wye is back the policy has every backend elsewhere:
// requests are served again within three seconds, and from then on none names a
// cluster that Envoy does not have yet.
func TestKilledAndEdited(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	m := startMoves(t, s)
	load := startLoad(t, s)
	served(t, load, time.Now(), rig.Patience)

	s.Wye.Signal(t, syscall.SIGKILL)
	s.Wye.Wait(t, rig.Patience)
	rig.WriteFile(t, s.PolicyPath, s.Policy.Replace(m.away...).YAML(t))
	time.Sleep(3 * time.Second) // long enough for Envoy to back off
	restarted := time.Now()
	s.RestartWye(t)
	var first time.Time // when the first request that began since was served
	rig.Eventually(t, rig.Patience, "a request is served", func() (bool, string) {
		recent := rig.Since(load.Outcomes(), restarted)
		for _, o := range recent {
			if end := o.Begin.Add(o.Took); o.Err == nil && o.Response.Status == http.StatusOK && (first.IsZero() || end.Before(first)) {
				first = end
			}
		}
		return !first.IsZero(), itoa(len(recent)) + " requests"
	})
	took := first.Sub(restarted)
	t.Logf("served again %v after the restart", took)
	if took > 3*time.Second {
		t.Errorf("served again after %v, want 3s", took)
	}
	time.Sleep(3 * time.Second) // in which the load goes on
	outcomes := load.Stop()
	after := rig.Since(outcomes, first)
	if len(after) < 10*loadClients {
		t.Errorf("%d requests after the first served one", len(after))
	}
	for _, bad := range rig.Bad(after, http.StatusOK) {
		t.Errorf("after the first served request: %s", bad)
	}
	moved := 0
	for _, p := range m.providers {
		moved += p.Served()
	}
	if moved < len(after) {
		t.Errorf("%d of %d requests went to the moved backends", moved, len(after))
	}
	s.CheckStrict(t)
}

// A body that is still arriving when every backend moves, and whose old
// backends Envoy has dropped by the time it is whole, is served by the new ones.
func TestUploadAcrossEdit(t *testing.T) {
	s := rig.Start(t, rig.Options{Args: []string{"--grace", "500ms"}})
	before := s.PolicyHash(t)
	id := rig.ID()
	body := rig.Chat("thinking", strings.Repeat("slowly ", 100))
	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	client := rig.NewClient(t)
	done := make(chan rig.Outcome, 1)
	go func() {
		resp, err := rig.Do(t.Context(), client, http.MethodPost, s.URL+rig.ChatPath, reader, rig.IDHeader, id)
		done <- rig.Outcome{Response: resp, Err: err}
	}()
	if _, err := writer.Write(body[:len(body)/2]); err != nil {
		t.Fatal(err)
	}
	old := s.Clusters(t, "thinker-us")
	p, moved := s.Move(t, "thinker-us")
	rig.WriteFile(t, s.PolicyPath, p.YAML(t))
	rig.Eventually(t, rig.Patience, "Envoy drops the old backend", func() (bool, string) {
		now := s.Clusters(t, "thinker-us")
		return !slices.Contains(now, old[0]) && len(now) == len(old), fmt.Sprint(now)
	})
	if _, err := writer.Write(body[len(body)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-done
	if got.Err != nil || got.Response.Status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", got.Response.Status, got.Err, got.Response.Body)
	}
	if hash := got.Response.Header.Get("x-wye-policy"); hash == before || hash == "" {
		t.Errorf("policy %q decided, the one before the edit is %q", hash, before)
	}
	if n := len(moved.Find(rig.IDHeader, id)); n != 1 {
		t.Errorf("the backend's new address got the request %d times", n)
	}
	s.CheckStrict(t)
}

// A client that goes on sending but never finishes is ended by the request
// timeout. Answers that take longer than that are not.
func TestRequestTimeout(t *testing.T) {
	s := rig.Start(t, rig.Options{Args: []string{"--request-timeout", "2s"}})
	begin := time.Now()
	got := s.Do(t, http.MethodPost, rig.ChatPath,
		&trickle{rest: rig.Chat("auto", strings.Repeat("drip ", 200)), size: 4, pause: 100 * time.Millisecond})
	took := time.Since(begin)
	t.Logf("ended after %v", took)
	if got.Status != http.StatusRequestTimeout {
		t.Errorf("status %d: %s", got.Status, got.Body)
	}
	if e, err := got.Error(); err != nil || e.Code == nil || *e.Code != "request_timeout" {
		t.Errorf("error %+v, %v", e, err)
	}
	if took < 1500*time.Millisecond || took > slack(4*time.Second) {
		t.Errorf("ended after %v, want 2s", took)
	}
	for _, stream := range []bool{false, true} {
		body := rig.Chat("thinking", "Think before you speak.")
		if stream {
			body = append(body[:len(body)-1], `,"stream":true}`...)
		}
		begin = time.Now()
		slow := s.Post(t, body, "x-fake-fault", "delay=3s")
		if slow.Status != http.StatusOK || time.Since(begin) < 3*time.Second {
			t.Errorf("stream %t: status %d after %v, want 200 after 3s: %s", stream, slow.Status, time.Since(begin), slow.Body)
		}
	}
}

// Ctrl-C at the terminal of wye up reaches every process of its group at once;
// a stream under way still gets to its end.
func TestUpInterrupted(t *testing.T) {
	p, url := up(t, "--fake-pace", "20ms")
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	body := rig.Chat("auto", "Say hello.")
	body = append(body[:len(body)-1], `,"stream":true}`...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+rig.ChatPath, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := rig.NewClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 10)); err != nil {
		t.Fatalf("status %d, read the stream's beginning: %v", resp.StatusCode, err)
	}
	interrupted := time.Now()
	p.SignalGroup(t, syscall.SIGINT)
	rest, err := io.ReadAll(resp.Body)
	t.Logf("the stream went on for %v and %d bytes", time.Since(interrupted), len(rest))
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("the stream was cut (%v) after %.200q…", err, rest)
	}
	if time.Since(interrupted) < 200*time.Millisecond {
		t.Error("the stream was over before the signal could matter")
	}
	if code := p.Wait(t, rig.Patience); code != 0 {
		t.Errorf("exit code %d after SIGINT", code)
	}
}
