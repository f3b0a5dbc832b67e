package e2e_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// Many clients that each send most of a large body and then hold on keep neither
// small requests out, nor make Wye or Envoy hold more than they may. Those for
// whom there is no room are told at once when to come back.
func TestSlowLargeBodies(t *testing.T) {
	const budget, attackers, size = 32 << 20, 48, 4_000_000
	s := rig.Start(t, rig.Options{Args: []string{"--max-inflight-bytes", fmt.Sprint(budget)}})
	before := s.EnvoyRSS(t)
	answers := make(chan rig.Response, attackers)
	conns := make([]net.Conn, attackers)
	var running sync.WaitGroup
	for i := range attackers {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns[i] = conn
		running.Go(func() { hold(conn, size, answers) })
	}
	var refused rig.Response
	select {
	case refused = <-answers:
	case <-time.After(rig.Patience):
		t.Fatal("no attacker was refused")
	}
	e, err := refused.Error()
	if err != nil || refused.Status != http.StatusServiceUnavailable || e.Code == nil || *e.Code != "overloaded" || refused.Header.Get("retry-after") == "" {
		t.Errorf("status %d, headers %v, %v: %s", refused.Status, refused.Header, err, refused.Body)
	}
	for range 50 {
		if got := s.Post(t, rig.Chat("auto", "hi")); got.Status != http.StatusOK {
			t.Errorf("a small request: status %d: %s", got.Status, got.Body)
		}
	}
	_, peak := s.Wye.RSS(t)
	envoy := s.EnvoyRSS(t)
	t.Logf("Wye's memory peaked at %d MiB; Envoy's went from %d to %d MiB", peak>>20, before>>20, envoy>>20)
	// The bodies, what gRPC has of them in its windows, and garbage of growing.
	if most := int64(maxRSS + 5*budget); peak > most {
		t.Errorf("Wye's memory peaked at %d MiB, want below %d", peak>>20, most>>20)
	}
	// What the attackers have sent in all, and half of it: none of it is kept twice.
	if most := before + attackers*size*3/2; envoy > most {
		t.Errorf("Envoy's memory is %d MiB, want below %d", envoy>>20, most>>20)
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	running.Wait()
	large := rig.Chat("auto", strings.Repeat("The ledger lists every vessel. ", 100_000))
	rig.Eventually(t, rig.Patience, "there is room again", func() (bool, string) {
		got := s.Post(t, large)
		return got.Status == http.StatusOK, fmt.Sprintf("status %d: %.300s", got.Status, got.Body)
	})
}

// hold sends most of a body of size bytes and reads what comes of it.
func hold(conn net.Conn, size int, answers chan<- rig.Response) {
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: wye\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", rig.ChatPath, size); err != nil {
		return
	}
	chunk := []byte(strings.Repeat("x", 1000))
	go func() {
		for sent := 0; sent < size-size/20; sent += len(chunk) {
			if _, err := conn.Write(chunk); err != nil {
				return // it was refused
			}
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return // the test has ended
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil {
		answers <- rig.Response{Status: resp.StatusCode, Header: resp.Header, Body: text}
	}
}
