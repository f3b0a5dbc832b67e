package wire_test

import (
	"bytes"
	"strings"
	"testing"

	"wye/wire"
)

// TestWhiteSpaceAtTheEnd: what nobody sees changes neither the text that the
// predictor reads, however long it is, nor the tokens that decisions count.
func TestWhiteSpaceAtTheEnd(t *testing.T) {
	t.Parallel()
	scan := func(text string) *wire.Facts {
		var f wire.Facts
		if p := wire.Scan([]byte(`{"model":"auto","messages":[{"role":"user","content":"`+text+`"}]}`), &f); p != nil {
			t.Fatal(p)
		}
		return &f
	}
	for _, text := range []string{"why", `say \"so\"`, strings.Repeat("long ", 2000) + "end", `a\\`, `\u00e9`} {
		plain := scan(text)
		for _, end := range []string{" ", `\n`, ` \n\n\t \n`, `\r\n`} {
			f := scan(text + end)
			if !bytes.Equal(f.UserText, plain.UserText) || f.PromptTokens != plain.PromptTokens || f.PrefixHash != plain.PrefixHash {
				t.Errorf("%.20q and %q: %d tokens, %.20q; want %d, %.20q", text, end, f.PromptTokens, f.UserText, plain.PromptTokens, plain.UserText)
			}
			if f.PromptTokensMax < plain.PromptTokensMax || f.TextBytes <= plain.TextBytes || f.TurnBytes != f.TextBytes {
				t.Errorf("%.20q and %q: %+v", text, end, f)
			}
		}
	}
	// A backslash and a letter are no line break, and a page of blanks is no oversight.
	if a, b := scan(`dir\\n`), scan(`dir\\`); string(a.UserText) != `dir\n` || string(b.UserText) != `dir\` {
		t.Errorf("%q, %q", a.UserText, b.UserText)
	}
	if a, b := scan("x"+strings.Repeat(`\n`, 5000)), scan("x"); a.PromptTokens < 2*b.PromptTokens {
		t.Errorf("%d tokens with 5,000 line breaks, %d without", a.PromptTokens, b.PromptTokens)
	}
}

// TestTurnBytes: the last user turn's share of the text.
func TestTurnBytes(t *testing.T) {
	t.Parallel()
	var f wire.Facts
	const body = `{"model":"auto","messages":[{"role":"system","content":"12345"},{"role":"user","content":"first"},
		{"role":"assistant","content":"reply"},{"role":"user","content":[{"type":"text","text":"ab"},{"type":"text","text":"cd"}]},
		{"role":"tool","tool_call_id":"x","content":"result"}]}`
	if p := wire.Scan([]byte(body), &f); p != nil {
		t.Fatal(p)
	}
	if f.TurnBytes != 4 {
		t.Errorf("the last user turn has %d bytes of %d, want 4", f.TurnBytes, f.TextBytes)
	}
}
