package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever is wrong is said, with the file's name.
func TestFaults(t *testing.T) {
	t.Parallel()
	const rule = "groups: [{name: g, rules: [{alert: A, expr: '%', for: 5m, annotations: {summary: '#'}}]}]"
	rules := func(expr, summary string) string {
		return strings.NewReplacer("%", expr, "#", summary).Replace(rule)
	}
	board := func(expr string) string {
		return `{"templating":{"list":[{"name":"deployment"}]},"panels":[{"title":"P","targets":[{"expr":"` + expr + `"}]}]}`
	}
	for _, tt := range []struct{ name, file, text, want string }{
		{"good rules", "a.yaml", rules("up == 0", "{{ $labels.job }}"), ""},
		{"bad expression", "a.yaml", rules("rate(up)", "x"), "range vector"},
		{"bad template", "a.yaml", rules("up", "{{ $lables.job }}"), "lables"},
		{"unknown field", "a.yaml", strings.Replace(rules("up", "x"), "for:", "four:", 1), "four"},
		{"no rules", "a.yaml", "groups: []", "no rules"},
		{"good dashboard", "a.json", board(`sum(rate(up{d=~\"$deployment\"}[$__rate_interval]))`), ""},
		{"bad query", "a.json", board(`sum(rate(up[5m])`), "P:"},
		{"unknown variable", "a.json", board(`up{d=\"$nothing\"}`), "$nothing"},
		{"no queries", "a.json", "{}", "no queries"},
		{"no JSON", "a.json", "{", "unexpected end"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), tt.file)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := run([]string{path})
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	if err := run(nil); err == nil {
		t.Error("no file is no fault")
	}
	if err := run([]string{filepath.Join(t.TempDir(), "none.yaml")}); err == nil {
		t.Error("a file that is not there is no fault")
	}
}
