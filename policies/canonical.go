package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	"wye/policies/policyv1"
)

// hashBytes of the digest are shown: enough to tell any two policies apart that
// somebody will ever compare, short enough to read aloud.
const hashBytes = 6

// contentHash names a complete policy. The encoding is our own because
// protobuf's is not promised to stay the same from one release to the next, and
// a decision log must be readable after an upgrade.
func contentHash(p *policyv1.Policy) string {
	h := sha256.New()
	encode(h, p.ProtoReflect())
	return hex.EncodeToString(h.Sum(nil)[:hashBytes])
}

// encode writes the populated fields of m in the order of their numbers, each
// value delimited, so that no two messages read the same.
func encode(h hash.Hash, m protoreflect.Message) {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, fd)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	fmt.Fprint(h, "{")
	for _, fd := range fields {
		fmt.Fprintf(h, "%d:", fd.Number())
		v := m.Get(fd)
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				encodeValue(h, fd, v.List().Get(i))
			}
		case fd.IsMap():
			var keys []string
			v.Map().Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
				keys = append(keys, k.String())
				return true
			})
			slices.Sort(keys)
			for _, k := range keys {
				fmt.Fprintf(h, "%q=", k)
				encodeValue(h, fd.MapValue(), v.Map().Get(protoreflect.ValueOfString(k).MapKey()))
			}
		default:
			encodeValue(h, fd, v)
		}
	}
	fmt.Fprint(h, "}")
}

// encodeValue writes one value. Enums go by name, so that renumbering a value
// in the schema shows.
func encodeValue(h hash.Hash, fd protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch {
	case fd.Message() != nil:
		encode(h, v.Message())
	case fd.Enum() != nil:
		fmt.Fprintf(h, "%s,", fd.Enum().Values().ByNumber(v.Enum()).Name())
	case fd.Kind() == protoreflect.StringKind:
		fmt.Fprintf(h, "%q,", v.String())
	default:
		fmt.Fprintf(h, "%v,", v.Interface())
	}
}
