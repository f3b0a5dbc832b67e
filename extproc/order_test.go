package extproc_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wye/extproc"
)

func responseHeaders() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{}}}
}

func responseBody() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{}}}
}

func responseTrailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{}}}
}

func bodyMode(mode extprocfilterv3.ProcessingMode_BodySendMode) *extprocv3.ProcessingRequest {
	m := chat(len(question))
	m.ProtocolConfig = &extprocv3.ProtocolConfiguration{RequestBodyMode: mode}
	return m
}

// Messages that make no sense end the stream with a status that says so.
func TestIllegalOrder(t *testing.T) {
	t.Parallel()
	var reports atomic.Int64
	_, conn := start(t, extproc.Config{MaxInflightBytes: 4 << 20, Observer: extproc.Observer{Protocol: func(error) { reports.Add(1) }}})
	var want int64
	for name, tc := range map[string]struct {
		messages []*extprocv3.ProcessingRequest
		code     codes.Code
		message  string
	}{
		"body first":        {[]*extprocv3.ProcessingRequest{body(question, true)}, codes.InvalidArgument, "request_body before"},
		"trailers first":    {[]*extprocv3.ProcessingRequest{trailers()}, codes.InvalidArgument, "request_trailers before"},
		"headers twice":     {[]*extprocv3.ProcessingRequest{chat(1), chat(1)}, codes.InvalidArgument, "second request_headers"},
		"response headers":  {[]*extprocv3.ProcessingRequest{responseHeaders()}, codes.InvalidArgument, "response_header_mode"},
		"response body":     {[]*extprocv3.ProcessingRequest{chat(1), responseBody()}, codes.InvalidArgument, "response"},
		"response trailers": {[]*extprocv3.ProcessingRequest{chat(1), responseTrailers()}, codes.InvalidArgument, "response"},
		"buffered mode": {
			[]*extprocv3.ProcessingRequest{bodyMode(extprocfilterv3.ProcessingMode_BUFFERED)}, codes.FailedPrecondition, "FULL_DUPLEX_STREAMED",
		},
		"no body mode": {
			[]*extprocv3.ProcessingRequest{bodyMode(extprocfilterv3.ProcessingMode_NONE)}, codes.FailedPrecondition, "FULL_DUPLEX_STREAMED",
		},
		"message too large": {
			[]*extprocv3.ProcessingRequest{chat(1), body(strings.Repeat("x", 5<<20), true)}, codes.ResourceExhausted, "",
		},
	} {
		got, err := exchange(t, conn, false, tc.messages...)
		if len(got) != 0 || status.Code(err) != tc.code || !strings.Contains(err.Error(), tc.message) {
			t.Errorf("%s: got %v, %v; want %v with %q", name, got, err, tc.code, tc.message)
		}
		want++
		if n := reports.Load(); n != want {
			t.Errorf("%s: %d reports, want %d", name, n, want)
		}
	}
}

// Bytes that are no message end the stream.
func TestMalformedMessage(t *testing.T) {
	t.Parallel()
	reports := make(chan error, 1)
	_, conn := start(t, extproc.Config{Observer: extproc.Observer{Protocol: func(err error) { reports <- err }}})
	stream, err := conn.NewStream(t.Context(), &extprocv3.ExternalProcessor_ServiceDesc.Streams[0],
		extprocv3.ExternalProcessor_Process_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&[]byte{0x12, 0x02, 0x0a, 0x09}); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(int)); status.Code(err) != codes.Internal || !strings.Contains(err.Error(), "malformed message") {
		t.Errorf("stream ended with %v", err)
	}
	if err := <-reports; !strings.Contains(err.Error(), "malformed message") {
		t.Errorf("reported %v", err)
	}
}

// Messages that Envoy may send and that mean nothing to Wye.
func TestIgnored(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	window := &extprocv3.ProcessingRequest{ClientWindowUpdate: &extprocv3.ProcessingRequest_ClientWindowUpdate{WindowIncrementSidestreamToUpstream: 1}}
	got, err := exchange(t, conn, false,
		bodyMode(extprocfilterv3.ProcessingMode_FULL_DUPLEX_STREAMED), window, body(question, true))
	if r := readRouted(t, got, err); !r.End {
		t.Errorf("got %+v", r)
	}
	observed := chat(len(question))
	observed.ObservabilityMode = true
	if got, err := exchange(t, conn, false, observed); len(got) != 0 || err != nil {
		t.Errorf("observability mode: got %v, %v", got, err)
	}
	for name, messages := range map[string][]*extprocv3.ProcessingRequest{
		"nothing": nil, "headers only": {chat(9)}, "half a body": {chat(len(question)), body(question[:5], false)},
	} {
		if got, err := exchange(t, conn, true, messages...); len(got) != 0 || err != nil {
			t.Errorf("client leaves after %s: got %v, %v", name, got, err)
		}
	}
}

