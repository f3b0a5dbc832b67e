package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// word is what one kind of validation rule asks for; %s is the rule's value.
type word struct {
	rule   protoreflect.Name
	phrase string
}

// words are in the order in which they read best. A rule that is neither here
// nor a group of rules is an error, so that a new kind cannot go undocumented.
var words = []word{
	{"required", "required"},
	{"min_len", "at least %s characters"},
	{"max_len", "at most %s characters"},
	{"pattern", "matches `%s`"},
	{"host_and_port", ""}, // the field's comment says it
	{"in", "one of %s"},
	{"not_in", "none of %s"},
	{"gt", "more than %s"},
	{"gte", "at least %s"},
	{"lt", "less than %s"},
	{"lte", "at most %s"},
	{"min_items", "at least %s entries"},
	{"max_items", "at most %s entries"},
	{"min_pairs", "at least %s entries"},
	{"max_pairs", "at most %s entries"},
	{"unique", "no entry twice"},
	{"finite", ""}, // YAML has no other number
	{"defined_only", ""},
}

// onlyNotEmpty is shorter than its literal reading.
var onlyNotEmpty = strings.NewReplacer("at least 1 characters", "not empty", "at least 1 entries", "not empty")

// fieldLimits says in words what a field's validation rules allow.
func fieldLimits(f protoreflect.FieldDescriptor) (string, error) {
	rules, err := extension[*validate.FieldRules](f, validate.E_Field)
	if err != nil || rules == nil {
		return "", err
	}
	parts, err := describe(f, rules.ProtoReflect())
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.FullName(), err)
	}
	return onlyNotEmpty.Replace(strings.Join(parts, "; ")), nil
}

// messageLimits lists what a message's own rules ask for, in words.
func messageLimits(m protoreflect.MessageDescriptor) ([]string, error) {
	rules, err := extension[*validate.MessageRules](m, validate.E_Message)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, rule := range rules.GetCel() {
		all = append(all, rule.GetMessage())
	}
	oneofs := m.Oneofs()
	for i := range oneofs.Len() {
		o := oneofs.Get(i)
		if o.IsSynthetic() {
			continue // an optional field
		}
		rules, err := extension[*validate.OneofRules](o, validate.E_Oneof)
		if err != nil {
			return nil, err
		}
		var names []string
		for j := range o.Fields().Len() {
			names = append(names, "`"+string(o.Fields().Get(j).Name())+"`")
		}
		quantity := "at most one"
		if rules.GetRequired() {
			quantity = "exactly one"
		}
		all = append(all, quantity+" of "+strings.Join(names, ", "))
	}
	return all, nil
}

// describe puts one level of rules into words.
func describe(f protoreflect.FieldDescriptor, r protoreflect.Message) ([]string, error) {
	parts := make([]string, len(words), len(words)+4)
	fields := r.Descriptor().Fields()
	for i := range fields.Len() {
		rule := fields.Get(i)
		if !r.Has(rule) {
			continue
		}
		value := r.Get(rule)
		at := slices.IndexFunc(words, func(w word) bool { return w.rule == rule.Name() })
		switch {
		case at >= 0:
			text, err := operand(f, rule, value)
			if err != nil {
				return nil, err
			}
			phrase := words[at].phrase
			if strings.Contains(phrase, "%s") && text != "" {
				parts[at] = fmt.Sprintf(phrase, text)
			} else if !strings.Contains(phrase, "%s") {
				parts[at] = phrase
			}
		case rule.Name() == "cel":
			for j := range value.List().Len() {
				cel, ok := value.List().Get(j).Message().Interface().(*validate.Rule)
				if !ok {
					return nil, fmt.Errorf("%s is no list of rules", rule.FullName())
				}
				// Its message is written to be shown to operators.
				parts = append(parts, strings.TrimPrefix(cel.GetMessage(), "must be "))
			}
		case rule.Message() == nil || rule.IsList():
			return nil, fmt.Errorf("no words for the rule %s", rule.FullName())
		default:
			inner, err := describe(f, value.Message())
			if err != nil {
				return nil, err
			}
			switch rule.Name() {
			case "items", "keys", "values":
				if len(inner) > 0 {
					parts = append(parts, "each of the "+string(rule.Name())+": "+strings.Join(inner, ", "))
				}
			default: // the rules of one type: string, double, repeated and so on
				parts = append(parts, inner...)
			}
		}
	}
	return slices.DeleteFunc(parts, func(s string) bool { return s == "" }), nil
}

// operand spells the value of a rule.
func operand(f, rule protoreflect.FieldDescriptor, v protoreflect.Value) (string, error) {
	if rule.IsList() {
		var all []string
		for i := range v.List().Len() {
			item := v.List().Get(i).String()
			if e := f.Enum(); e != nil {
				value := e.Values().ByNumber(protoreflect.EnumNumber(v.List().Get(i).Int()))
				if value == nil {
					return "", fmt.Errorf("%s has no value %s", e.FullName(), item)
				}
				if item = string(value.Name()); strings.HasSuffix(item, unspecified) {
					continue
				}
			}
			all = append(all, "`"+item+"`")
		}
		return strings.Join(all, ", "), nil
	}
	if rule.Message() != nil {
		d, ok := v.Message().Interface().(*durationpb.Duration)
		if !ok {
			return "", fmt.Errorf("no words for a %s", rule.Message().FullName())
		}
		return strconv.FormatFloat(d.AsDuration().Seconds(), 'f', -1, 64) + "s", nil
	}
	if rule.Kind() == protoreflect.DoubleKind || rule.Kind() == protoreflect.FloatKind {
		return strconv.FormatFloat(v.Float(), 'f', -1, 64), nil
	}
	return v.String(), nil
}

// extension returns an option of d, nil when it is not set.
func extension[T proto.Message](d protoreflect.Descriptor, x protoreflect.ExtensionType) (option T, err error) {
	// The compiler has its own descriptors of the options; a round trip over
	// the wire makes them the linked Go types.
	wire, err := proto.Marshal(d.Options())
	if err != nil {
		return option, fmt.Errorf("%s: encode options: %w", d.FullName(), err)
	}
	linked := d.Options().ProtoReflect().Type().New().Interface()
	if err := proto.Unmarshal(wire, linked); err != nil {
		return option, fmt.Errorf("%s: decode options: %w", d.FullName(), err)
	}
	if !proto.HasExtension(linked, x) {
		return option, nil
	}
	option, ok := proto.GetExtension(linked, x).(T)
	if !ok {
		return option, fmt.Errorf("%s: option %s has another type", d.FullName(), x.TypeDescriptor().FullName())
	}
	return option, nil
}
