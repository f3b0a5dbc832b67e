//go:build unix

package docstest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wye/internal/docstest"
)

// repository returns the repository's root.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// pages lists the Markdown pages that people write, relative to the root.
func pages(t *testing.T) []string {
	t.Helper()
	root := repository(t)
	var all []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != root {
			switch {
			case strings.HasPrefix(entry.Name(), "."), entry.Name() == "testdata",
				entry.Name() == "internal": // templates of pages that are tested themselves
				return filepath.SkipDir
			}
		}
		if !entry.IsDir() && filepath.Ext(name) == ".md" {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				return err
			}
			all = append(all, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(all, "README.md") {
		t.Fatalf("found %v: the search is at fault", all)
	}
	return all
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPages runs every code block of every page.
func TestPages(t *testing.T) {
	t.Parallel()
	binary := buildWye(t)
	envoy := findEnvoy(t, binary)
	for _, name := range pages(t) {
		blocks, err := docstest.Blocks(readPage(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(blocks) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			// Not in parallel: each page may run an Envoy and a Wye.
			p := newPage(t, binary, envoy)
			for i, b := range blocks {
				if b.Kind == docstest.KindOutput {
					p.output(t, name, b)
					continue
				}
				last := !slices.ContainsFunc(blocks[i+1:], func(b docstest.Block) bool { return b.Kind == docstest.KindServer })
				p.run(t, name, i, b, last)
				if t.Failed() {
					return // what follows builds on it
				}
			}
			p.stop(t, name)
		})
	}
}

// TestLinks follows every link within the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, name := range pages(t) {
		for _, target := range docstest.Links(readPage(t, name)) {
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			to := name
			if path != "" {
				to = filepath.Join(filepath.Dir(name), path)
			}
			if _, err := os.Stat(filepath.Join(repository(t), to)); err != nil {
				t.Errorf("%s: link %s: %v", name, target, err)
				continue
			}
			if anchor != "" && !slices.Contains(docstest.Anchors(readPage(t, to)), anchor) {
				t.Errorf("%s: link %s: %s has no such heading", name, target, to)
			}
		}
	}
}
