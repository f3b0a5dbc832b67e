package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The repository's root, seen from this package.
var root = filepath.Join("..", "..")

func TestCommittedPageIsFresh(t *testing.T) {
	t.Parallel()
	want, err := render(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, pagePath))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("stale, run go generate ./internal/configdoc (-want +got):\n%s", diff)
	}
}

// A field or a value without a comment is one that nobody can look up.
func TestEverythingIsExplained(t *testing.T) {
	t.Parallel()
	page, err := render(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	silent := regexp.MustCompile("(?m)^(\\| `.*\\|  \\||- `[^`]*`)$")
	for _, line := range silent.FindAllString(string(page), -1) {
		t.Errorf("%s has no comment: %s", schemaFile, line)
	}
	if got := silent.FindAllString("| `a` | text |  |  |\n- `b`\n- `c`: Why.\n| `d` | text |  | Why. |\n", -1); len(got) != 2 {
		t.Errorf("found %q: the search is at fault", got)
	}
}

// schema writes a schema whose messages are body and returns its root.
func schema(t *testing.T, body string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, schemaDir, schemaFile)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	text := `syntax = "proto3";
package wye.policy.v1;
import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";
` + body
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRender(t *testing.T) {
	t.Parallel()
	dir := schema(t, `
// All there is.
message Policy {
  option (buf.validate.message).cel = {id: "x", message: "a goes before b", expression: "true"};
  // Either this | or
  // that.
  string name = 1 [(buf.validate.field).required = true, (buf.validate.field).string = {max_len: 9, min_len: 1}];
  repeated Mode modes = 2 [(buf.validate.field).repeated = {min_items: 1, items: {enum: {not_in: [0, 2]}}}];
  map<string, double> skills = 3 [(buf.validate.field).map.values.double = {gte: 0, lte: 0.5, finite: true}];
  google.protobuf.Duration wait = 4 [(buf.validate.field).duration.lte.seconds = 90];
  Inner inner = 5;
  bool on = 6;
  string odd = 7 [(buf.validate.field).cel = {id: "y", message: "must be odd", expression: "true"}];
  oneof source {
    option (buf.validate.oneof).required = true;
    uint32 a = 8;
    bytes b = 9;
  }
}
// Inner is within.
message Inner {
  Policy again = 1;
}
// How.
enum Mode {
  MODE_UNSPECIFIED = 0;
  fast = 1;
  // Takes its time.
  slow = 2;
}
`)
	got, err := render(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	want := `
## Policy

All there is.

| field | type | allowed | meaning |
| --- | --- | --- | --- |
| ` + "`name`" + ` | text | required; not empty; at most 9 characters | Either this \| or that. |
| ` + "`modes`" + ` | list of [Mode](#mode) | not empty; each of the items: none of ` + "`slow`" + ` | How. |
| ` + "`skills`" + ` | map of text to number | each of the values: at least 0, at most 0.5 |  |
| ` + "`wait`" + ` | duration | at most 90s |  |
| ` + "`inner`" + ` | [Inner](#inner) |  | Inner is within. |
| ` + "`on`" + ` | true or false |  |  |
| ` + "`odd`" + ` | text | odd |  |
| ` + "`a`" + ` | whole number |  |  |
| ` + "`b`" + ` | text |  |  |

- a goes before b
- exactly one of ` + "`a`, `b`" + `

## Mode

How.

- ` + "`fast`" + `
- ` + "`slow`" + `: Takes its time.

## Inner

Inner is within.

| field | type | allowed | meaning |
| --- | --- | --- | --- |
| ` + "`again`" + ` | [Policy](#policy) |  | All there is. |
`
	if diff := cmp.Diff(string(intro)+want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestRenderFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"no policy", `message Other {}`, "has no message wye.policy.v1.Policy"},
		{"not a schema", `message {`, "policy.proto:5:"},
		{"unknown import", `import "nowhere.proto";`, "nowhere.proto"},
		{
			"a rule without words",
			`message Policy { string s = 1 [(buf.validate.field).string.email = true]; }`,
			"Policy.s: no words for the rule buf.validate.StringRules.email",
		},
		{
			"within a message",
			`message Policy { Inner i = 1; } message Inner { string s = 1 [(buf.validate.field).string.email = true]; }`,
			"Inner.s: no words",
		},
		{
			"within items",
			`message Policy { repeated string s = 1 [(buf.validate.field).repeated.items.string.email = true]; }`,
			"Policy.s: no words",
		},
		{
			"unknown enumeration value",
			`message Policy { E e = 1 [(buf.validate.field).enum.in = 7]; } enum E { E_UNSPECIFIED = 0; }`,
			"wye.policy.v1.E has no value 7",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := render(t.Context(), schema(t, tt.body))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := schema(t, "message Policy {}")
	if err := run(t.Context(), []string{dir}); err == nil {
		t.Error("a page is written into a folder that does not exist")
	}
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, pagePath)); err != nil {
		t.Error(err)
	}
	if err := run(t.Context(), nil); err == nil {
		t.Error("no argument is accepted")
	}
	if err := run(t.Context(), []string{t.TempDir()}); err == nil {
		t.Error("a root without a schema is accepted")
	}
}
