package extproc_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"wye/extproc"
	"wye/router"
)

func TestHealthAndDrain(t *testing.T) {
	t.Parallel()
	s, conn := start(t, extproc.Config{})
	check := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "envoy.service.ext_proc.v3.ExternalProcessor"} {
			r, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || r.GetStatus() != want {
				t.Errorf("health of %q is %v, %v; want %v", service, r.GetStatus(), err, want)
			}
		}
	}
	check(healthv1.HealthCheckResponse_SERVING)

	// A request that has begun when the drain does is answered.
	stream, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(chat(len(question))); err != nil {
		t.Fatal(err)
	}
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context(), 200*time.Millisecond) }()
	for {
		r, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if r.GetStatus() == healthv1.HealthCheckResponse_NOT_SERVING {
			break
		}
	}
	check(healthv1.HealthCheckResponse_NOT_SERVING)
	// So is one that Envoy sends before it has noticed.
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	readRouted(t, got, err)
	select {
	case err := <-drained:
		t.Fatalf("drained with a request open: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := stream.Send(body(question, true)); err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err != nil || m.GetRequestHeaders() == nil {
		t.Errorf("got %v, %v", m, err)
	}
	for err = nil; err == nil; {
		_, err = stream.Recv()
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A drain that takes too long is cut off, before or after the notice.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	for _, notice := range []time.Duration{0, time.Hour} {
		s, conn := start(t, extproc.Config{})
		stream, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(chat(len(question))); err != nil {
			t.Fatal(err)
		}
		// The stream is open at the server when a later one was answered.
		if _, err := exchange(t, conn, false, chat(len(question)), body(question, true)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := s.Drain(ctx, notice); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("notice %v: got %v", notice, err)
		}
		cancel()
		if _, err := stream.Recv(); err == nil {
			t.Errorf("notice %v: the open stream was answered", notice)
		}
	}
}

func TestServeError(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := extproc.New(extproc.Config{Router: new(router.Router)})
	defer s.Close()
	if err := s.Serve(l); err == nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("serving a closed listener: %v", err)
	}
}

func TestNewWithoutRouter(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	extproc.New(extproc.Config{})
}
