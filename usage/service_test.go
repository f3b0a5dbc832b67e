package usage_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"wye/internal/loglines"
	"wye/router"
	"wye/usage"
)

// codec does what that of the ext_proc server does.
type codec struct{ encoding.CodecV2 }

func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if r, ok := v.(interface{ ReadMessage([]byte) error }); ok {
		return r.ReadMessage(data.Materialize()) //nolint:misspell // gRPC's spelling
	}
	return fmt.Errorf("unexpected %T", v)
}

func serve(t *testing.T, s *usage.Service) collectorv1.LogsServiceClient {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(codec{encoding.GetCodecV2(proto.Name)}))
	s.Register(server)
	go func() { _ = server.Serve(lis) }() // ends with Stop
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return collectorv1.NewLogsServiceClient(conn)
}

func TestService(t *testing.T) {
	t.Parallel()
	sink, got, _ := newSink(t, usage.Config{})
	sink.Policy(snapshot(t, "p1", router.Usage{}))
	client := serve(t, usage.NewService(sink))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i, request := range []*collectorv1.ExportLogsServiceRequest{
		loglines.Request(entry("a", "p1", "c", object)),
		loglines.Request(entry("b", "p1", "c", object), entry("c", "p1", "c", object)),
		loglines.Request(),
	} {
		response, err := client.Export(ctx, request)
		if err != nil || response.GetPartialSuccess() != nil {
			t.Fatalf("batch %d: %v, %v", i, response, err)
		}
	}
	if len(got.all) != 3 || got.all[2].Decision != "c" {
		t.Errorf("%d records", len(got.all))
	}
	conn, err := client.Export(ctx, nil, grpc.ForceCodecV2(nonsense{codec{encoding.GetCodecV2(proto.Name)}}))
	if status.Code(err) != codes.Internal || conn != nil && conn.GetPartialSuccess() != nil {
		t.Errorf("nonsense: %v", err)
	}
}

// nonsense sends what is no message.
type nonsense struct{ encoding.CodecV2 }

func (nonsense) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer{0x0a, 0xff}}, nil
}
