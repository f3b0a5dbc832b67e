package extproc

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of envoy.service.ext_proc.v3, envoy.config.core.v3,
// envoy.type.v3 and google.protobuf messages that are written.
const (
	outRequestHeaders  protowire.Number = 1 // ProcessingResponse
	outResponseHeaders protowire.Number = 2
	outRequestBody     protowire.Number = 3
	outResponseBody    protowire.Number = 4
	outResponseTrailer protowire.Number = 6
	outImmediate       protowire.Number = 7
	outDynamicMetadata protowire.Number = 8
	partResponse       protowire.Number = 1 // HeadersResponse, BodyResponse
	commonHeaders      protowire.Number = 2 // CommonResponse
	commonBody         protowire.Number = 3
	commonClearRoute   protowire.Number = 5
	mutationSet        protowire.Number = 1 // HeaderMutation
	mutationRemove     protowire.Number = 2
	optionHeader       protowire.Number = 1 // HeaderValueOption
	optionAction       protowire.Number = 3
	bodyStreamed       protowire.Number = 3 // BodyMutation
	streamedBody       protowire.Number = 1 // StreamedBodyResponse
	streamedEnd        protowire.Number = 2
	immediateStatus    protowire.Number = 1 // ImmediateResponse
	immediateHeaders   protowire.Number = 2
	immediateBody      protowire.Number = 3
	immediateDetails   protowire.Number = 5
	httpStatusCode     protowire.Number = 1 // HttpStatus
	structFields       protowire.Number = 1 // Struct
	entryKey           protowire.Number = 1 // map entry
	entryValue         protowire.Number = 2
	valueNumber        protowire.Number = 2 // Value
	valueString        protowire.Number = 3
	valueStruct        protowire.Number = 5
	valueList          protowire.Number = 6
	listValues         protowire.Number = 1 // ListValue
	overwriteOrAdd                      = 2 // HeaderAppendAction OVERWRITE_IF_EXISTS_OR_ADD
	maxBodyPrefix                       = 48
)

// open starts a length-delimited field of dst; close, given the offset that
// open returned, ends it. What is appended between the two is its content.
func open(dst []byte, num protowire.Number) (grown []byte, at int) {
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	return dst, len(dst)
}

// shut writes the length in front of the content, which moves by the length's
// size: contents are some hundred bytes, and moving them is cheaper than
// computing every size in advance.
func shut(dst []byte, at int) []byte {
	n := len(dst) - at
	size := protowire.SizeVarint(uint64(n))
	var room [10]byte
	dst = append(dst, room[:size]...)
	copy(dst[at+size:], dst[at:at+n])
	protowire.AppendVarint(dst[:at], uint64(n))
	return dst
}

func appendBytes[S ~string | ~[]byte](dst []byte, num protowire.Number, v S) []byte {
	dst = protowire.AppendTag(dst, num, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(len(v)))
	return append(dst, v...)
}

func appendVarint(dst []byte, num protowire.Number, v uint64) []byte {
	dst = protowire.AppendTag(dst, num, protowire.VarintType)
	return protowire.AppendVarint(dst, v)
}

// appendSetHeader appends one set_headers entry of a HeaderMutation, which
// replaces the header where it exists.
func appendSetHeader[S ~string | ~[]byte](dst []byte, key string, value S) []byte {
	dst, option := open(dst, mutationSet)
	dst, header := open(dst, optionHeader)
	dst = appendBytes(dst, headerValueKey, key)
	dst = appendBytes(dst, headerValueRawValue, value)
	dst = shut(dst, header)
	dst = appendVarint(dst, optionAction, overwriteOrAdd)
	return shut(dst, option)
}

// appendStringField appends a Struct field with a string value.
func appendStringField[S ~string | ~[]byte](dst []byte, key string, value S) []byte {
	dst, entry := openField(dst, key)
	dst, v := open(dst, entryValue)
	dst = appendBytes(dst, valueString, value)
	return shut(shut(dst, v), entry)
}

// openField starts a Struct field; its value is to follow.
func openField(dst []byte, key string) (grown []byte, at int) {
	dst, at = open(dst, structFields)
	return appendBytes(dst, entryKey, key), at
}

// appendBodyPrefix appends a ProcessingResponse whose streamed body response,
// for the body of the request or of the response, has a chunk of n bytes, all but
// the chunk: the body is the last field of every message it is nested in, so that
// it need not be copied.
func appendBodyPrefix(dst []byte, of protowire.Number, n int, end bool) []byte {
	streamed := 1 + protowire.SizeBytes(n)
	if end {
		streamed += 2
	}
	mutation := 1 + protowire.SizeBytes(streamed)
	common := 1 + protowire.SizeBytes(mutation)
	part := 1 + protowire.SizeBytes(common)
	for _, f := range [...]struct {
		num  protowire.Number
		size int
	}{{of, part}, {partResponse, common}, {commonBody, mutation}, {bodyStreamed, streamed}} {
		dst = protowire.AppendTag(dst, f.num, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(f.size))
	}
	if end {
		dst = appendVarint(dst, streamedEnd, 1)
	}
	dst = protowire.AppendTag(dst, streamedBody, protowire.BytesType)
	return protowire.AppendVarint(dst, uint64(n))
}

// appendImmediate appends a ProcessingResponse that ends the request with an
// answer of our own. headers appends set_headers entries.
func appendImmediate(dst []byte, status int, details string, body []byte, headers func([]byte) []byte) []byte {
	dst, immediate := open(dst, outImmediate)
	dst, at := open(dst, immediateStatus)
	dst = shut(appendVarint(dst, httpStatusCode, uint64(status)), at)
	dst, at = open(dst, immediateHeaders)
	dst = shut(headers(dst), at)
	dst = appendBytes(dst, immediateBody, body)
	if details != "" {
		dst = appendBytes(dst, immediateDetails, details)
	}
	return shut(dst, immediate)
}
