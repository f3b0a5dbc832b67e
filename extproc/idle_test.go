package extproc_test

import (
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wye/extproc"
	"wye/wire"
)

// A stream without progress is answered and ended; one with slow progress is
// not.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	problems := make(chan *wire.Problem, 8)
	panics := make(chan struct{}, 8)
	_, conn := start(t, extproc.Config{
		IdleTimeout: 300 * time.Millisecond,
		Observer: extproc.Observer{
			Problem: func(e *extproc.Event, p *wire.Problem) {
				if e.Request == nil || e.Decision == nil {
					t.Errorf("event %+v", e)
				}
				problems <- p
				panic("an observer's bug")
			},
			Panic: func() { panics <- struct{}{} },
		},
	})
	for name, messages := range map[string][]*extprocv3.ProcessingRequest{
		"no message": nil, "no body": {chat(9)}, "half a body": {chat(9), body("x", false)},
	} {
		got, err := exchange(t, conn, false, messages...)
		if code := status.Code(err); code != codes.DeadlineExceeded {
			t.Errorf("%s: stream ended with %v", name, err)
		}
		if r := readRefusal(t, got, nil); r.Status != 408 || !strings.Contains(r.Body, `"code":"request_timeout"`) {
			t.Errorf("%s: got %+v", name, r)
		}
		if p := <-problems; p.Status != 408 {
			t.Errorf("%s: observed %+v", name, p)
		}
		<-panics
	}
	stream, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	messages := []*extprocv3.ProcessingRequest{chat(len(question))}
	for i := 0; i < len(question); i += 12 {
		end := min(i+12, len(question))
		messages = append(messages, body(question[i:end], end == len(question)))
	}
	for _, m := range messages {
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if m, err := stream.Recv(); err != nil || m.GetRequestHeaders() == nil {
		t.Errorf("slow client got %v, %v", m, err)
	}
}

// While the server is busy with a message, the wait may end: the client is
// told so once, and nothing else.
func TestIdleTimeoutWhileBusy(t *testing.T) {
	t.Parallel()
	const idle = 50 * time.Millisecond
	_, conn := start(t, extproc.Config{
		IdleTimeout: idle,
		AppendID: func(dst []byte) []byte {
			time.Sleep(12 * idle) // for a timer that a busy machine is late with
			return append(dst, '1')
		},
	})
	for name, messages := range map[string][]*extprocv3.ProcessingRequest{
		"then more comes":  {chat(len(question)), body(question, true)},
		"then it is wrong": {headers(false, ":path", "/wrong")},
		"then it is whole": {headers(true)},
	} {
		got, err := exchange(t, conn, false, messages...)
		if code := status.Code(err); code != codes.DeadlineExceeded {
			t.Errorf("%s: stream ended with %v", name, err)
		}
		if r := readRefusal(t, got, nil); r.Status != 408 {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

// A reply that Envoy does not read ends, too; one that it reads slowly arrives.
func TestUnreadReply(t *testing.T) {
	t.Parallel()
	frame := `{"model":"auto","messages":[{"role":"user","content":""}]}`
	text := strings.Replace(frame, `""`, `"`+strings.Repeat("x", maxBody-len(frame))+`"`, 1)
	messages := []*extprocv3.ProcessingRequest{chat(len(text))}
	for at := 0; at < len(text); at += 60_000 {
		messages = append(messages, body(text[at:min(at+60_000, len(text))], at+60_000 >= len(text)))
	}
	decided := make(chan struct{}, 8)
	_, conn := start(t, extproc.Config{
		IdleTimeout:      time.Second,
		MaxInflightBytes: share(maxBody + 1000),
		Observer:         extproc.Observer{Decision: func(*extproc.Event) { decided <- struct{}{} }},
	})
	open := func() grpc.BidiStreamingClient[extprocv3.ProcessingRequest, extprocv3.ProcessingResponse] {
		stream, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if err := stream.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		<-decided
		return stream
	}
	unread := open()
	// Not so small that there is always room for it.
	second := strings.Replace(frame, `""`, `"`+strings.Repeat("y", 100_000)+`"`, 1)
	small := []*extprocv3.ProcessingRequest{chat(len(second)), body(second[:50_000], false), body(second[50_000:], true)}
	deadline := time.Now().Add(20 * time.Second)
	for {
		got, err := exchange(t, conn, false, small...)
		if err != nil {
			t.Fatal(err)
		}
		if got[0].GetImmediateResponse() == nil {
			<-decided
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the unread reply keeps its share of the budget")
		}
	}
	for {
		if _, err := unread.Recv(); err != nil {
			if code := status.Code(err); code != codes.Canceled && code != codes.DeadlineExceeded {
				t.Errorf("unread stream ended with %v", err)
			}
			break
		}
	}

	slow := open()
	for n := 0; n < len(text); {
		m, err := slow.Recv()
		if err != nil {
			t.Fatalf("after %d bytes: %v", n, err)
		}
		n += len(m.GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse().GetBody())
		time.Sleep(100 * time.Millisecond) // in all longer than the timeout
	}
}
