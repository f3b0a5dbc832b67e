package wire_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"wye/wire"
)

// estimate scans a request with one user message and returns both estimates.
func estimate(t *testing.T, text string) (best, most int) {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return estimateBody(t, fmt.Sprintf(`{"model":"m","messages":[{"role":"user","content":%s}]}`, quoted))
}

func estimateBody(t *testing.T, body string) (best, most int) {
	t.Helper()
	var f wire.Facts
	if p := wire.Scan([]byte(body), &f); p != nil {
		t.Fatal(p)
	}
	if f.PromptTokens > f.PromptTokensMax {
		t.Errorf("the best estimate, %d, is above the safe one, %d", f.PromptTokens, f.PromptTokensMax)
	}
	return f.PromptTokens, f.PromptTokensMax
}

// TestTokens holds the estimates against what real tokenizers count; see
// testdata/tokens/count.mjs.
func TestTokens(t *testing.T) {
	t.Parallel()
	var texts []struct{ Name, Text string }
	var counts map[string]map[string]int
	for name, to := range map[string]any{"texts.json": &texts, "counts.json": &counts} {
		b, err := os.ReadFile("testdata/tokens/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, to); err != nil {
			t.Fatal(err)
		}
	}
	if len(texts) < 29 || len(counts) != len(texts) {
		t.Fatalf("%d texts, %d counts", len(texts), len(counts))
	}
	emptyBest, emptyMost := estimate(t, "")
	for _, text := range texts {
		best, most := estimate(t, text.Text)
		best, most = best-emptyBest, most-emptyMost
		largest := 0
		for _, n := range counts[text.Name] {
			largest = max(largest, n)
		}
		ratio := float64(best) / float64(counts[text.Name]["o200k_base"])
		t.Logf("%-14s best %4d = %.2f of o200k_base, safe %4d = %.2f of the largest count", text.Name, best, ratio, most, float64(most)/float64(largest))
		if most < largest {
			t.Errorf("%s: the safe estimate is %d, but a tokenizer needs %d", text.Name, most, largest)
		}
		if ratio < 0.7 || ratio > 1.4 {
			t.Errorf("%s: the best estimate is %.2f of o200k_base's count", text.Name, ratio)
		}
	}
}

// How a text is escaped must not change what it is estimated at.
func TestTokensOfEscapes(t *testing.T) {
	t.Parallel()
	const text = "Zwei Wörter,\n\t\"日本\" 😀 and C:\\temp"
	plainBest, plainMost := estimate(t, text)
	var b strings.Builder
	for _, r := range text {
		if r >= 0x10000 {
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xD800+(r-0x10000)>>10, 0xDC00+(r-0x10000)&0x3FF)
		} else {
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	best, most := estimateBody(t, `{"model":"m","messages":[{"role":"user","content":"`+b.String()+`"}]}`)
	if best != plainBest || most != plainMost {
		t.Errorf("estimates %d, %d; with every character escaped %d, %d", plainBest, plainMost, best, most)
	}
}

// The sums of both estimates share a word: a long text must not make them run
// into each other.
func TestTokensOfLongTexts(t *testing.T) {
	t.Parallel()
	const piece, short, longer = "\U0001F680", 1000, 1200
	emptyBest, emptyMost := estimate(t, "")
	best, most := estimate(t, strings.Repeat(piece, short))
	longBest, longMost := estimate(t, strings.Repeat(piece, short*longer))
	for _, v := range []struct{ short, long int }{{best - emptyBest, longBest - emptyBest}, {most - emptyMost, longMost - emptyMost}} {
		if ratio := float64(v.long) / float64(v.short); ratio < longer-1 || ratio > longer+1 {
			t.Errorf("%d times as long a text has %.1f times the tokens", longer, ratio)
		}
	}
}

func TestTokensOfParts(t *testing.T) {
	t.Parallel()
	body := func(parts string) string {
		return `{"model":"m","messages":[{"role":"user","content":[` + parts + `]}]}`
	}
	tools := func(tools string) string {
		return `{"model":"m","messages":[{"role":"user","content":[]}],"tools":[` + tools + `]}`
	}
	const image, file = `{"type":"image_url","image_url":{"url":"x"}}`, `{"type":"file","file":{"file_id":"x"}}`
	baseBest, baseMost := estimateBody(t, body(""))
	for _, tt := range []struct {
		name, body string
		best, most int // beyond base
	}{
		{"image", body(image), 800, 4096},
		{"two images", body(image + "," + image), 1600, 8192},
		{"a large image counts the same", body(strings.Replace(image, "x", strings.Repeat("A", 1<<16), 1)), 800, 4096},
		{"file", body(file), 1500, 8192 + 15/4},
		{"long file", body(strings.Replace(file, "x", strings.Repeat("A", 400_000), 1)), 1500 + 400_014/40, 8192 + 400_014/4},
		{"the longest file", body(strings.Replace(file, "x", strings.Repeat("A", 4_000_000), 1)), 1500 + 50_000, 8192 + 150_000},
		{"tool", tools(`{"type":"function"}`), 8, 24},
		{"message", `{"model":"m","messages":[{"role":"user"},{"role":"assistant"}]}`, 4, 8},
	} {
		best, most := estimateBody(t, tt.body)
		if best-baseBest != tt.best || most-baseMost != tt.most {
			t.Errorf("%s adds %d and %d, want %d and %d", tt.name, best-baseBest, most-baseMost, tt.best, tt.most)
		}
	}
}
