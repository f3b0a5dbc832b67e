package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// MaxLines bounds a hand-written file, so that it can be read in one sitting.
const MaxLines = 500

// vague are package names that say nothing of what a package is about.
var vague = []string{
	"base", "common", "core", "global", "helper", "helpers", "impl", "lib", "manager", "misc", "shared", "types", "util", "utils",
}

var (
	getter   = regexp.MustCompile(`^Get[A-Z]`)
	suffix   = regexp.MustCompile(`.(Impl|Manager|Helper|Utils?)$`)
	leftover = regexp.MustCompile(`\b(TODO|FIXME|` + "XX" + `X|HACK)\b`)
)

// CheckFiles returns one line for each breach of the rules on hand-written
// files and on the packages they form.
func CheckFiles(module string, files []File) []string {
	var faults []string
	fault := func(f *File, format string, a ...any) {
		faults = append(faults, f.Path+": "+fmt.Sprintf(format, a...))
	}
	for i := range files {
		f := &files[i]
		if f.Generated {
			continue
		}
		if f.Lines > MaxLines {
			fault(f, "%d lines, at most %d: one idea a file", f.Lines, MaxLines)
		}
		if slices.Contains(vague, strings.TrimSuffix(f.Package, "_test")) {
			fault(f, "package name %s says nothing of what it is about", f.Package)
		}
		if slices.Contains(f.Imports, "C") {
			fault(f, "cgo: the binary is static")
		}
		for _, c := range f.AST.Comments {
			if mark := leftover.FindString(c.Text()); mark != "" {
				fault(f, "%s left in a comment: do it or file an issue", mark)
			}
		}
		functions, types := declared(f.AST)
		for _, name := range functions {
			if getter.MatchString(name) {
				fault(f, "function %s: say what it is, without Get", name)
			}
		}
		for _, name := range types {
			if suffix.MatchString(name) {
				fault(f, "type %s: say what it is, without Impl, Manager, Helper or Util", name)
			}
		}
		if f.Test && skips(f.AST) {
			fault(f, "skips a test: a test that may not run proves nothing")
		}
	}
	return append(faults, checkPackages(module, files)...)
}

// checkPackages checks what holds for a package as a whole: exactly one
// package doc, and a leak check where it starts goroutines.
func checkPackages(module string, files []File) []string {
	type state struct {
		docs, started []string
		leakChecked   bool
		handWritten   bool
		command       bool // its goroutines end with the process
	}
	packages := map[string]*state{}
	var order []string
	for i := range files {
		f := &files[i]
		dir := f.Dir(module)
		p := packages[dir]
		if p == nil {
			p = &state{}
			packages[dir] = p
			order = append(order, dir)
		}
		if f.Test {
			p.leakChecked = p.leakChecked || slices.Contains(f.Imports, "go.uber.org/goleak")
			continue
		}
		if f.Generated {
			continue
		}
		p.handWritten = true
		p.command = f.Package == "main"
		if f.Doc != "" {
			p.docs = append(p.docs, path.Base(f.Path))
		}
		if starts(f.AST) {
			p.started = append(p.started, path.Base(f.Path))
		}
	}
	slices.Sort(order)
	var faults []string
	for _, dir := range order {
		p := packages[dir]
		if p.handWritten && len(p.docs) != 1 {
			faults = append(faults, fmt.Sprintf("%s: %d package docs %v, want exactly one", dir, len(p.docs), p.docs))
		}
		if parent, _, ok := strings.Cut(dir, "/internal/"); ok && packages[parent] != nil && packages[parent].leakChecked {
			continue // tested through the one package that may use it
		}
		if len(p.started) > 0 && !p.leakChecked && !p.command {
			faults = append(faults, fmt.Sprintf("%s: %v start goroutines, but no test uses goleak", dir, p.started))
		}
	}
	return faults
}

// declared lists the names of top-level functions and types. Methods are left
// out: the interface they implement may be somebody else's.
func declared(f *ast.File) (functions, types []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				functions = append(functions, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if t, ok := s.(*ast.TypeSpec); ok {
					types = append(types, t.Name.Name)
				}
			}
		}
	}
	return functions, types
}

// starts reports whether f has a go statement.
func starts(f *ast.File) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		_, ok := n.(*ast.GoStmt)
		found = found || ok
		return !found
	})
	return found
}

// skips reports whether f calls Skip, SkipNow or Skipf.
func skips(f *ast.File) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
				switch sel.Sel.Name {
				case "Skip", "SkipNow", "Skipf":
					found = true
				}
			}
		}
		return !found
	})
	return found
}
