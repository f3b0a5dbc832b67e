package docstest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/internal/docstest"
)

// markdown lets test pages be written without escaping: ' stands for a
// backquote.
func markdown(s string) string { return strings.ReplaceAll(s, "'", "`") }

func TestBlocks(t *testing.T) {
	t.Parallel()
	got, err := docstest.Blocks(markdown(`# Title
'''sh
echo 'not a fence'
'''
text
'''text output
not a fence
'''
- in a list
  '''yaml file=policy.yaml
  backends:
    - name: a
  '''
''''sh server
'''
''''
~~~json
{}
~~~
'''python
pass
'''
'''text output
'''
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []docstest.Block{
		{Kind: docstest.KindShell, Line: 3, Text: "echo `not a fence`\n"},
		{Kind: docstest.KindOutput, Line: 7, Text: "not a fence\n"},
		{Kind: docstest.KindPolicy, File: "policy.yaml", Line: 11, Text: "backends:\n  - name: a\n"},
		{Kind: docstest.KindServer, Line: 15, Text: "```\n"},
		{Kind: docstest.KindJSON, Line: 18, Text: "{}\n"},
		{Kind: docstest.KindPython, Line: 21, Text: "pass\n"},
		{Kind: docstest.KindOutput, Line: 24},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBlocksFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, page, want string }{
		{"no kind", "'''\nx\n'''", `line 1: nothing tests a block marked ""`},
		{"unknown kind", "text\n'''mermaid\nx\n'''", `line 2: nothing tests a block marked "mermaid"`},
		{"unknown word", "'''sh norun\nx\n'''", `line 1: nothing tests a block marked "sh norun"`},
		{"not closed", "'''sh\nx\n''", "line 1: the block is not closed"},
		{"closed by a shorter fence", "''''sh\nx\n'''", "line 1: the block is not closed"},
		{"output of nothing", "'''text output\nx\n'''", "line 1: an output block must follow"},
		{"output of a policy", "'''yaml\nx\n'''\n'''text output\nx\n'''", "line 4: an output block must follow"},
		{"output of a server", "'''sh server\nx\n'''\n'''text output\nx\n'''", "line 4: an output block must follow"},
		{"file elsewhere", "'''sh file=../x\nx\n'''", "line 1: file name"},
		{"file at the root", "'''sh file=/x\nx\n'''", "line 1: file name"},
		{"file without a name", "'''sh file=\nx\n'''", "line 1: file name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := docstest.Blocks(markdown(tt.page))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestMatchOutput(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, block, printed string
		want                 bool
	}{
		{"same", "a\nb\n", "a\nb\n", true},
		{"space at the ends", "a\n", "\na  \n\n", true},
		{"another line", "a\n", "a\nb\n", false},
		{"a line less", "a\nb\n", "a\n", false},
		{"part of a line", "a\n", "ab\n", false},
		{"any text", "a … c\n", "a b c\n", true},
		{"any text on one line only", "a … c\n", "a b\nb c\n", false},
		{"any lines", "a\n…\nc\n", "a\nb\nb\nc\n", true},
		{"no line is any lines", "a\n…\nc\n", "a\nc\n", true},
		{"any lines at the end", "a\n…\n", "a\nb\n", true},
		{"any lines, then another", "a\n…\nc\n", "a\nb\nd\n", false},
		{"no pattern", "a.c\n", "abc\n", false},
		{"empty", "", "", true},
		{"empty, but printed", "", "a\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := docstest.MatchOutput(tt.block, tt.printed); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestLinksAndAnchors(t *testing.T) {
	t.Parallel()
	page := markdown("# One: a *title*!\n[a](b.md) and [c](d.md#e)\n'''sh\n# [no](link)\n'''\n## Two_x 2\n![p](p.svg)\n")
	if diff := cmp.Diff([]string{"b.md", "d.md#e", "p.svg"}, docstest.Links(page)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"one-a-title", "two_x-2"}, docstest.Anchors(page)); diff != "" {
		t.Error(diff)
	}
}
