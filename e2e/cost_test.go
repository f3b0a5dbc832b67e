package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

// One request is one ext_proc stream and nothing of its response passes
// through it, streamed or not; a request that Wye has no business with opens
// none.
func TestOneStreamPerRequest(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	const requests = 20
	hello := rig.Chat("auto", "Say hello.")
	for name, body := range map[string][]byte{
		"whole":    hello,
		"streamed": append(hello[:len(hello)-1:len(hello)-1], `,"stream":true}`...),
	} {
		before := s.ExtProc(t)
		for range requests {
			if got := s.Post(t, body); got.Status != http.StatusOK {
				t.Fatalf("status %d: %s", got.Status, got.Body)
			}
		}
		after := s.ExtProc(t)
		if n := after.Streams - before.Streams; n != requests {
			t.Errorf("%s: %d requests opened %d ext_proc streams", name, requests, n)
		}
		// Headers, the body and, where HTTP/1.1's end of the request comes on
		// its own, an empty end of the body. One message of the response of
		// each request would be too many.
		if n := after.Sent - before.Sent; n < 2*requests || n > 3*requests {
			t.Errorf("%s: %d messages were sent for %d requests, want 2 or 3 for each", name, n, requests)
		}
		if n := after.Received - before.Received; n != 2*requests {
			t.Errorf("%s: %d messages were received for %d requests, want the headers' and the body's", name, n, requests)
		}
		if n := after.Failed - before.Failed; n != 0 {
			t.Errorf("%s: %d ext_proc streams failed", name, n)
		}
	}

	before := s.ExtProc(t)
	for _, path := range []string{"/v1/models", "/v1/models/auto", "/nowhere"} {
		s.Do(t, http.MethodGet, path, strings.NewReader(""))
	}
	if after := s.ExtProc(t); after.Streams != before.Streams {
		t.Errorf("%d ext_proc streams for requests that need no decision", after.Streams-before.Streams)
	}
}

// Ready means that the gRPC health check says so; without Envoy it takes Wye a
// fraction of a second from its start.
func TestStartToReady(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	t.Logf("start to ready: %v", s.ReadyAfter)
	// 300 ms is the promise on an idle machine; test machines are not idle.
	if s.ReadyAfter.Seconds() > 3 {
		t.Errorf("start to ready took %v", s.ReadyAfter)
	}
	now, peak := s.Wye.RSS(t)
	t.Logf("memory after the start: %d MiB, peak %d MiB", now>>20, peak>>20)
}

// Both variants of xDS serve, and take edits.
func TestXDSVariants(t *testing.T) {
	for name, sotw := range map[string]bool{"delta": false, "state of the world": true} {
		t.Run(name, func(t *testing.T) {
			s := rig.Start(t, rig.Options{StateOfTheWorld: sotw})
			if got := s.Post(t, rig.Chat("auto", "hi")); got.Status != http.StatusOK {
				t.Fatalf("status %d: %s", got.Status, got.Body)
			}
			p := s.Policy
			p.ExtraDeployments = []string{"added"}
			rig.WriteFile(t, s.PolicyPath, p.YAML(t))
			rig.Eventually(t, rig.Patience, "the edit takes effect", func() (bool, string) {
				got := s.Post(t, rig.Chat("added", "hi"))
				return got.Status == http.StatusOK, string(got.Body)
			})
			taken, refused := s.Updates(t)
			if refused != 0 || taken == 0 {
				t.Errorf("Envoy took %d updates and refused %d", taken, refused)
			}
			if !strings.Contains(s.Bootstrap, map[bool]string{false: `"DELTA_GRPC"`, true: `"GRPC"`}[sotw]) {
				t.Errorf("the bootstrap asks for another variant: %s", s.Bootstrap)
			}
		})
	}
}