// A panic is answered, logged with its stack and counted, and harms nobody
// else.
func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var panics atomic.Int64
	_, conn := start(t, extproc.Config{
		Logger:           zerolog.New(&log),
		MaxInflightBytes: 4 * len(question),
		Observer:         extproc.Observer{Panic: func() { panics.Add(1) }},
	})
	broken := strings.Replace(question, "auto", "broken", 1)
	for range 9 { // More than the budget holds, if a panic kept its share.
		got, err := exchange(t, conn, false, chat(len(broken)), body(broken, true))
		if r := readRefusal(t, got, err); r.Status != 500 || r.Headers["x-wye-decision"] != "id-1" || !strings.Contains(r.Body, `"code":"internal_error"`) {
			t.Errorf("got %+v", r)
		}
	}
	if n := panics.Load(); n != 9 {
		t.Errorf("%d panics counted, want 9", n)
	}
	if s := log.String(); !strings.Contains(s, "scorer bug") || !strings.Contains(s, "panicScorer") || strings.Contains(s, "messages") {
		t.Errorf("log: %s", s)
	}
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	readRouted(t, got, err)
}

// FuzzMessageOrder drives a real stream with any sequence of messages: it ends,
// without a panic, and what is answered is complete and in order.
func FuzzMessageOrder(f *testing.F) {
	compressed := zip(f, question)
	kinds := []func() *extprocv3.ProcessingRequest{
		func() *extprocv3.ProcessingRequest { return chat(len(question)) },
		func() *extprocv3.ProcessingRequest { return body(question, true) },
		func() *extprocv3.ProcessingRequest { return body(question, false) },
		func() *extprocv3.ProcessingRequest { return body(question[:7], false) },
		func() *extprocv3.ProcessingRequest { return body(question[7:], true) },
		func() *extprocv3.ProcessingRequest { return body("", false) },
		func() *extprocv3.ProcessingRequest { return body("", true) },
		trailers,
		responseHeaders,
		responseBody,
		responseTrailers,
		func() *extprocv3.ProcessingRequest { return &extprocv3.ProcessingRequest{} },
		func() *extprocv3.ProcessingRequest { return headers(true, ":path", "/v1/chat/completions") },
		func() *extprocv3.ProcessingRequest { return chat(1, "content-encoding", "gzip") },
		func() *extprocv3.ProcessingRequest { return body(compressed, true) },
		func() *extprocv3.ProcessingRequest {
			return bodyMode(extprocfilterv3.ProcessingMode_FULL_DUPLEX_STREAMED)
		},
	}
	for _, seed := range []string{"\x00\x01", "\x00\x03\x04", "\x00\x02\x07", "\x01", "\x07", "\x00\x00", "\x0c", "\x0d\x0e", "\x00\x06", ""} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	var panics atomic.Int64
	_, conn := start(f, extproc.Config{Observer: extproc.Observer{Panic: func() { panics.Add(1) }}})
	f.Fuzz(func(t *testing.T, order []byte, fallback bool) {
		if len(order) > 32 {
			order = order[:32]
		}
		var messages []*extprocv3.ProcessingRequest
		for _, k := range order {
			messages = append(messages, kinds[int(k)%len(kinds)]())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if fallback {
			ctx = asFallback(ctx, "wye-send-as", "small-v1")
		}
		got, err := exchangeCtx(ctx, t, conn, true, messages...)
		switch {
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			t.Fatal("the stream hangs")
		case panics.Load() != 0:
			t.Fatal("panic")
		case err != nil && status.Code(err) != codes.InvalidArgument:
			t.Fatalf("stream ended with %v", err)
		case err != nil && len(got) != 0:
			t.Fatalf("answered %v and ended with %v", got, err)
		case len(got) == 1:
			readRefusal(t, got, nil)
		case len(got) > 1:
			if r := readRouted(t, got, nil); !r.End || !strings.Contains(r.Body, "-v1") {
				t.Fatalf("got %+v", r)
			}
		}
	})
}
