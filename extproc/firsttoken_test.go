package extproc_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wye/envoy"
	"wye/extproc"
	"wye/wire"
)

// response is a response_headers message.
func response(end bool, pairs ...string) *extprocv3.ProcessingRequest {
	h := headers(end, pairs...).GetRequestHeaders()
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: h}}
}

func watchedBody(chunk string, end bool) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{
		ResponseBody: &extprocv3.HttpBody{Body: []byte(chunk), EndOfStream: end},
	}}
}

func watchedTrailers() *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{
		ResponseTrailers: &extprocv3.HttpTrailers{Trailers: &corev3.HeaderMap{}},
	}}
}

// statusOf is the status that the only answer gives a response, empty for its own.
func statusOf(t *testing.T, got []*extprocv3.ProcessingResponse) string {
	t.Helper()
	if len(got) != 1 || got[0].GetResponseHeaders() == nil {
		t.Fatalf("got %v, want one answer to the response's headers", got)
	}
	set := got[0].GetResponseHeaders().GetResponse().GetHeaderMutation().GetSetHeaders()
	if len(set) == 0 {
		return ""
	}
	if len(set) > 1 || set[0].GetHeader().GetKey() != ":status" {
		t.Fatalf("headers set: %v", set)
	}
	return string(set[0].GetHeader().GetRawValue())
}

// A response that begins well, or that cannot be read, keeps its status; one
// that fails before its first token gets one that Envoy retries.
func TestFirstToken(t *testing.T) {
	t.Parallel()
	events := []string{":status", "200", "content-type", "text/event-stream"}
	plain := []string{":status", "200", "content-type", "application/json"}
	faults := make(chan extproc.OpeningFault, 8)
	_, conn := start(t, extproc.Config{Observer: extproc.Observer{Opening: func(f extproc.OpeningFault) { faults <- f }}})
	for name, tc := range map[string]struct {
		messages []*extprocv3.ProcessingRequest
		status   string
		fault    extproc.OpeningFault
	}{
		"content": {[]*extprocv3.ProcessingRequest{
			response(false, events...), watchedBody("data: {\"choices\":[]}\n\n", false), watchedBody("data: [DONE]\n\n", false),
		}, "", 0},
		"an error after a role": {[]*extprocv3.ProcessingRequest{
			response(false, events...), watchedBody(`data: {"choices":[{"delta":{"role":"assistant"}}]}`+"\n\nda", false),
			watchedBody(`ta: {"error":{"code":429}}`+"\n\n", false),
		}, "429", extproc.OpeningError},
		"an error in JSON": {[]*extprocv3.ProcessingRequest{
			response(false, plain...), watchedBody(`{"error":{"message":"x"}}`, true),
		}, "503", extproc.OpeningError},
		"an end by trailers": {[]*extprocv3.ProcessingRequest{
			response(false, events...), watchedBody(": x\n\n", false), watchedTrailers(),
		}, "502", extproc.OpeningEnd},
		"no body": {[]*extprocv3.ProcessingRequest{response(true, plain...)}, "502", extproc.OpeningEnd},
		"another status": {[]*extprocv3.ProcessingRequest{
			response(false, ":status", "500", "content-type", "application/json"), watchedBody(`{"error":{}}`, true),
		}, "", 0},
		"compressed": {[]*extprocv3.ProcessingRequest{response(false, append([]string{"content-encoding", "gzip"}, events...)...)}, "", 0},
		"not compressed": {[]*extprocv3.ProcessingRequest{
			response(false, append([]string{"content-encoding", "identity"}, events...)...), watchedBody("event: error\ndata: x\n\n", false),
		}, "503", extproc.OpeningError},
		"audio": {[]*extprocv3.ProcessingRequest{response(false, ":status", "200", "content-type", "audio/mpeg")}, "", 0},
	} {
		got, err := exchangeCtx(asFallback(t.Context(), envoy.MetadataFirstToken, "20000"), t, conn, false, tc.messages...)
		if err != nil {
			t.Errorf("%s: the stream ended with %v", name, err)
		}
		if s := statusOf(t, got); s != tc.status {
			t.Errorf("%s: status %q, want %q", name, s, tc.status)
		}
		if tc.status != "" {
			if f := <-faults; f != tc.fault {
				t.Errorf("%s: observed %v, want %v", name, f, tc.fault)
			}
		}
	}
	if len(faults) > 0 {
		t.Errorf("observed %v for a response that passed", <-faults)
	}
}

