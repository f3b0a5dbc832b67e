package xds_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wye/xds"
)

// An Envoy at its heap's limit refuses requests, in the clients' shapes and with a
// time to come back.
func TestHeapLimit(t *testing.T) {
	t.Parallel()
	g := startGateway(t, snapshot(t, twoBackends("127.0.0.1:1", "127.0.0.1:1", nil)), gatewayOptions{maxHeap: 1 << 20})
	var got answer
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got, err = g.try(http.MethodGet, xds.PathModels, ""); err == nil && got.status == http.StatusServiceUnavailable {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, code := errorBody(t, got); got.status != http.StatusServiceUnavailable || code != "overloaded" || got.header.Get("retry-after") != "1" {
		t.Errorf("%+v", got)
	}
}

// One connection more than allowed is hung up on, and the next is not once there
// is room.
func TestConnectionLimit(t *testing.T) {
	t.Parallel()
	g := startGateway(t, snapshot(t, twoBackends("127.0.0.1:1", "127.0.0.1:1", nil)), gatewayOptions{maxConnections: 3})
	ask := func() (net.Conn, error) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return nil, err
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: wye\r\n\r\n", xds.PathModels); err != nil {
			return nil, err
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return conn, err
	}
	var last net.Conn
	for i := range 3 {
		var err error
		if last, err = ask(); err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
	}
	if _, err := ask(); err == nil {
		t.Error("a fourth client was served")
	}
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err = ask(); err == nil {
			return
		}
	}
	t.Errorf("no room after a client left: %v", err)
}
