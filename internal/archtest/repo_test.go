package archtest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wye/internal/archtest"
)

// A README that is not read is no README.
const maxReadmeLines = 150

func TestReadmeIsShort(t *testing.T) {
	t.Parallel()
	if n := bytes.Count(read(t, "README.md"), []byte("\n")); n > maxReadmeLines {
		t.Errorf("README.md has %d lines, at most %d: move the rest to docs", n, maxReadmeLines)
	}
}

// The image cannot be built where the tests run, so its most likely fault, a
// package that the build context leaves out, is looked for here.
func TestBuildContextHasEveryPackage(t *testing.T) {
	t.Parallel()
	kept := map[string]bool{}
	for line := range strings.Lines(string(read(t, ".dockerignore"))) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
			kept[name] = true
		}
	}
	needed := archtest.Needed(module, "cmd/wye", load(t))
	if !slices.Contains(needed, "cmd/wye") || !slices.Contains(needed, "router") {
		t.Fatalf("cmd/wye needs %v: the search is at fault", needed)
	}
	for _, dir := range needed {
		if top, _, _ := strings.Cut(dir, "/"); !kept[top] {
			t.Errorf(".dockerignore leaves out %s, which cmd/wye needs", dir)
		}
	}
}

func TestNeeded(t *testing.T) {
	t.Parallel()
	files := []archtest.File{
		parse(t, "cmd/c/c.go", "package main\nimport (_ \"fmt\"; _ \"m/a\")"),
		parse(t, "cmd/c/c_test.go", "package main\nimport _ \"m/only/tests\""),
		parse(t, "a/a.go", "package a\nimport (_ \"m/b\"; _ \"example.org/x\")"),
		parse(t, "b/b.go", "package b\nimport _ \"m/a\""),
		parse(t, "only/tests/t.go", "package tests"),
		parse(t, "apart/p.go", "package apart\nimport _ \"m/a\""),
	}
	want := []string{"a", "b", "cmd/c"}
	if got := archtest.Needed("m", "cmd/c", files); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
