package extproc

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"wye/envoy"
)

// kind is which part of a request or its response a message carries.
type kind uint8

const (
	kindNone kind = iota // no part: flow control, or a part of a later protocol version
	kindHeaders
	kindBody
	kindTrailers
	// The response's parts, which only a translating cluster sends, and one whose responses are watched.
	kindResponseHeaders
	kindResponseBody
	kindResponseTrailers
)

// Field numbers of envoy.service.ext_proc.v3 and envoy.config.core.v3 messages
// that are read.
const (
	inRequestHeaders    protowire.Number = 2 // ProcessingRequest
	inResponseHeaders   protowire.Number = 3
	inRequestBody       protowire.Number = 4
	inResponseBody      protowire.Number = 5
	inRequestTrailers   protowire.Number = 6
	inResponseTrailers  protowire.Number = 7
	inMetadataContext   protowire.Number = 8
	inObservability     protowire.Number = 10
	inProtocolConfig    protowire.Number = 11
	protocolBodyMode    protowire.Number = 1 // ProtocolConfiguration
	httpHeadersHeaders  protowire.Number = 1 // HttpHeaders
	httpHeadersEnd      protowire.Number = 3
	httpBodyBody        protowire.Number = 1 // HttpBody
	httpBodyEnd         protowire.Number = 2
	metadataFilter      protowire.Number = 1 // Metadata
	headerMapHeaders    protowire.Number = 1 // HeaderMap
	headerValueKey      protowire.Number = 1 // HeaderValue
	headerValueValue    protowire.Number = 2
	headerValueRawValue protowire.Number = 3
)

// header is one header; pseudo-headers have their colon.
type header struct{ key, value []byte }

// inbound is one ProcessingRequest, as far as Wye reads it: views into a
// buffer that it holds until release. It is reusable.
type inbound struct {
	kind    kind
	end     bool // end_of_stream
	observe bool // observability_mode: Envoy ignores answers
	// hasConfig: the message has a protocol_config, in which bodyMode is the
	// request_body_mode. Envoy's first message has one.
	hasConfig bool
	bodyMode  uint64
	headers   []header
	body      []byte
	removed   []byte // what envoy.NamespaceRemoved has of the request

	held mem.Buffer
}

// release gives the message's memory back and forgets the views into it.
func (m *inbound) release() {
	if m.held != nil {
		m.held.Free()
		m.held = nil
	}
	clear(m.headers)
	*m = inbound{headers: m.headers[:0]}
}

var errMalformed = errors.New("malformed message")

// unmarshal reads a serialised ProcessingRequest; the views are into b. Unknown
// fields are skipped, and of a oneof set twice the last one counts, as protobuf
// has it. Only the UTF-8 check of strings is left out.
func (m *inbound) unmarshal(b []byte) error {
	return eachField(b, func(num protowire.Number, typ protowire.Type, value []byte, n uint64) error {
		switch {
		case typ == protowire.VarintType && num == inObservability:
			m.observe = n != 0
			return nil
		case typ != protowire.BytesType:
			return nil
		}
		switch num {
		case inRequestHeaders:
			m.part(kindHeaders)
			return m.unmarshalHeaders(value)
		case inRequestBody:
			m.part(kindBody)
			return m.unmarshalBody(value)
		case inRequestTrailers:
			m.part(kindTrailers)
		case inResponseHeaders:
			m.part(kindResponseHeaders)
			return m.unmarshalHeaders(value)
		case inResponseBody:
			m.part(kindResponseBody)
			return m.unmarshalBody(value)
		case inResponseTrailers:
			m.part(kindResponseTrailers)
		case inMetadataContext:
			return m.unmarshalMetadata(value)
		case inProtocolConfig:
			m.hasConfig = true
			return eachField(value, func(num protowire.Number, typ protowire.Type, _ []byte, n uint64) error {
				if num == protocolBodyMode && typ == protowire.VarintType {
					m.bodyMode = n
				}
				return nil
			})
		default: // a field that Wye has no use for
		}
		return nil
	})
}

// part starts the oneof over, unless it is set to the same part again, which
// protobuf merges.
func (m *inbound) part(k kind) {
	if m.kind != k {
		m.kind, m.end, m.body, m.headers = k, false, nil, m.headers[:0]
	}
}

