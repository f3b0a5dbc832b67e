package fakeprovider

import (
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// maxSchemaDepth ends schemas that contain themselves.
const maxSchemaDepth = 16

// instance is a JSON text that satisfies a schema, of the kind that tools and
// structured output use: types, properties, items, enum, const, anyOf. It does
// not follow references.
func instance(schema gjson.Result, depth int) string {
	if c := schema.Get("const"); c.Exists() {
		return c.Raw
	}
	if e := schema.Get("enum.0"); e.Exists() {
		return e.Raw
	}
	if first := schema.Get("anyOf.0"); first.Exists() && depth < maxSchemaDepth {
		return instance(first, depth+1)
	}
	kind := schema.Get("type")
	if kind.IsArray() {
		kind = kind.Get("0")
	}
	switch kind.String() {
	case "string":
		return `"sample"`
	case "integer", "number":
		if least := schema.Get("minimum"); least.Exists() {
			return least.Raw
		}
		return strconv.Itoa(1)
	case "boolean":
		return "true"
	case "null":
		return "null"
	case "array":
		if depth >= maxSchemaDepth {
			return "[]"
		}
		return "[" + instance(schema.Get("items"), depth+1) + "]"
	}
	var b strings.Builder
	b.WriteByte('{')
	if depth < maxSchemaDepth {
		schema.Get("properties").ForEach(func(name, property gjson.Result) bool {
			if b.Len() > 1 {
				b.WriteByte(',')
			}
			b.WriteString(name.Raw + ":" + instance(property, depth+1))
			return true
		})
	}
	b.WriteByte('}')
	return b.String()
}
