package translate

import (
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// out writes JSON at the end of b, and the commas by itself: a value follows
// another exactly if what is written so far ends like one.
type out struct{ b []byte }

// separate writes the comma before a value or a name, where one is due.
func (o *out) separate() {
	if n := len(o.b); n > 0 {
		switch o.b[n-1] {
		case '{', '[', ':', ' ', '\n':
		default:
			o.b = append(o.b, ',')
		}
	}
}

// open starts an object or an array.
func (o *out) open(brace byte) {
	o.separate()
	o.b = append(o.b, brace)
}

// shut ends one.
func (o *out) shut(brace byte) { o.b = append(o.b, brace) }

// name starts a member of an object. It is plain ASCII.
func (o *out) name(n string) {
	o.separate()
	o.b = append(append(append(o.b, '"'), n...), '"', ':')
}

// raw writes a value that is JSON already.
func (o *out) raw(v string) {
	o.separate()
	o.b = append(o.b, v...)
}

// string writes s as a JSON string.
func (o *out) string(s string) {
	o.separate()
	o.b = append(o.b, '"')
	o.b = appendEscaped(o.b, s)
	o.b = append(o.b, '"')
}

func (o *out) int(n int64) {
	o.separate()
	o.b = strconv.AppendInt(o.b, n, 10)
}

// member writes a member whose value is JSON already, such as a name of another
// API's with the value as it was.
func (o *out) member(n, v string) {
	o.name(n)
	o.raw(v)
}

// text writes a member with a string value.
func (o *out) text(n, s string) {
	o.name(n)
	o.string(s)
}

// number writes a member with a whole number.
func (o *out) number(n string, v int64) {
	o.name(n)
	o.int(v)
}

// appendEscaped appends s as it stands between the quotes of a JSON string.
// Invalid UTF-8 becomes U+FFFD.
func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return dst
}

// inner is what stands between the quotes of a JSON string.
func inner(v gjson.Result) string {
	if v.Type != gjson.String || len(v.Raw) < 2 {
		return ""
	}
	return v.Raw[1 : len(v.Raw)-1]
}

// each calls f for the members of an object or the elements of an array until f
// returns an error, and returns that.
func each(v gjson.Result, f func(name string, v gjson.Result) error) (err error) {
	v.ForEach(func(key, v gjson.Result) bool {
		err = f(key.Str, v)
		return err == nil
	})
	return err
}

// isNull reports whether v says nothing: JSON's null, or no value at all.
func isNull(v gjson.Result) bool { return v.Type == gjson.Null }

// isBlank reports whether a JSON string has no characters but white space, as
// Anthropic's API has it, which refuses texts like that.
func isBlank(v gjson.Result) bool {
	for _, r := range v.String() {
		switch r {
		case ' ', '\t', '\n', '\r', '\v', '\f', 0x85, 0xa0:
		default:
			return false
		}
	}
	return true
}
