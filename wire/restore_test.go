package wire_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"unicode/utf8"

	"wye/wire"
)

func TestRestore(t *testing.T) {
	const body = `{"temperature":1,"model":"auto", "max_tokens" : 5,"reasoning_effort":"minimal","top_p":1}`
	first := wire.Edit{
		Model: "one", Drop: []string{"temperature"}, MaxTokensField: "max_completion_tokens", ReasoningEffort: [][2]string{{"minimal", "low"}},
	}
	for name, tc := range map[string]struct {
		body, removed, restored string
		edit                    wire.Edit
	}{
		"all of it": {
			body, `"temperature":1,"max_tokens" : 5,"reasoning_effort":"minimal"`,
			`{"temperature":1,"max_tokens" : 5,"reasoning_effort":"minimal","model":"one","top_p":1}`, first,
		},
		"nothing":            {body, "", "", wire.Edit{Model: "one"}},
		"nothing but a cap":  {`{"model":"a","max_tokens":1}`, `"max_tokens":1`, `{"max_tokens":1,"model":"one"}`, first},
		"the cap it takes":   {`{"model":"a","max_completion_tokens":1}`, "", "", first},
		"the cap of both":    {`{"model":"a","max_completion_tokens":1,"max_tokens":2}`, `"max_completion_tokens":1,"max_tokens":2`, `{"max_completion_tokens":1,"max_tokens":2,"model":"one"}`, first},
		"an effort it takes": {`{"model":"a","reasoning_effort":"high"}`, "", "", first},
		"too much": {
			`{"model":"a","temperature":"` + strings.Repeat("x", wire.MaxRemoved) + `","max_tokens":1}`, `"max_tokens":1`, `{"max_tokens":1,"model":"one"}`, first,
		},
	} {
		var f, members wire.Facts
		if p := wire.ScanFields([]byte(tc.body), &f); p != nil {
			t.Fatalf("%s: %v", name, p)
		}
		removed := wire.AppendRemoved(nil, []byte(tc.body), &f, tc.edit)
		sent := wire.AppendRewrite(nil, []byte(tc.body), &f, tc.edit)
		restored, ok := wire.AppendRestored([]byte("kept"), sent, removed, &f, &members)
		if string(removed) != tc.removed || string(restored) != "kept"+tc.restored || ok != (tc.restored != "") {
			t.Errorf("%s: removed %s, restored %s, %v", name, removed, restored, ok)
		}
	}
}

// What cannot be read is not restored.
func TestRestoreUnreadable(t *testing.T) {
	var f, members wire.Facts
	for _, c := range [][2]string{{`{"model":"a"}`, `"x"`}, {`{"model":"a"}`, `"x":1}`}, {`{"model":"a"}`, `"model":"b"`}, {`{"model":`, `"x":1`}, {`[]`, `"x":1`}} {
		if got, ok := wire.AppendRestored(nil, []byte(c[0]), []byte(c[1]), &f, &members); ok || len(got) > 0 {
			t.Errorf("%s with %s becomes %s", c[0], c[1], got)
		}
	}
}

// A fallback's body, made from the first model's and what that did not take, is
// the one that the client's own body would have become.
func FuzzRestore(f *testing.F) {
	for _, body := range []string{
		`{"model":"auto","messages":[],"temperature":0.5,"stop":["a","}"],"top_p":1}`,
		`{"temperature":1,"model":"auto","messages":[{"role":"user","content":"hi"}],"max_tokens":5}`,
		"{ \"top_p\" : null ,\"\\u0073top\":\"\\ud83d\\ude00\",\"model\":\"auto\",\"messages\":[] }\n",
		`{"model":"auto","messages":[],"reasoning_effort":"minimal","max_tokens":null,"max_completion_tokens":5}`,
		`{"model":"auto","reasoning_effort":"none","reasoning_effort":"high","routing_config":{}}`,
		`{"model":"a","temperature":1,"temperature":2}`,
		`{"model":"a"}`,
		`{"model":"a","max_tokens":null,"max_completion_tokens":0}`,
	} {
		f.Add([]byte(body), uint8(7), uint8(2))
		f.Add([]byte(body), uint8(0x41), uint8(0xa0))
		f.Add([]byte(body), uint8(8), uint8(0x20))
	}
	edit := func(model string, bits uint8) wire.Edit {
		e := wire.Edit{Model: model}
		for i, name := range []string{"temperature", "stop", "reasoning_effort", "max_tokens"} {
			if bits>>i&1 != 0 {
				e.Drop = append(e.Drop, name)
			}
		}
		e.MaxTokensField = []string{"", "max_tokens", "max_completion_tokens", ""}[bits>>4&3]
		if bits>>6 != 0 {
			e.ReasoningEffort = [][2]string{{"minimal", "low"}, {"none", "low"}}[:bits>>6&1+1]
		}
		return e
	}
	f.Fuzz(func(t *testing.T, body []byte, first, second uint8) {
		var facts, members wire.Facts
		if wire.ScanFields(body, &facts) != nil || !json.Valid(body) {
			return
		}
		one, two := edit("one", first), edit("two", second)
		removed := wire.AppendRemoved(nil, body, &facts, one)
		if len(removed) > wire.MaxRemoved || !utf8.Valid(removed) {
			t.Fatalf("%q is kept", removed)
		}
		sent := wire.AppendRewrite(nil, body, &facts, one)
		want, p := wire.AppendRewriteBody(nil, body, &facts, two)
		if p != nil {
			t.Fatal(p)
		}
		dropped := wire.AppendDropped(nil, &facts, two)
		restored, ok := wire.AppendRestored(nil, sent, removed, &facts, &members)
		if !ok {
			restored = sent
			if len(removed) > 0 {
				t.Fatalf("%q is not restored", removed)
			}
		}
		got, p := wire.AppendRewriteBody(nil, restored, &facts, two)
		if p != nil {
			t.Fatal(p)
		}
		if len(body) >= wire.MaxRemoved {
			return // not all of it may be kept
		}
		var a, b map[string]json.RawMessage
		if err := json.Unmarshal(want, &a); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &b); err != nil {
			t.Fatalf("%q becomes %q: %v", sent, got, err)
		}
		if !maps.EqualFunc(a, b, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Errorf("%s becomes %s, by way of %s %s", body, want, sent, got)
		}
		if n := len(wire.AppendDropped(nil, &facts, two)); n != len(dropped) {
			t.Errorf("dropped %d bytes of names, want %d", n, len(dropped))
		}
	})
}
