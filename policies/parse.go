package policies

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
)

// MaxBytes bounds a policy document.
const MaxBytes = 1 << 20

// parse reads a YAML or JSON document into m and reports the faults of syntax
// and type. The outline is nil when the document could not be read at all.
func parse(file string, data []byte, m proto.Message, report *Report) *outline {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if f, ok := unreadable(data); ok {
		f.File = file
		report.add(f)
		return nil
	}
	root, f := tree(data)
	if root == nil {
		f.File = file
		report.add(f)
		return nil
	}
	o, usable := newOutline(file, root, m.ProtoReflect().Descriptor(), report)
	if !usable {
		return nil
	}
	o.decode(data, m)
	return o
}

// unreadable finds what must keep a document from the YAML parser: too much of
// it, another encoding than UTF-8, and the line breaks that the parser counts
// and the decoder does not.
func unreadable(data []byte) (Fault, bool) {
	if len(data) > MaxBytes {
		return Fault{Line: 1, Column: 1, Message: fmt.Sprintf("%d bytes, at most %d are allowed", len(data), MaxBytes)}, true
	}
	line, column := 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		message := ""
		switch {
		case r == utf8.RuneError && size == 1:
			message = "not UTF-8"
		case r == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			message = "a carriage return without a line feed"
		case r == '\u0085' || r == '\u2028' || r == '\u2029':
			message = fmt.Sprintf("the line separator %U is not supported, write a line feed", r)
		}
		if message != "" {
			return Fault{Line: line, Column: column, Message: message}, true
		}
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
		i += size
	}
	return Fault{}, false
}

// tree parses the one YAML document in data and returns its top node, or nil
// and why not.
func tree(data []byte) (*yaml.Node, Fault) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF) || err == nil && len(document.Content) == 0:
		return nil, Fault{Line: 1, Column: 1, Message: "the document is empty"}
	case err != nil:
		return nil, syntaxFault(err)
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		return nil, syntaxFault(err)
	default:
		return nil, Fault{Line: second.Line, Column: max(second.Column, 1), Message: "a second document; a policy is one document"}
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, Fault{Line: root.Line, Column: root.Column, Message: "must be a mapping with the fields of a policy"}
	}
	return root, Fault{}
}

var (
	syntaxError  = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	grammarError = regexp.MustCompile(`^(did not find expected|found (undefined tag|duplicate %|incompatible))`)
)

// syntaxFault turns the YAML parser's error into a fault; it knows the line
// only, and not always that.
func syntaxFault(err error) Fault {
	f := Fault{Line: 1, Column: 1, Message: err.Error()}
	if m := syntaxError.FindStringSubmatch(err.Error()); m != nil {
		f.Message = "YAML syntax: " + m[2]
		if line, err := strconv.Atoi(m[1]); err == nil && line > 0 {
			f.Line = line
			if grammarError.MatchString(m[2]) {
				f.Line++ // the parser counts these from 0
			}
		}
	}
	return f
}

// decode fills m from data and reports the decoder's faults where the outline
// has none yet.
func (o *outline) decode(data []byte, m proto.Message) {
	known := make(map[position]bool, len(o.report.Faults))
	for _, f := range o.report.Faults {
		known[position{f.Line, f.Column}] = true
	}
	err := protoyaml.UnmarshalOptions{AllowPartial: true}.Unmarshal(data, m)
	if err == nil {
		return
	}
	causes := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		causes = joined.Unwrap()
	}
	for _, cause := range causes {
		at, message := o.decoderFault(cause)
		if known[at] {
			continue
		}
		if o.report.full() {
			return // each message copies its line, so reading on could cost much
		}
		o.report.add(Fault{File: o.file, Line: at.line, Column: at.column, Path: o.paths[at], Message: message})
	}
}

// decoderFault reads the position from the decoder's message, the only place
// where it is, and takes the message itself from the cause.
func (o *outline) decoderFault(err error) (position, string) {
	at := position{1, 1}
	cause := errors.Unwrap(err)
	if cause == nil {
		return at, err.Error()
	}
	// The path is unset, so the text starts with :line:column.
	head, _, _ := strings.Cut(err.Error(), " ")
	if parts := strings.Split(head, ":"); len(parts) == 3 {
		line, errLine := strconv.Atoi(parts[1])
		column, errColumn := strconv.Atoi(parts[2])
		if errLine == nil && errColumn == nil {
			at = position{line, column}
		}
	}
	return at, decoderMessage(cause.Error())
}

var wrongKind = regexp.MustCompile(`^expected (?:fields for \S+|(\w+)), got (\w+)$`)

// decoderMessage words the decoder's messages like the rest of ours.
func decoderMessage(s string) string {
	if m := wrongKind.FindStringSubmatch(s); m != nil {
		return fmt.Sprintf("must be a %s, not a %s", cmp.Or(m[1], "mapping"), m[2])
	}
	return strings.Replace(s, "strconv.ParseFloat: parsing ", "", 1)
}

// faulty reports whether the field at path or one within it has an error.
func (o *outline) faulty(path string) bool {
	return slices.ContainsFunc(o.report.Faults, func(f Fault) bool {
		rest, within := strings.CutPrefix(f.Path, path)
		return within && f.Severity == SeverityError && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// validate checks m against the rules in its schema. A field that is at fault
// already, or lies within one, is not reported again.
func (o *outline) validate(m proto.Message) error {
	v, err := validator()
	if err != nil {
		return fmt.Errorf("compile the policy schema's rules: %w", err)
	}
	var invalid *protovalidate.ValidationError
	switch err := v.Validate(m); {
	case err == nil:
		return nil
	case !errors.As(err, &invalid):
		return fmt.Errorf("apply the policy schema's rules: %w", err)
	}
	known := o.faultyPaths()
	for _, violation := range invalid.Violations {
		path := protovalidate.FieldPathString(violation.Proto.GetField())
		if known[path] {
			continue
		}
		o.errorf(path, "%s", violationMessage(violation, path))
	}
	return nil
}

// faultyPaths is the set of paths with an error so far.
func (o *outline) faultyPaths() map[string]bool {
	paths := make(map[string]bool, len(o.report.Faults))
	for _, f := range o.report.Faults {
		if f.Severity == SeverityError {
			paths[f.Path] = true
		}
	}
	return paths
}

// violationMessage is the rule's message, with the value when it is a text or a
// number. Values of a credential and of headers are left out: they may be a key
// that somebody put in the wrong place.
func violationMessage(v *protovalidate.Violation, path string) string {
	message := v.Proto.GetMessage()
	if !v.FieldValue.IsValid() || v.Proto.GetForKey() || strings.Contains(path, ".credential.") || strings.Contains(path, ".headers[") {
		return message
	}
	switch value := v.FieldValue.Interface().(type) {
	case string:
		return message + ", got " + quote(value)
	case float64, uint32:
		return fmt.Sprintf("%s, got %v", message, value)
	}
	return message
}

// errorf reports an error of the field at path.
func (o *outline) errorf(path, format string, a ...any) {
	o.reportAt(path, SeverityError, format, a...)
}

// warnf reports a warning about the field at path.
func (o *outline) warnf(path, format string, a ...any) {
	o.reportAt(path, SeverityWarning, format, a...)
}

func (o *outline) reportAt(path string, severity Severity, format string, a ...any) {
	at := o.place(path)
	o.report.add(Fault{
		Severity: severity, File: o.file, Line: at.line, Column: at.column,
		Path: path, Message: fmt.Sprintf(format, a...),
	})
}
