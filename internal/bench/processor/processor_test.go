package processor_test

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"wye/internal/bench/processor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a processor and returns one stream to it.
func open(t *testing.T, kind processor.Kind) extprocv3.ExternalProcessor_ProcessClient {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- processor.Serve(ctx, lis, kind) }()
	conn, err := grpc.NewClient("passthrough:"+lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	deadline, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	stream, err := extprocv3.NewExternalProcessorClient(conn).Process(deadline)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func send(t *testing.T, stream extprocv3.ExternalProcessor_ProcessClient, messages ...*extprocv3.ProcessingRequest) {
	t.Helper()
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, stream extprocv3.ExternalProcessor_ProcessClient) *extprocv3.ProcessingResponse {
	t.Helper()
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func headers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{}}}
}

func body(text string, end bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{
		RequestBody: &extprocv3.HttpBody{Body: []byte(text), EndOfStream: end},
	}}
}

func TestNoopAnswersInKind(t *testing.T) {
	t.Parallel()
	stream := open(t, processor.Noop)
	send(t, stream, headers())
	if got := receive(t, stream); got.GetRequestHeaders() == nil || got.GetRequestHeaders().GetResponse() != nil {
		t.Errorf("reply to headers = %v, want an empty one", got)
	}
	send(t, stream, body("{}", true))
	if got := receive(t, stream); got.GetRequestBody() == nil || got.GetRequestBody().GetResponse() != nil {
		t.Errorf("reply to a body = %v, want an empty one", got)
	}
	send(t, stream, &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{}})
	if got := receive(t, stream); got.GetResponseHeaders() == nil {
		t.Errorf("reply to response headers = %v, want an empty one", got)
	}
	send(t, stream, &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{}})
	if got, err := stream.Recv(); err == nil {
		t.Errorf("reply to trailers = %v, want an error: no variant sends them", got)
	}
}

func TestRewriteAnswersOnce(t *testing.T) {
	t.Parallel()
	stream := open(t, processor.Rewrite)
	padding := strings.Repeat("x", 150<<10)
	send(t, stream, headers(), body(`{"model":"old",`, false), body(`"pad":"`+padding+`"}`, true))
	first := receive(t, stream).GetRequestHeaders().GetResponse()
	if !first.GetClearRouteCache() {
		t.Error("the reply leaves the route cache alone, want it cleared")
	}
	set := map[string]string{}
	for _, h := range first.GetHeaderMutation().GetSetHeaders() {
		set[h.GetHeader().GetKey()] = string(h.GetHeader().GetRawValue())
	}
	got, chunks, end := "", 0, false
	for !end {
		piece := receive(t, stream).GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse()
		if len(piece.GetBody()) > 64<<10 {
			t.Fatalf("chunk of %d bytes, Envoy takes 64 KiB", len(piece.GetBody()))
		}
		got, end = got+string(piece.GetBody()), piece.GetEndOfStream()
		chunks++
	}
	if want := `{"model":"` + processor.RewrittenModel + `","pad":"` + padding + `"}`; got != want {
		t.Errorf("body of %d bytes, want %d; it begins %.60s", len(got), len(want), got)
	}
	if chunks < 3 {
		t.Errorf("%d chunks for 150 KiB", chunks)
	}
	if set["content-length"] != strconv.Itoa(len(got)) || set[processor.ClusterHeader] != processor.Cluster {
		t.Errorf("headers set = %v", set)
	}
}

func TestServeUnknownKind(t *testing.T) {
	t.Parallel()
	if err := processor.Serve(t.Context(), nil, "other"); err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("err = %v, want one that names the kind", err)
	}
}

func TestServeBrokenListener(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	if err := processor.Serve(t.Context(), lis, processor.Noop); err == nil {
		t.Error("a closed listener served without an error")
	}
}
