package xds

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every string but the words, however near to one it comes.
func TestOtherThan(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{
		nil, {""}, {"mode"}, {"mode", "model"}, {"a-b", "a-c", "-"}, {"mode", "", "zone", "mood"},
	} {
		t.Run(strings.Join(words, "|"), func(t *testing.T) {
			t.Parallel()
			pattern := otherThan(words)
			whole, err := regexp.Compile("^(?:" + pattern + ")$")
			if err != nil {
				t.Fatal(err)
			}
			names := []string{"", "x", "m", "models", "-", "--", "a-", "a-b-c", "9_!"}
			for _, w := range words {
				names = append(names, w, w+"-", w+w+"x", "x"+w, w[:len(w)/2], strings.ReplaceAll(w, "o", "-"))
			}
			for _, name := range names {
				if want := !slices.Contains(words, name); whole.MatchString(name) != want {
					t.Errorf("%s matches %q: %v, want %v", pattern, name, !want, want)
				}
			}
		})
	}
}

// Together they match every string but the words, each of them once.
func TestAllOtherThan(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{nil, {"mode"}, {"mode", "session", "trace", "mood", "-x"}} {
		names := []string{"", "x", "m", "models", "-", "--", "9_!", "session-", "sessions", "trac", "traces", "mood-"}
		for _, name := range append(names, words...) {
			matched := 0
			for _, pattern := range allOtherThan(words) {
				if regexp.MustCompile("^(?:" + pattern + ")$").MatchString(name) {
					matched++
				}
			}
			want := 1
			if slices.Contains(words, name) {
				want = 0
			}
			if matched != want {
				t.Errorf("%q: %q is matched %d times, want %d", words, name, matched, want)
			}
		}
	}
}
