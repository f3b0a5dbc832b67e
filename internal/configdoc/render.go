package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

const (
	pagePath   = "docs/configuration.md"
	schemaDir  = "policies/proto"
	schemaFile = "wye/policy/v1/policy.proto"
	rootType   = protoreflect.FullName("wye.policy.v1.Policy")
	// Ends the name of the value that stands for an absent enumeration.
	unspecified = "_UNSPECIFIED"
)

//go:embed intro.md
var intro []byte

// render returns the page for the schema under root.
func render(ctx context.Context, root string) ([]byte, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{filepath.Join(root, schemaDir)}},
			protocompile.ResolverFunc(linked),
		},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(ctx, schemaFile)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", schemaFile, err)
	}
	top, ok := compiled[0].FindDescriptorByName(rootType).(protoreflect.MessageDescriptor)
	if !ok {
		return nil, fmt.Errorf("%s has no message %s", schemaFile, rootType)
	}
	p := page{seen: map[protoreflect.FullName]bool{}}
	p.Write(intro)
	if err := p.message(top); err != nil {
		return nil, err
	}
	return p.Bytes(), nil
}

// linked resolves an import from the descriptors in this binary.
func linked(path string) (protocompile.SearchResult, error) {
	fd, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	return protocompile.SearchResult{Desc: fd}, nil
}

// page is the page as far as it is written.
type page struct {
	bytes.Buffer
	seen map[protoreflect.FullName]bool
}

// message writes the section of m and then those of the types its fields name,
// depth first and each once.
func (p *page) message(m protoreflect.MessageDescriptor) error {
	p.seen[m.FullName()] = true
	fmt.Fprintf(p, "\n## %s\n\n%s\n\n| field | type | allowed | meaning |\n| --- | --- | --- | --- |\n", m.Name(), comment(m))
	fields := m.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		limits, err := fieldLimits(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(p, "| `%s` | %s | %s | %s |\n", f.Name(), typeName(f), cell(limits), cell(fieldComment(f)))
	}
	whole, err := messageLimits(m)
	if err != nil {
		return err
	}
	for i, text := range whole {
		if i == 0 {
			p.WriteByte('\n')
		}
		fmt.Fprintf(p, "- %s\n", text)
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		if e := f.Enum(); e != nil && !p.seen[e.FullName()] {
			p.enum(e)
		}
		if sub := f.Message(); ours(sub) && !p.seen[sub.FullName()] {
			if err := p.message(sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// enum writes the section of e.
func (p *page) enum(e protoreflect.EnumDescriptor) {
	p.seen[e.FullName()] = true
	fmt.Fprintf(p, "\n## %s\n\n", e.Name())
	if doc := comment(e); doc != "" {
		fmt.Fprintf(p, "%s\n\n", doc)
	}
	values := e.Values()
	for i := range values.Len() {
		v := values.Get(i)
		if strings.HasSuffix(string(v.Name()), unspecified) {
			continue // what an absent field is, which nobody writes
		}
		fmt.Fprintf(p, "- `%s`", v.Name())
		if doc := comment(v); doc != "" {
			fmt.Fprintf(p, ": %s", doc)
		}
		p.WriteByte('\n')
	}
}

func ours(m protoreflect.MessageDescriptor) bool {
	return m != nil && !m.IsMapEntry() && m.ParentFile().Package() == rootType.Parent()
}

// comment returns the comment before d on one line, "" when it has none.
func comment(d protoreflect.Descriptor) string {
	loc := d.ParentFile().SourceLocations().ByDescriptor(d)
	return strings.Join(strings.Fields(loc.LeadingComments), " ")
}

// fieldComment is a field's comment or else, for a field whose name says it
// all, that of the message or enumeration it holds.
func fieldComment(f protoreflect.FieldDescriptor) string {
	switch text := comment(f); {
	case text != "":
		return text
	case ours(f.Message()):
		return comment(f.Message())
	case f.Enum() != nil:
		return comment(f.Enum())
	default:
		return ""
	}
}

// typeName is a field's type as somebody who writes YAML thinks of it.
func typeName(f protoreflect.FieldDescriptor) string {
	if f.IsMap() {
		return "map of " + scalarName(f.MapKey()) + " to " + scalarName(f.MapValue())
	}
	if f.IsList() {
		return "list of " + scalarName(f)
	}
	return scalarName(f)
}

func scalarName(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Enum() != nil:
		return link(f.Enum())
	case ours(f.Message()):
		return link(f.Message())
	case f.Message() != nil:
		return strings.ToLower(string(f.Message().Name())) // google.protobuf.Duration
	}
	switch f.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return "number"
	case protoreflect.StringKind, protoreflect.BytesKind:
		return "text"
	default:
		return "whole number"
	}
}

func link(d protoreflect.Descriptor) string {
	return fmt.Sprintf("[%s](#%s)", d.Name(), strings.ToLower(string(d.Name())))
}

// cell keeps text from ending its table cell.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
