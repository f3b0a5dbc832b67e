package policies

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// position is a place in a document, both from 1.
type position struct{ line, column int }

// outline ties the fields of a message to their places in the YAML document it
// was read from, and back. Paths spell fields as the schema does, whichever of
// the names protobuf allows the document uses.
type outline struct {
	file   string
	places map[string]position // path → value
	paths  map[position]string // key or value → path
	report *Report
}

// newOutline walks root, the document's top node, as a message of md and
// reports what the decoder would let pass or say badly: unknown and repeated
// fields, empty values, unknown enum names, anchors and aliases. usable is
// false when the document must not be decoded.
func newOutline(file string, root *yaml.Node, md protoreflect.MessageDescriptor, report *Report) (o *outline, usable bool) {
	o = &outline{
		file:   file,
		places: make(map[string]position),
		paths:  make(map[position]string),
		report: report,
	}
	o.note(root, "")
	o.message(root, md, "")
	usable = o.plain(root)
	return o, usable
}

func (o *outline) note(n *yaml.Node, path string) {
	at := position{n.Line, n.Column}
	if _, ok := o.places[path]; !ok {
		o.places[path] = at
	}
	o.paths[at] = path
}

// fault reports an error at n.
func (o *outline) fault(n *yaml.Node, path, format string, a ...any) {
	o.report.add(Fault{File: o.file, Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, a...)})
}

func (o *outline) message(n *yaml.Node, md protoreflect.MessageDescriptor, path string) {
	if n.Kind != yaml.MappingNode {
		return // the decoder's fault to report
	}
	first := make(map[protoreflect.FieldNumber]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			o.fault(key, path, "a field's name must be text")
			continue
		}
		fd := field(md, key.Value)
		if fd == nil {
			p := join(path, segment(key.Value))
			o.paths[position{key.Line, key.Column}] = p
			if !o.report.full() {
				o.fault(key, p, "%s", unknown("field", key.Value, fieldNames(md)))
			}
			continue
		}
		p := join(path, string(fd.Name()))
		if line, ok := first[fd.Number()]; ok {
			o.fault(key, p, "stated twice, first in line %d", line)
		} else {
			first[fd.Number()] = key.Line
		}
		o.paths[position{key.Line, key.Column}] = p
		o.field(value, fd, p)
	}
}

// field walks the value of a field.
func (o *outline) field(n *yaml.Node, fd protoreflect.FieldDescriptor, path string) {
	switch {
	case fd.IsList() && n.Kind == yaml.SequenceNode:
		o.note(n, path)
		for i, item := range n.Content {
			o.value(item, fd, path+"["+strconv.Itoa(i)+"]")
		}
	case fd.IsMap() && n.Kind == yaml.MappingNode:
		o.note(n, path)
		o.entries(n, fd, path)
	case fd.IsList() || fd.IsMap():
		o.note(n, path)
		if n.Tag == "!!null" {
			o.fault(n, path, "has no value")
		}
	default:
		o.value(n, fd, path)
	}
}

func (o *outline) entries(n *yaml.Node, fd protoreflect.FieldDescriptor, path string) {
	first := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		p := path + "[" + strconv.Quote(key.Value) + "]"
		if line, ok := first[key.Value]; ok {
			o.fault(key, p, "stated twice, first in line %d", line)
		} else {
			first[key.Value] = key.Line
		}
		o.paths[position{key.Line, key.Column}] = p
		o.value(value, fd.MapValue(), p)
	}
}

// value walks one value: a singular field's, a list's item or a map's value.
func (o *outline) value(n *yaml.Node, fd protoreflect.FieldDescriptor, path string) {
	o.note(n, path)
	switch {
	case n.Tag == "!!null":
		// The decoder would drop a message and read a scalar as the text "null".
		hint := ""
		if fd.Message() != nil {
			hint = "; write {} for its defaults"
		}
		o.fault(n, path, "has no value%s", hint)
	case fd.Message() != nil:
		o.message(n, fd.Message(), path)
	case fd.Enum() != nil && n.Kind == yaml.ScalarNode:
		o.enum(n, fd.Enum(), path)
	}
}

// enum refuses what the decoder takes beside names: numbers and the name of
// "unspecified".
func (o *outline) enum(n *yaml.Node, ed protoreflect.EnumDescriptor, path string) {
	var names []string
	for i := range ed.Values().Len() {
		if name := string(ed.Values().Get(i).Name()); !strings.HasSuffix(name, "_UNSPECIFIED") {
			if name == n.Value {
				return
			}
			names = append(names, name)
		}
	}
	if o.report.full() {
		return
	}
	message := unknown(strings.ToLower(string(ed.Name())), n.Value, names)
	if !strings.HasSuffix(message, "?") {
		message += "; known are " + strings.Join(names, ", ")
	}
	o.fault(n, path, "%s", message)
}

// plain reports whether the tree has no anchors and no aliases, and faults them
// otherwise. They make a small document a large one, and the decoder cannot
// follow them.
func (o *outline) plain(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		o.fault(n, o.paths[position{n.Line, n.Column}], "anchors and aliases are not supported")
		return false
	}
	for _, c := range n.Content {
		if !o.plain(c) {
			return false
		}
	}
	return true
}

// place returns where path is in the document, or else the nearest enclosing
// field that is; the document itself always is.
func (o *outline) place(path string) position {
	for {
		if at, ok := o.places[path]; ok {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// field finds a field by the names that protobuf's JSON form allows. Numbers,
// which the decoder would take as well, are not names.
func field(md protoreflect.MessageDescriptor, key string) protoreflect.FieldDescriptor {
	if fd := md.Fields().ByTextName(key); fd != nil {
		return fd
	}
	return md.Fields().ByJSONName(key)
}

func fieldNames(md protoreflect.MessageDescriptor) []string {
	names := make([]string, md.Fields().Len())
	for i := range names {
		names[i] = string(md.Fields().Get(i).Name())
	}
	return names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// segment is a key of the document as part of a path: as it is when it could be
// a field's name, else quoted, so that a path stays on one line.
func segment(key string) string {
	for _, r := range key {
		if r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return quote(key)
		}
	}
	if key == "" || len(key) > maxQuoted {
		return quote(key)
	}
	return key
}
