package archtest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
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

// Every room has its row in the architecture page.
func TestRoomsAreDocumented(t *testing.T) {
	t.Parallel()
	page := string(read(t, "docs/architecture.md"))
	for _, r := range rooms {
		if r.Path == "internal/archtest" {
			continue // a tighter room within internal/...
		}
		if !strings.Contains(page, "\n| `"+r.Path+"` |") {
			t.Errorf("docs/architecture.md has no row for %s", r.Path)
		}
	}
}

// Every error code that Wye words is in the operations page.
func TestErrorCodesAreDocumented(t *testing.T) {
	t.Parallel()
	page := string(read(t, "docs/operations.md"))
	var codes []string
	for _, f := range load(t) {
		if f.Test {
			continue
		}
		switch f.Package {
		case "wire", "extproc":
			codes = append(codes, archtest.StringConstants(&f, regexp.MustCompile(`^[Cc]ode[A-Z]`))...)
		case "xds":
			codes = append(codes, archtest.FieldStrings(&f, "failure", 3)...)
		}
	}
	for _, want := range []string{"invalid_json", "model_not_found", "router_unavailable"} {
		if !slices.Contains(codes, want) {
			t.Errorf("%s is not among the codes found: the search is at fault", want)
		}
	}
	for _, code := range codes {
		if !strings.Contains(page, "`"+code+"`") {
			t.Errorf("docs/operations.md does not explain the error code %s", code)
		}
	}
}

// Every metric is in the operations page.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	page := string(read(t, "docs/operations.md"))
	var metrics []string
	for _, f := range load(t) {
		if !f.Test && f.Package == "telemetry" {
			metrics = append(metrics, archtest.Strings(&f, regexp.MustCompile(`^wye_[a-z_]+$`))...)
		}
	}
	if !slices.Contains(metrics, "wye_decisions_total") {
		t.Fatalf("found %v: the search is at fault", metrics)
	}
	for _, metric := range metrics {
		if !strings.Contains(page, "`"+metric+"`") {
			t.Errorf("docs/operations.md does not explain the metric %s", metric)
		}
	}
}

// Every module that ships has its line in the record of dependencies, and no
// line is about a module that nothing uses.
func TestDependenciesAreDocumented(t *testing.T) {
	t.Parallel()
	page := string(read(t, "docs/adr/0001-dependencies.md"))
	_, table, _ := strings.Cut(page, "| --- |")
	table, _, _ = strings.Cut(table, "\n\n")
	var documented []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				documented = append(documented, m[1])
			}
		}
	}
	used := map[string]bool{}
	for _, f := range load(t) {
		for _, imported := range f.Imports {
			first, _, _ := strings.Cut(imported, "/")
			if f.Test || first == module || !strings.Contains(first, ".") {
				continue
			}
			at := slices.IndexFunc(documented, func(m string) bool { return strings.HasPrefix(imported+"/", m+"/") })
			if at < 0 {
				t.Errorf("%s imports %s, which docs/adr/0001-dependencies.md does not mention", f.Path, imported)
				continue
			}
			used[documented[at]] = true
		}
	}
	for _, m := range documented {
		if !used[m] {
			t.Errorf("docs/adr/0001-dependencies.md mentions %s, which nothing imports", m)
		}
	}
}
