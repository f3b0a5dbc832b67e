package control

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// copyExcept returns a visitor that sets in to what it is shown, but for the named
// fields. Values are shared.
func copyExcept(to proto.Message, except ...protoreflect.Name) func(protoreflect.FieldDescriptor, protoreflect.Value) bool {
	m := to.ProtoReflect()
	return func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if !slices.Contains(except, fd.Name()) {
			m.Set(fd, v)
		}
		return true
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
