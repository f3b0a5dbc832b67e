package load_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wye/internal/bench/load"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const request = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestRunCounts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"content-length", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }},
		{"empty", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("content-length", "0") }},
		{"chunked with a trailer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("trailer", "x-end")
			for range 3 {
				_, _ = w.Write([]byte(strings.Repeat("x", 5000)))
				_ = http.NewResponseController(w).Flush()
			}
			w.Header().Set("x-end", "1")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var served atomic.Int64
			addr := serve(t, func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				test.handler(w, r)
			})
			var edges []bool
			got, err := load.Run(t.Context(), load.Config{
				Addr: addr, Request: []byte(request), Clients: 3,
				Warmup: 20 * time.Millisecond, Duration: 400 * time.Millisecond,
				OnMeasure: func(start bool) { edges = append(edges, start) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if got.Failed != 0 || got.FirstErr != nil {
				t.Fatalf("%d failed, first: %v", got.Failed, got.FirstErr)
			}
			n := len(got.Latencies)
			if n == 0 || int64(n) > served.Load() {
				t.Errorf("%d responses counted of %d served", n, served.Load())
			}
			if got.PerSecond() <= 0 || got.Quantile(0.5) <= 0 || got.Quantile(0.5) > got.Quantile(1) {
				t.Errorf("rate %v, p50 %v, max %v", got.PerSecond(), got.Quantile(0.5), got.Quantile(1))
			}
			if len(edges) != 2 || !edges[0] || edges[1] {
				t.Errorf("OnMeasure calls = %v, want start and end", edges)
			}
		})
	}
}

func TestRunCountsFailures(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, addr, want string
	}{
		{"status", serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }), "status 418"},
		{"refused", closed.Addr().String(), "refused"},
		{"cut", serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "EOF"},
		{"cut in the body", serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-length", "10")
			_, _ = w.Write([]byte("12345"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), "read body"},
		{"no length", serveRaw(t, "HTTP/1.1 200 OK\r\n\r\nhello"), "neither content-length nor chunked"},
		{"bad length", serveRaw(t, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "content-length"},
		{"bad chunk", serveRaw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "malformed chunk header"},
		{"not http", serveRaw(t, "hello\r\n\r\n"), "malformed status line"},
		{"long line", serveRaw(t, "HTTP/1.1 200 "+strings.Repeat("x", 40<<10)), "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := load.Run(t.Context(), load.Config{
				Addr: test.addr, Request: []byte(request), Clients: 1, Duration: 300 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Latencies) != 0 || got.Failed == 0 {
				t.Errorf("%d good and %d failed, want failures only", len(got.Latencies), got.Failed)
			}
			if got.FirstErr == nil || !strings.Contains(got.FirstErr.Error(), test.want) {
				t.Errorf("first error %v, want one with %q", got.FirstErr, test.want)
			}
		})
	}
}

// serveRaw answers every connection's first bytes with text and closes it.
func serveRaw(t *testing.T, text string) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			buffer := make([]byte, 1024)
			_, _ = conn.Read(buffer)
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = lis.Close()
		<-done
	})
	return lis.Addr().String()
}

func TestRunRefusesNonsense(t *testing.T) {
	t.Parallel()
	good := load.Config{Addr: "127.0.0.1:1", Request: []byte(request), Clients: 1, Duration: time.Second}
	for name, breakIt := range map[string]func(*load.Config){
		"address":  func(c *load.Config) { c.Addr = "" },
		"request":  func(c *load.Config) { c.Request = nil },
		"clients":  func(c *load.Config) { c.Clients = 0 },
		"duration": func(c *load.Config) { c.Duration = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := good
			breakIt(&c)
			if _, err := load.Run(t.Context(), c); !errors.Is(err, load.ErrConfig) {
				t.Errorf("err = %v, want ErrConfig", err)
			}
		})
	}
}

func TestRunStopsEarly(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(http.ResponseWriter, *http.Request) {})
	for name, warmup := range map[string]time.Duration{"in the warm-up": time.Hour, "while it counts": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := load.Run(ctx, load.Config{
				Addr: addr, Request: []byte(request), Clients: 2, Warmup: warmup, Duration: time.Hour,
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v, want context.DeadlineExceeded", err)
			}
		})
	}
}

func TestZeroResult(t *testing.T) {
	t.Parallel()
	var r load.Result
	if r.PerSecond() != 0 || r.Quantile(0.99) != 0 {
		t.Errorf("an empty result reports rate %v and p99 %v", r.PerSecond(), r.Quantile(0.99))
	}
}
