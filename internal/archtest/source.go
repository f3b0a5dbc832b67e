package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// File is one Go source file.
type File struct {
	Path      string // from the module's root, with slashes
	Package   string // as the package clause says
	Test      bool   // _test.go
	Generated bool
	Lines     int
	Doc       string   // the package doc, "" when there is none
	Imports   []string // import paths
	AST       *ast.File
	Fset      *token.FileSet
}

// Dir is the import path of the file's folder.
func (f *File) Dir(module string) string { return path.Join(module, path.Dir(f.Path)) }

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// Load parses every Go file of the module rooted at root, except those in
// testdata, hidden folders and nested modules.
func Load(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == root {
				return nil
			}
			if entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := Parse(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load module %s: %w", root, err)
	}
	return files, nil
}

// Parse reads one file; name is its path from the module's root.
func Parse(name string, text []byte) (File, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return File{}, err
	}
	f := File{
		Path: name, Package: tree.Name.Name, Test: strings.HasSuffix(name, "_test.go"),
		Generated: generated.Match(text), Lines: bytes.Count(text, []byte("\n")),
		Doc: tree.Doc.Text(), AST: tree, Fset: fset,
	}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		f.Imports = append(f.Imports, imported)
	}
	return f, nil
}
