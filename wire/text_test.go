package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"wye/wire"
)

// clipped checks that got is the head and the tail of whole, each as long as
// allowed but for a character at the cut.
func clipped(t *testing.T, what, got, whole string, head, tail int) {
	t.Helper()
	if len(whole) <= head+tail-2*utf8.UTFMax {
		if got != whole {
			t.Errorf("%s: %d bytes came out as %d", what, len(whole), len(got))
		}
		return
	}
	if len(got) > head+tail || len(got) < head+tail-2*utf8.UTFMax {
		if len(whole) > head+tail || got != whole {
			t.Errorf("%s: clipped %d bytes to %d, want %d+%d", what, len(whole), len(got), head, tail)
		}
		return
	}
	for cut := max(0, head-utf8.UTFMax); cut <= min(head, len(got)); cut++ {
		if strings.HasPrefix(whole, got[:cut]) && strings.HasSuffix(whole, got[cut:]) {
			return
		}
	}
	t.Errorf("%s: what is kept is not head and tail of the text", what)
}

// escape writes s as a JSON string in which each character is escaped with
// probability p, in any way that JSON allows.
func escape(random *rand.Rand, s string, p float64) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if short := strings.IndexRune("\"\\\b\f\n\r\t", r); short >= 0 && random.IntN(2) == 0 {
			b.WriteByte('\\')
			b.WriteByte(`"\bfnrt`[short])
			continue
		}
		switch {
		case r >= 0x10000 && random.Float64() < p:
			fmt.Fprintf(&b, `\u%04x\u%04X`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
		case r < 0x10000 && (r < ' ' || r == '"' || r == '\\' || random.Float64() < p):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func randomText(random *rand.Rand, n int, alphabet []rune) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteRune(alphabet[random.IntN(len(alphabet))])
	}
	return b.String()
}

func TestTextsAreHeadAndTail(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	alphabets := [][]rune{[]rune("abc d\n"), []rune("\\\""), []rune("é日😀"), []rune("a\\😀u0\n\x00")}
	for range 120 {
		alphabet := alphabets[random.IntN(len(alphabets))]
		p := []float64{0, 0.02, 0.5, 1}[random.IntN(4)]
		var system, last, history []string
		var body bytes.Buffer
		body.WriteString(`{"model":"m","messages":[`)
		bytesOfText := 0
		turns := 1 + random.IntN(4)
		for i := range turns {
			if i > 0 {
				body.WriteByte(',')
			}
			say := func(role string) string {
				// White space at the end would go.
				text := randomText(random, 1+random.IntN(6000), alphabet) + "."
				bytesOfText += len(text)
				fmt.Fprintf(&body, `{"role":"%s","content":%s}`, role, escape(random, text, p))
				return text
			}
			if random.IntN(3) == 0 {
				system = append(system, say("system"))
				body.WriteByte(',')
			}
			history = append(history, last...)
			last = []string{say("user")}
			if random.IntN(2) == 0 {
				body.WriteByte(',')
				reply := say("assistant")
				if i < turns-1 {
					last = append(last, reply)
				} else {
					history = append(history, reply)
				}
			}
		}
		body.WriteString(`]}`)
		var f wire.Facts
		if p := wire.Scan(body.Bytes(), &f); p != nil {
			t.Fatalf("%v in %s", p, body.Bytes())
		}
		if f.TextBytes != bytesOfText {
			t.Errorf("TextBytes is %d, want %d", f.TextBytes, bytesOfText)
		}
		clipped(t, "system", string(f.SystemText), strings.Join(system, "\n"), wire.SystemHead, wire.SystemTail)
		clipped(t, "user", string(f.UserText), last[0], wire.UserHead, wire.UserTail)
		clipped(t, "history", string(f.HistoryText), strings.Join(history, "\n"), 0, wire.HistoryTail)
		if t.Failed() {
			t.Fatalf("with the escapes of %.2f of %q", p, string(alphabet))
		}
	}
}

// A message may have very many parts; the memory for them is not kept.
func TestManyParts(t *testing.T) {
	t.Parallel()
	parts := strings.Repeat(`{"type":"text","text":"ab"},`, 5000)
	body := []byte(`{"model":"m","messages":[{"role":"user","content":[` + parts[:len(parts)-1] + `]}]}`)
	var f wire.Facts
	for range 2 {
		if p := wire.Scan(body, &f); p != nil {
			t.Fatal(p)
		}
		clipped(t, "user", string(f.UserText), strings.TrimSuffix(strings.Repeat("ab\n", 5000), "\n"), wire.UserHead, wire.UserTail)
	}
	if f.TextBytes != 10000 {
		t.Errorf("TextBytes is %d", f.TextBytes)
	}
}

// FuzzTexts checks the texts of one message against encoding/json.
func FuzzTexts(f *testing.F) {
	f.Add(`hi`, 1)
	f.Add(`\ud83d\ude00\\\"`, 700)
	f.Add(`\\\\\u0041`, 900)
	f.Fuzz(func(t *testing.T, raw string, times int) {
		if len(raw) > 1<<12 || times < 1 || times > 4096 {
			return
		}
		content := `"` + strings.Repeat(raw, times) + `"`
		var text string
		if !utf8.ValidString(raw) || json.Unmarshal([]byte(content), &text) != nil {
			return
		}
		var facts wire.Facts
		body := `{"model":"m","messages":[{"role":"system","content":` + content + `},{"role":"assistant","content":` + content + `},{"role":"user","content":` + content + `}]}`
		if p := wire.Scan([]byte(body), &facts); p != nil {
			t.Fatal(p)
		}
		if facts.TextBytes != 3*len(text) {
			t.Errorf("TextBytes is %d, want %d", facts.TextBytes, 3*len(text))
		}
		clipped(t, "system", string(facts.SystemText), text, wire.SystemHead, wire.SystemTail)
		clipped(t, "user", string(facts.UserText), text, wire.UserHead, wire.UserTail)
		clipped(t, "history", string(facts.HistoryText), text, 0, wire.HistoryTail)
	})
}
