package extproc

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// outbound is one serialised ProcessingResponse; sending it consumes its
// reference to the buffers.
type outbound struct{ data mem.BufferSlice }

// reader is a message of Config.Services that reads itself, and keeps nothing of
// the bytes.
type reader interface{ ReadMessage(data []byte) error }

// codec moves inbound and outbound messages without generated types, and
// everything else on the server, such as health checks, as protobuf does.
type codec struct {
	fallback encoding.CodecV2
	// buffers joins messages that arrived in pieces. gRPC's default pool would
	// clear a whole mebibyte for a message of 33 KiB.
	buffers *bufferPool
}

func newCodec(p *bufferPool) codec {
	return codec{fallback: encoding.GetCodecV2(proto.Name), buffers: p}
}

// Name implements encoding.CodecV2. The bytes are protobuf's.
func (c codec) Name() string { return c.fallback.Name() }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(*outbound); ok {
		data := m.data
		m.data = nil
		return data, nil
	}
	data, err := c.fallback.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("marshal %T: %w", v, err)
	}
	return data, nil
}

// Unmarshal implements encoding.CodecV2. An inbound keeps a reference to data
// until its release.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(reader); ok {
		held := data.MaterializeToBuffer(c.buffers)
		defer held.Free()
		return r.ReadMessage(held.ReadOnlyData())
	}
	m, ok := v.(*inbound)
	if !ok {
		if err := c.fallback.Unmarshal(data, v); err != nil {
			return fmt.Errorf("unmarshal %T: %w", v, err)
		}
		return nil
	}
	m.release()
	m.held = data.MaterializeToBuffer(c.buffers)
	return m.unmarshal(m.held.ReadOnlyData())
}
