package extproc_test

import (
	"net/http"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"wye/extproc"
)

// share is the budget of which large bodies may have n bytes.
func share(n int) (budget int) {
	for budget = n; budget-budget/8 < n; budget++ {
	}
	return budget
}

// Large bodies leave room for small ones.
func TestSmallBodiesHaveRoom(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{MaxInflightBytes: 1 << 20})
	stream, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	held := strings.Repeat("x", 50_000)
	if err := stream.Send(chat(900_000)); err != nil {
		t.Fatal(err)
	}
	for range 10 { // and then nothing: 512 KiB are held
		if err := stream.Send(body(held, false)); err != nil {
			t.Fatal(err)
		}
	}
	large := strings.Replace(question, "hi", strings.Repeat("hello ", 80_000), 1)
	full := false
	for range 100 {
		var chunks []*extprocv3.ProcessingRequest
		chunks = append(chunks, chat(len(large)))
		for at := 0; at < len(large); at += 60_000 {
			end := min(at+60_000, len(large))
			chunks = append(chunks, body(large[at:end], end == len(large)))
		}
		got, err := exchange(t, conn, false, chunks...)
		if full = len(got) == 1 && readRefusal(t, got, err).Status == http.StatusServiceUnavailable; full {
			break
		}
	}
	if !full {
		t.Error("a second large body has room")
	}
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	readRouted(t, got, err)
}

// The budget counts what bodies hold, not what has arrived of them: memory
// doubles up to the announced length, which it meets exactly.
func TestBudgetCountsMemory(t *testing.T) {
	t.Parallel()
	frame := `{"model":"auto","messages":[{"role":"user","content":""}]}`
	for _, tt := range []struct {
		name                 string
		budget, length, sent int
		overload             bool
	}{
		{"exactly as announced", share(300 << 10), 300 << 10, 300 << 10, false},
		{"the rest of the announced length has room, too", share(400 << 10), 512 << 10, 300 << 10, true},
		{"unannounced, doubled", share(512 << 10), 0, 300 << 10, false},
		{"unannounced, no room to double", share(512<<10 - 1), 0, 300 << 10, true},
	} {
		text := strings.Replace(frame, `""`, `"`+strings.Repeat("x", tt.sent-len(frame))+`"`, 1)
		_, conn := start(t, extproc.Config{MaxInflightBytes: tt.budget})
		first := headers(false, ":method", "POST", ":path", "/v1/chat/completions", "content-type", "application/json")
		if tt.length > 0 {
			first = chat(tt.length)
		}
		messages := []*extprocv3.ProcessingRequest{first}
		for at := 0; at < len(text); at += 60_000 {
			end := min(at+60_000, len(text))
			messages = append(messages, body(text[at:end], end == len(text)))
		}
		got, err := exchange(t, conn, false, messages...)
		if overload := len(got) > 0 && got[0].GetImmediateResponse().GetStatus().GetCode() == 503; overload != tt.overload || err != nil {
			t.Errorf("%s: overloaded %t, %v", tt.name, overload, err)
		}
	}
}
