package wire_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"wye/wire"
)

func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"model":"a","messages":[{"role":"user","content":"hi"}]}`, `{`, `[1,]`, `{"a":1,}`, `{"a":[1,2,{"b":[]}],"model":"x"}`, `{"m":"\u00e9\ud83d\ude00\n"}`, "{\"m\":\"\x00\"}", `{"a":-0.1e+5}`, `01`, `[[[]]]`, `null x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var facts wire.Facts
		p := wire.Scan(body, &facts)
		valid := json.Valid(body)
		switch {
		case p == nil && !valid:
			t.Fatal("accepted what encoding/json rejects")
		case p != nil && p.Code == wire.CodeInvalidJSON && valid && utf8.Valid(body):
			t.Fatalf("rejected what encoding/json accepts: %v", p)
		}
	})
}
