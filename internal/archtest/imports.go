package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Room says what the packages under one path may import. Paths are relative to
// the module; "/..." at the end of one stands for it and all below it.
type Room struct {
	Path     string
	Own      []string // packages of this module
	External []string // modules or packages of others, with all below them
	// OwnTests are what only the room's test files may import in addition. Test
	// files may import every external package.
	OwnTests []string
	Reason   string
}

// Everything in Own or External lifts the limit.
const Everything = "..."

// CheckImports returns one line for each import that no room allows, for each
// package without a room and for each room without a package. The first room
// whose path matches a package governs it.
func CheckImports(module string, files []File, rooms []Room) []string {
	var faults []string
	used := make([]bool, len(rooms))
	roomless := map[string]bool{}
	for i := range files {
		f := &files[i]
		dir := relative(module, f.Dir(module))
		at := slices.IndexFunc(rooms, func(r Room) bool { return matches(r.Path, dir) })
		if at < 0 {
			if !roomless[dir] {
				roomless[dir] = true
				faults = append(faults, fmt.Sprintf("%s: package %s has no room: say what it may import, and why", f.Path, dir))
			}
			continue
		}
		used[at] = true
		for _, imported := range f.Imports {
			if !rooms[at].allows(module, dir, imported, f.Test) {
				faults = append(faults, fmt.Sprintf("%s: imports %s: %s", f.Path, imported, rooms[at].Reason))
			}
		}
	}
	for i, r := range rooms {
		if !used[i] {
			faults = append(faults, fmt.Sprintf("room %s: no such package", r.Path))
		}
	}
	return faults
}

func (r *Room) allows(module, dir, imported string, test bool) bool {
	if imported == module || strings.HasPrefix(imported, module+"/") {
		own := relative(module, imported)
		within := func(pattern string) bool { return matches(pattern, own) }
		return test && own == dir || slices.ContainsFunc(r.Own, within) ||
			test && slices.ContainsFunc(r.OwnTests, within)
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library; cgo has a rule of its own
	}
	return test || slices.ContainsFunc(r.External, func(pattern string) bool { return matches(pattern+"/...", imported) })
}

// relative returns an import path without the module.
func relative(module, importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func matches(pattern, path string) bool {
	if pattern == Everything || pattern == Everything+"/..." {
		return true
	}
	if under, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == under || strings.HasPrefix(path, under+"/")
	}
	return path == pattern
}

// Needed returns the packages of the module, dir itself among them, that the
// package in dir is built from, sorted; relative to the module.
func Needed(module, dir string, files []File) []string {
	imports := map[string][]string{}
	for i := range files {
		if f := &files[i]; !f.Test {
			from := relative(module, f.Dir(module))
			imports[from] = append(imports[from], f.Imports...)
		}
	}
	seen := map[string]bool{dir: true}
	needed := []string{dir}
	for i := 0; i < len(needed); i++ {
		for _, imported := range imports[needed[i]] {
			if to, ok := strings.CutPrefix(imported, module+"/"); ok && !seen[to] {
				seen[to] = true
				needed = append(needed, to)
			}
		}
	}
	slices.Sort(needed)
	return needed
}