// Silence is not waited out. What is no stream has no first token: it passes
// once it has begun.
func TestFirstTokenInTime(t *testing.T) {
	t.Parallel()
	faults := make(chan extproc.OpeningFault, 8)
	_, conn := start(t, extproc.Config{
		IdleTimeout: 250 * time.Millisecond, // is for requests
		Observer:    extproc.Observer{Opening: func(f extproc.OpeningFault) { faults <- f }},
	})
	for name, tc := range map[string]struct{ contentType, chunk, status string }{
		"no event":        {"text/event-stream", "", "504"},
		"signs of life":   {"text/event-stream", ": alive\n\n", "504"},
		"no JSON":         {"application/json", "\n\n", "504"},
		"a part of JSON":  {"application/json", `{"id":`, ""},
		"half an event's": {"text/event-stream", `data: {"error":`, "504"},
	} {
		messages := []*extprocv3.ProcessingRequest{response(false, ":status", "200", "content-type", tc.contentType)}
		if tc.chunk != "" {
			messages = append(messages, watchedBody(tc.chunk, false))
		}
		got, err := exchangeCtx(asFallback(t.Context(), envoy.MetadataFirstToken, "500"), t, conn, false, messages...)
		if s := statusOf(t, got); s != tc.status || status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("%s: status %q, the stream ended with %v", name, s, err)
		}
		if tc.status != "" {
			if f := <-faults; f != extproc.OpeningSilent {
				t.Errorf("%s: observed %v", name, f)
			}
		}
	}
	if len(faults) > 0 {
		t.Errorf("observed %v for a response that passed", <-faults)
	}
}

// What Wye cannot watch it does not judge: streams end without a word on the
// response, and Envoy lets it pass.
func TestFirstTokenGivesUp(t *testing.T) {
	t.Parallel()
	events := []string{":status", "200", "content-type", "text/event-stream"}
	var panics atomic.Int64
	_, conn := start(t, extproc.Config{Observer: extproc.Observer{
		Opening: func(extproc.OpeningFault) { panic("an observer's bug") },
		Panic:   func() { panics.Add(1) },
	}})
	watched := asFallback(t.Context(), envoy.MetadataFirstToken, "20000")
	for name, tc := range map[string]struct {
		ctx      context.Context
		messages []*extprocv3.ProcessingRequest
		code     codes.Code
	}{
		"nobody asked":    {t.Context(), []*extprocv3.ProcessingRequest{response(false, events...)}, codes.InvalidArgument},
		"no time":         {asFallback(t.Context(), envoy.MetadataFirstToken, "0"), []*extprocv3.ProcessingRequest{response(false, events...)}, codes.InvalidArgument},
		"no number":       {asFallback(t.Context(), envoy.MetadataFirstToken, "1s"), []*extprocv3.ProcessingRequest{response(false, events...)}, codes.InvalidArgument},
		"body first":      {watched, []*extprocv3.ProcessingRequest{watchedBody("x", false)}, codes.InvalidArgument},
		"headers twice":   {watched, []*extprocv3.ProcessingRequest{response(false, events...), response(false, events...)}, codes.InvalidArgument},
		"a request, too":  {watched, []*extprocv3.ProcessingRequest{chat(9), response(false, events...)}, codes.InvalidArgument},
		"a bug of Wye's":  {watched, []*extprocv3.ProcessingRequest{response(false, events...), watchedBody("event: error\ndata: x\n\n", false)}, codes.Internal},
		"the client left": {watched, []*extprocv3.ProcessingRequest{response(false, events...), watchedBody(": x\n\n", false)}, codes.OK},
	} {
		got, err := exchangeCtx(tc.ctx, t, conn, true, tc.messages...)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if len(got) > 0 || status.Code(err) != tc.code {
			t.Errorf("%s: got %v, the stream ended with %v", name, got, err)
		}
	}
	if n := panics.Load(); n != 1 {
		t.Errorf("%d panics, want 1", n)
	}
}

// Responses that are watched take their part of the memory for bodies, give it
// back, and pass unwatched when there is none.
func TestFirstTokenBudget(t *testing.T) {
	t.Parallel()
	for budget, want := range map[int]string{wire.MaxOpening - 1: "", wire.MaxOpening: "503"} {
		_, conn := start(t, extproc.Config{MaxInflightBytes: budget})
		for range 3 {
			got, err := exchangeCtx(asFallback(t.Context(), envoy.MetadataFirstToken, "20000"), t, conn, false,
				response(false, ":status", "200", "content-type", "text/event-stream"), watchedBody("event: error\ndata: x\n\n", false))
			if err != nil {
				t.Fatal(err)
			}
			if s := statusOf(t, got); s != want {
				t.Errorf("with %d bytes: status %q, want %q", budget, s, want)
			}
		}
	}
}
