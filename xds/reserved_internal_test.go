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