func (m *inbound) unmarshalHeaders(b []byte) error {
	return eachField(b, func(num protowire.Number, typ protowire.Type, value []byte, n uint64) error {
		switch {
		case num == httpHeadersHeaders && typ == protowire.BytesType:
			return eachField(value, func(num protowire.Number, typ protowire.Type, value []byte, _ uint64) error {
				if num != headerMapHeaders || typ != protowire.BytesType {
					return nil
				}
				return m.unmarshalHeader(value)
			})
		case num == httpHeadersEnd && typ == protowire.VarintType:
			m.end = n != 0
		}
		return nil
	})
}

// unmarshalHeader takes the value from value or raw_value, whichever is set:
// which one Envoy uses depends on its version and settings.
func (m *inbound) unmarshalHeader(b []byte) error {
	var h header
	var raw []byte
	err := eachField(b, func(num protowire.Number, typ protowire.Type, value []byte, _ uint64) error {
		if typ != protowire.BytesType {
			return nil
		}
		switch num {
		case headerValueKey:
			h.key = value
		case headerValueValue:
			h.value = value
		case headerValueRawValue:
			raw = value
		default: // a field of a later version
		}
		return nil
	})
	if len(raw) > 0 {
		h.value = raw
	}
	m.headers = append(m.headers, h)
	return err
}

// unmarshalMetadata reads the one string of a Metadata that Wye has a use for.
func (m *inbound) unmarshalMetadata(b []byte) error {
	forget := func() { m.removed = nil }
	return eachEntry(b, metadataFilter, envoy.NamespaceRemoved, forget, func(b []byte) error {
		return eachEntry(b, structFields, envoy.KeyRemoved, forget, m.unmarshalRemoved)
	})
}

// unmarshalRemoved reads a google.protobuf.Value.
func (m *inbound) unmarshalRemoved(b []byte) error {
	return eachField(b, func(num protowire.Number, typ protowire.Type, value []byte, _ uint64) error {
		switch {
		case num == valueString && typ == protowire.BytesType:
			m.removed = value
		case num <= valueList && typ == valueTypes[num]: // another member of the oneof
			m.removed = nil
		}
		return nil
	})
}

// valueTypes are the wire types of a Value's fields.
var valueTypes = [...]protowire.Type{
	-1, protowire.VarintType, protowire.Fixed64Type, protowire.BytesType, protowire.VarintType, protowire.BytesType, protowire.BytesType,
}

// eachEntry calls begin for every entry with that key of the map field num of
// message b, which takes the place of those before it, and then f for each part
// of its value.
func eachEntry(b []byte, num protowire.Number, key string, begin func(), f func(value []byte) error) error {
	return eachField(b, func(n protowire.Number, typ protowire.Type, entry []byte, _ uint64) error {
		if n != num || typ != protowire.BytesType {
			return nil
		}
		is := false
		err := eachField(entry, func(n protowire.Number, typ protowire.Type, value []byte, _ uint64) error {
			if n == entryKey && typ == protowire.BytesType {
				is = string(value) == key
			}
			return nil
		})
		if err != nil || !is {
			return err
		}
		begin()
		return eachField(entry, func(n protowire.Number, typ protowire.Type, value []byte, _ uint64) error {
			if n == entryValue && typ == protowire.BytesType {
				return f(value)
			}
			return nil
		})
	})
}

func (m *inbound) unmarshalBody(b []byte) error {
	return eachField(b, func(num protowire.Number, typ protowire.Type, value []byte, n uint64) error {
		switch {
		case num == httpBodyBody && typ == protowire.BytesType:
			m.body = value
		case num == httpBodyEnd && typ == protowire.VarintType:
			m.end = n != 0
		}
		return nil
	})
}

// eachField calls f for every field of the message b. value is set for
// length-delimited fields, n for varints; other fields have neither.
func eachField(b []byte, f func(num protowire.Number, typ protowire.Type, value []byte, n uint64) error) error {
	for len(b) > 0 {
		num, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(size))
		}
		b = b[size:]
		var value []byte
		var n uint64
		switch typ {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(b)
		default:
			size = protowire.ConsumeFieldValue(num, typ, b)
		}
		if size < 0 {
			return fmt.Errorf("%w: field %d: %w", errMalformed, num, protowire.ParseError(size))
		}
		if err := f(num, typ, value, n); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}
