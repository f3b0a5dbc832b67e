package policies

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "GPT-X"}
	for _, tt := range []struct{ name, want string }{
		{"gpt-4.1-mni", "gpt-4.1-mini"},
		{"gpt-4.1-nan0", "gpt-4.1-nano"},
		{"gpt4.1", "gpt-4.1"},
		{"GPT-4.1-MINI", "gpt-4.1-mini"},
		{"gpt-x", "GPT-X"},
		{"gpt-4.1-m", "gpt-4.1"}, // two edits from the first, three from the next
		{"claude", ""},
		{"", ""},
		{strings.Repeat("gpt-4.1", 20), ""},
	} {
		if got := nearest(tt.name, known); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 5, 0},
		{"", "abc", 5, 3},
		{"abc", "", 5, 3},
		{"kitten", "sitting", 9, 3},
		{"kitten", "sitting", 3, 3},
		{"kitten", "sitting", 2, 2},
		{"flaw", "lawn", 9, 2},
		{"abcdef", "uvwxyz", 4, 4},
		{"a", "abcdefgh", 3, 3},
	} {
		if got := distance(tt.a, tt.b, tt.limit); got != tt.want {
			t.Errorf("distance(%q, %q, %d) = %d, want %d", tt.a, tt.b, tt.limit, got, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxQuoted-1) + "é"
	for _, tt := range []struct{ s, want string }{
		{"", `""`},
		{"a\n\"b\"", `"a\n\"b\""`},
		{strings.Repeat("a", maxQuoted), `"` + strings.Repeat("a", maxQuoted) + `"`},
		{long, `"` + strings.Repeat("a", maxQuoted-1) + `"…`},
	} {
		if got := quote(tt.s); got != tt.want {
			t.Errorf("quote(%q) = %s, want %s", tt.s, got, tt.want)
		}
	}
}
