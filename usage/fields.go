package usage

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

var errMalformed = errors.New("malformed message")

// fields walks over the fields of one serialised message.
type fields struct {
	rest []byte
	num  protowire.Number
	typ  protowire.Type
	// value is that of a length-delimited field, n that of a number.
	value []byte
	n     uint64
	err   error
}

// next moves to the next field; false: there is none, or err says why.
func (f *fields) next() bool {
	if len(f.rest) == 0 || f.err != nil {
		return false
	}
	num, typ, size := protowire.ConsumeTag(f.rest)
	if size < 0 {
		f.err = fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(size))
		return false
	}
	f.num, f.typ, f.value, f.n = num, typ, nil, 0
	rest := f.rest[size:]
	switch typ {
	case protowire.BytesType:
		f.value, size = protowire.ConsumeBytes(rest)
	case protowire.VarintType:
		f.n, size = protowire.ConsumeVarint(rest)
	case protowire.Fixed64Type:
		f.n, size = protowire.ConsumeFixed64(rest)
	default:
		size = protowire.ConsumeFieldValue(num, typ, rest)
	}
	if size < 0 {
		f.err = fmt.Errorf("%w: field %d: %w", errMalformed, num, protowire.ParseError(size))
		return false
	}
	f.rest = rest[size:]
	return true
}

// message reports whether the field is number num and length-delimited: a
// message, a string or bytes.
func (f *fields) message(num protowire.Number) bool {
	return f.num == num && f.typ == protowire.BytesType
}
