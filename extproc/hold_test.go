package extproc_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"wye/envoy"
	"wye/extproc"
	"wye/router"
)

// outcome is what came of a stream in the background.
type outcome struct {
	got []*extprocv3.ProcessingResponse
	err error
}

// Requests wait for the release and are decided by what is in force then.
// Fallbacks, which need no policy, do not wait.
func TestHold(t *testing.T) {
	t.Parallel()
	r := new(router.Router)
	r.Swap(testSnapshot(t, "old"))
	s, conn := start(t, extproc.Config{Router: r, Hold: true})
	results := make(chan outcome, 8)
	for range cap(results) {
		go func() {
			got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
			results <- outcome{got, err}
		}()
	}
	select {
	case o := <-results:
		t.Fatalf("answered before the release: %v, %v", o.got, o.err)
	case <-time.After(200 * time.Millisecond):
	}
	fallback := metadata.AppendToOutgoingContext(t.Context(), envoy.MetadataSendAs, "small-v1")
	got, err := exchangeCtx(fallback, t, conn, false, chat(len(question)), body(question, true))
	if f := readRouted(t, got, err); !strings.Contains(f.Body, "small-v1") {
		t.Errorf("fallback got %+v", f)
	}
	r.Swap(testSnapshot(t, "new"))
	s.Release()
	for range cap(results) {
		o := <-results
		f := readRouted(t, o.got, o.err)
		if m, ok := f.Metadata[envoy.NamespaceDecision].(map[string]any); !ok || m[envoy.KeyPolicy] != "new" {
			t.Errorf("decided by %v", f.Metadata)
		}
	}
	s.Release() // a second one changes nothing
	got, err = exchange(t, conn, false, chat(len(question)), body(question, true))
	readRouted(t, got, err)
}

// A client that leaves, or whose patience is shorter than the hold, is let go.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{Hold: true})
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*extprocv3.ProcessingRequest{chat(len(question)), body(question, true)} {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	cancel()
	if m, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("got %v, %v", m, err)
	}

	_, conn = start(t, extproc.Config{Hold: true, IdleTimeout: 200 * time.Millisecond})
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	if code := status.Code(err); code != codes.DeadlineExceeded {
		t.Errorf("stream ended with %v", err)
	}
	if r := readRefusal(t, got, nil); r.Status != 408 {
		t.Errorf("got %+v", r)
	}
}

// A server that stops finishes what it holds.
func TestHoldDrains(t *testing.T) {
	t.Parallel()
	s, conn := start(t, extproc.Config{Hold: true})
	result := make(chan outcome, 1)
	go func() {
		got, err := exchange(t, conn, false, chat(len(question), "x-request-id", strconv.Itoa(1)), body(question, true))
		result <- outcome{got, err}
	}()
	time.Sleep(100 * time.Millisecond)
	if err := s.Drain(t.Context(), 0); err != nil {
		t.Error(err)
	}
	o := <-result
	readRouted(t, o.got, o.err)
}
