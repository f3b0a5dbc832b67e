package extproc

import (
	"bytes"
	"errors"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
)

// reading is what an inbound found, without its memory.
type reading struct {
	Kind      kind
	End       bool
	Observe   bool
	HasConfig bool
	BodyMode  uint64
	Headers   [][2]string
	Body      string
	Removed   string
}

func (m *inbound) reading() reading {
	r := reading{m.kind, m.end, m.observe, m.hasConfig, m.bodyMode, nil, string(m.body), string(m.removed)}
	for _, h := range m.headers {
		r.Headers = append(r.Headers, [2]string{string(h.key), string(h.value)})
	}
	return r
}

// reference is the reading that the generated types give.
func reference(m *extprocv3.ProcessingRequest) reading {
	r := reading{
		Observe: m.GetObservabilityMode(),
		Removed: m.GetMetadataContext().GetFilterMetadata()[envoy.NamespaceRemoved].GetFields()[envoy.KeyRemoved].GetStringValue(),
	}
	if c := m.GetProtocolConfig(); c != nil {
		r.HasConfig, r.BodyMode = true, uint64(c.GetRequestBodyMode())
	}
	switch part := m.GetRequest().(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		r.Kind, r.End = kindHeaders, part.RequestHeaders.GetEndOfStream()
		r.takeHeaders(part.RequestHeaders)
	case *extprocv3.ProcessingRequest_RequestBody:
		r.Kind, r.End, r.Body = kindBody, part.RequestBody.GetEndOfStream(), string(part.RequestBody.GetBody())
	case *extprocv3.ProcessingRequest_RequestTrailers:
		r.Kind = kindTrailers
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		r.Kind, r.End = kindResponseHeaders, part.ResponseHeaders.GetEndOfStream()
		r.takeHeaders(part.ResponseHeaders)
	case *extprocv3.ProcessingRequest_ResponseBody:
		r.Kind, r.End, r.Body = kindResponseBody, part.ResponseBody.GetEndOfStream(), string(part.ResponseBody.GetBody())
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		r.Kind = kindResponseTrailers
	}
	return r
}

func (r *reading) takeHeaders(h *extprocv3.HttpHeaders) {
	for _, h := range h.GetHeaders().GetHeaders() {
		value := h.GetValue()
		if len(h.GetRawValue()) > 0 {
			value = string(h.GetRawValue())
		}
		r.Headers = append(r.Headers, [2]string{h.GetKey(), value})
	}
}

func samples() []*extprocv3.ProcessingRequest {
	config := &extprocv3.ProtocolConfiguration{RequestBodyMode: extprocfilterv3.ProcessingMode_FULL_DUPLEX_STREAMED, SendBodyWithoutWaitingForHeaderResponse: true}
	headers := &corev3.HeaderMap{Headers: []*corev3.HeaderValue{
		{Key: ":path", RawValue: []byte("/v1/chat/completions")},
		{Key: "x-wye-mode", Value: "cost"},
		{Key: "empty"},
		{},
		{Key: "both", Value: "value", RawValue: []byte("raw")},
	}}
	return []*extprocv3.ProcessingRequest{
		{},
		{ObservabilityMode: true, ProtocolConfig: config},
		{ProtocolConfig: &extprocv3.ProtocolConfiguration{}},
		{
			ProtocolConfig: config,
			Request: &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: &extprocv3.HttpHeaders{
				Headers: headers, EndOfStream: true,
			}},
			MetadataContext: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
				"x": {}, envoy.NamespaceRemoved: {Fields: map[string]*structpb.Value{
					envoy.KeyRemoved: structpb.NewStringValue(`"top_p":1`), "y": structpb.NewNumberValue(1),
				}},
			}},
			Attributes: map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {}},
		},
		{Request: &extprocv3.ProcessingRequest_RequestHeaders{}},
		{MetadataContext: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			envoy.NamespaceRemoved: {Fields: map[string]*structpb.Value{envoy.KeyRemoved: structpb.NewBoolValue(true)}},
		}}},
		{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte(`{"model":"auto"}`), EndOfStream: true}}},
		{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte("x"), GrpcMessageCompressed: true}}},
		{Request: &extprocv3.ProcessingRequest_RequestTrailers{RequestTrailers: &extprocv3.HttpTrailers{Trailers: headers}}},
		{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extprocv3.HttpHeaders{Headers: headers}}},
		{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte("x"), EndOfStream: true}}},
		{Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{}}},
	}
}

// FuzzInbound holds the reader against protobuf's: on every message that
// protobuf accepts, both read the same, and what this reader refuses, protobuf
// does.
func FuzzInbound(f *testing.F) {
	var all []byte
	for _, m := range samples() {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		all = append(all, b...) // Concatenation is merging.
		f.Add(all)
	}
	f.Add([]byte{0x12, 0x05, 0x0a})       // truncated
	f.Add([]byte{0x12, 0x02, 0x0a, 0x09}) // truncated headers
	f.Add([]byte{0x12, 0x04, 0x0a, 0x02, 0x0a, 0x09})
	f.Add([]byte{0x12, 0x06, 0x0a, 0x04, 0x0a, 0x02, 0x0a, 0x09})
	f.Add([]byte{0x22, 0x02, 0x0a, 0x09})                         // truncated body
	f.Add([]byte{0x12, 0x04, 0x0a, 0x02, 0x08, 0x00})             // a number where headers are due
	f.Add([]byte{0x12, 0x06, 0x0a, 0x04, 0x0a, 0x02, 0x08, 0x00}) // and where a key is
	f.Add([]byte{0x5a, 0x01, 0x08})                               // truncated configuration
	f.Add([]byte{0x0b, 0x0c, 0x3d, 1, 2, 3, 4})                   // group, fixed32
	f.Fuzz(func(t *testing.T, b []byte) {
		var want extprocv3.ProcessingRequest
		wantErr := proto.Unmarshal(b, &want)
		var got inbound
		err := got.unmarshal(b)
		if err != nil {
			if wantErr == nil {
				t.Fatalf("refused with %v: %v", err, &want)
			}
			return
		}
		if wantErr != nil {
			return // Only protobuf looks at every field and at UTF-8.
		}
		if diff := cmp.Diff(reference(&want), got.reading()); diff != "" {
			t.Error(diff)
		}
	})
}

