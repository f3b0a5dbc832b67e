package wire_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"wye/wire"
)

// prose is English of about n bytes, with a line break here and there.
func prose(n int) string {
	const text = "Explain how a suspension bridge carries its load, and where the forces go.\n" +
		"Use \"plain\" words; give one number for each claim. Then compare it with an arch bridge of 120 metres.\n"
	return strings.Repeat(text, n/len(text)+1)[:n]
}

// chat is a body of about n bytes: a system message, some turns, two tools.
func chat(n int) []byte {
	quote := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	part := n / 4
	return fmt.Appendf(nil, `{"model":"auto","temperature":0.7,"max_tokens":512,"stream":true,"messages":[`+
		`{"role":"system","content":%s},{"role":"user","content":%s},{"role":"assistant","content":%s},{"role":"user","content":%s}],`+
		`"tools":[{"type":"function","function":{"name":"lookup","description":"Look a bridge up.","parameters":{"type":"object","properties":{"name":{"type":"string"}}}}}]}`,
		quote(prose(part/2)), quote(prose(part)), quote(prose(part)), quote(prose(part)))
}

// go test ./wire -bench . -benchmem
func BenchmarkScan(b *testing.B) {
	for _, n := range []int{2 << 10, 32 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKB", n>>10), func(b *testing.B) {
			body := chat(n)
			var f wire.Facts
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if p := wire.Scan(body, &f); p != nil {
					b.Fatal(p)
				}
			}
		})
	}
}

func BenchmarkAppendRewrite(b *testing.B) {
	body := chat(32 << 10)
	edit := wire.Edit{Model: "gpt-5-mini", Drop: []string{"temperature", "top_p"}, MaxTokensField: "max_completion_tokens"}
	for _, bm := range []struct {
		name string
		run  func(dst []byte, f *wire.Facts) []byte
	}{
		{"scanned", func(dst []byte, f *wire.Facts) []byte { return wire.AppendRewrite(dst, body, f, edit) }},
		{"body", func(dst []byte, f *wire.Facts) []byte {
			dst, p := wire.AppendRewriteBody(dst, body, f, edit)
			if p != nil {
				b.Fatal(p)
			}
			return dst
		}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			var f wire.Facts
			if p := wire.Scan(body, &f); p != nil {
				b.Fatal(p)
			}
			var dst []byte
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				dst = bm.run(dst[:0], &f)
			}
		})
	}
}

func TestNoAllocs(t *testing.T) {
	body := chat(8 << 10)
	edit := wire.Edit{Model: "gpt-5-mini", Drop: []string{"temperature"}, MaxTokensField: "max_completion_tokens"}
	escaped := []byte(`{"mo\u0064el":"\u0061uto","\u0078":1,"messages":[{"role":"user","content":[{"type":"text","text":"\ud83d\ude00` + strings.Repeat(`\u0041`, 5000) + `"}]}]}`)
	problem := &wire.Problem{Status: 400, Type: "t", Message: "é\n"}
	var f wire.Facts
	dst := make([]byte, 0, 64<<10)
	var failed *wire.Problem
	for name, run := range map[string]func(){
		"scan":           func() { failed = wire.Scan(body, &f) },
		"scan escaped":   func() { failed = wire.Scan(escaped, &f) },
		"scan fields":    func() { failed = wire.ScanFields(body, &f) },
		"rewrite":        func() { failed = wire.Scan(body, &f); dst = wire.AppendRewrite(dst[:0], body, &f, edit) },
		"rewrite body":   func() { dst, _ = wire.AppendRewriteBody(dst[:0], body, &f, edit) },
		"append dropped": func() { failed = wire.Scan(body, &f); dst = wire.AppendDropped(dst[:0], &f, edit) },
		"append error":   func() { dst = wire.AppendError(dst[:0], problem) },
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations a run", name, n)
		}
		if failed != nil {
			t.Errorf("%s: %v", name, failed)
		}
	}
}
