package extproc_test

import (
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"wye/extproc"
)

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
		{"exactly as announced", 300 << 10, 300 << 10, 300 << 10, false},
		{"the rest of the announced length has room, too", 400 << 10, 512 << 10, 300 << 10, true},
		{"unannounced, doubled", 512 << 10, 0, 300 << 10, false},
		{"unannounced, no room to double", 512<<10 - 1, 0, 300 << 10, true},
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