// A message in several buffers is read as one in a single buffer is, through
// the codec.
func TestCodecSplitBuffers(t *testing.T) {
	t.Parallel()
	c := newCodec(new(bufferPool))
	var m inbound
	for _, sample := range samples() {
		b, err := proto.Marshal(sample)
		if err != nil {
			t.Fatal(err)
		}
		for cut := range len(b) + 1 {
			data := mem.BufferSlice{mem.SliceBuffer(b[:cut]), mem.SliceBuffer(b[cut:])}
			if err := c.Unmarshal(data, &m); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(reference(sample), m.reading()); diff != "" {
				t.Fatalf("cut at %d: %s", cut, diff)
			}
		}
	}
	m.release()
	if diff := cmp.Diff(reading{}, m.reading()); diff != "" {
		t.Errorf("after release: %s", diff)
	}
}

// Other messages of the server go through protobuf.
func TestCodecFallback(t *testing.T) {
	t.Parallel()
	c := newCodec(new(bufferPool))
	want := &corev3.HeaderValue{Key: "k", Value: "v"}
	data, err := c.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got corev3.HeaderValue
	if err := c.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if _, err := c.Marshal(42); err == nil {
		t.Error("a number was marshalled")
	}
	if err := c.Unmarshal(data, new(int)); err == nil {
		t.Error("a number was unmarshalled")
	}
}

// What the writers append is what protobuf would, field for field.
func TestOutbound(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("x"), 20_000)
	for name, tc := range map[string]struct {
		got  []byte
		want *extprocv3.ProcessingResponse
	}{
		"body": {append(appendBodyPrefix(nil, outRequestBody, 3, false), "abc"...), streamedReply([]byte("abc"), false)},
		"end":  {append(appendBodyPrefix(nil, outRequestBody, 3, true), "abc"...), streamedReply([]byte("abc"), true)},
		"long": {append(appendBodyPrefix(nil, outRequestBody, len(long), true), long...), streamedReply(long, true)},
		"immediate": {
			appendImmediate(nil, 413, "wye_x", long, func(dst []byte) []byte {
				return appendSetHeader(dst, "content-type", "application/json")
			}),
			&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{ImmediateResponse: &extprocv3.ImmediateResponse{
				Status:  &typev3.HttpStatus{Code: typev3.StatusCode_PayloadTooLarge},
				Headers: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{setHeader("content-type", "application/json")}},
				Body:    long,
				Details: "wye_x",
			}}},
		},
	} {
		var got extprocv3.ProcessingResponse
		if err := proto.Unmarshal(tc.got, &got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tc.want, &got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		// Nothing is longer than it need be.
		if n := proto.Size(tc.want); n != len(tc.got) {
			t.Errorf("%s: %d bytes, protobuf takes %d", name, len(tc.got), n)
		}
	}
}

func setHeader(key, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: key, RawValue: []byte(value)}, AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func streamedReply(body []byte, end bool) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{
		Response: &extprocv3.CommonResponse{BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{
			StreamedResponse: &extprocv3.StreamedBodyResponse{Body: body, EndOfStream: end},
		}}},
	}}}
}

func TestBufferPool(t *testing.T) {
	t.Parallel()
	var p bufferPool
	for _, n := range []int{0, 1, 4095, 4096, 4097, 16384, 16385, 65536, 262145, 1 << 20, 1<<20 + 1} {
		b := p.Get(n)
		if len(*b) != n {
			t.Errorf("Get(%d) has length %d", n, len(*b))
		}
		p.Put(b)
		if again := p.Get(n); len(*again) != n {
			t.Errorf("second Get(%d) has length %d", n, len(*again))
		}
	}
	// A buffer whose capacity is between two classes serves the lower one.
	odd := make([]byte, 0, 5000)
	p.Put(&odd)
	if b := p.Get(5000); len(*b) != 5000 {
		t.Errorf("Get(5000) has length %d", len(*b))
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := budget{limit: 16}
	if !b.take(10, false) || !b.take(6, false) || b.take(1, false) {
		t.Error("the limit does not hold")
	}
	b.give(6)
	if b.take(5, true) || !b.take(4, true) {
		t.Error("large bodies have not seven eighths")
	}
	if !b.take(2, false) {
		t.Error("the rest is not there for small ones")
	}
}

// collecting is a message of another service: it reads itself.
type collecting struct {
	got string
	err error
}

func (c *collecting) ReadMessage(data []byte) error {
	c.got = string(data)
	return c.err
}

// A message that reads itself is handed its bytes, however they came, and its
// error is the codec's.
func TestCodecOfOtherServices(t *testing.T) {
	t.Parallel()
	c := newCodec(new(bufferPool))
	refused := errors.New("refused")
	m := &collecting{err: refused}
	if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer("in "), mem.SliceBuffer("pieces")}, m); !errors.Is(err, refused) || m.got != "in pieces" {
		t.Errorf("%q, %v", m.got, err)
	}
}
