package extproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/extproc"
	"wye/router"
	"wye/wire"
)

// rawCodec moves serialised messages, so that the client's part of a benchmark
// is the same for every server and as small as gRPC allows.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is no serialised message", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	n, ok := v.(*int)
	if !ok {
		return fmt.Errorf("%T does not count bytes", v)
	}
	*n += data.Len()
	return nil
}

// BenchmarkStream is one request over a Unix socket, client and server in this
// process: the server against a no-op that answers the headers alone, which is
// the floor, and against the same work done with generated messages.
//
//	go test ./extproc -run='^$' -bench=Stream -benchtime=2s -count=5
func BenchmarkStream(b *testing.B) {
	var r router.Router
	r.Swap(testSnapshot(b, "p1"))
	servers := []struct {
		name  string
		serve func(net.Listener) (stop func())
		body  bool
	}{
		{"noop", serveService(noop{}), false},
		{"generated", serveService(generated{router: &r, reused: new(sync.Pool)}), true},
		{"wye", func(l net.Listener) func() {
			s := extproc.New(extproc.Config{Router: &r})
			go func() { _ = s.Serve(l) }()
			return s.Close
		}, true},
	}
	for _, size := range []struct {
		name  string
		bytes int
	}{{"2KB", 2 << 10}, {"32KB", 32 << 10}} {
		text := `{"model":"auto","messages":[{"role":"user","content":"` + strings.Repeat("lorem ", size.bytes/6) + `"}],"temperature":0.2}`
		for _, s := range servers {
			b.Run(s.name+"/"+size.name, func(b *testing.B) {
				l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
				if err != nil {
					b.Fatal(err)
				}
				defer s.serve(l)()
				conn, err := grpc.NewClient("unix:"+l.Addr().String(),
					grpc.WithTransportCredentials(insecure.NewCredentials()),
					grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = conn.Close() }()
				messages := []*extprocv3.ProcessingRequest{chat(len(text), "x-request-id", "5f0c", "user-agent", "bench", "accept", "*/*")}
				if s.body {
					messages = append(messages, body(text, true))
				}
				runStreams(b, conn, messages)
			})
		}
	}
}

// runStreams opens b.N streams, a few at a time, and reports the process's CPU
// time a stream.
func runStreams(b *testing.B, conn grpc.ClientConnInterface, messages []*extprocv3.ProcessingRequest) {
	b.Helper()
	var raw [][]byte
	for _, m := range messages {
		r, err := proto.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		raw = append(raw, r)
	}
	b.ReportAllocs()
	b.SetParallelism(4)
	before := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := oneStream(conn, raw); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func oneStream(conn grpc.ClientConnInterface, raw [][]byte) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := conn.NewStream(ctx, &extprocv3.ExternalProcessor_ServiceDesc.Streams[0], extprocv3.ExternalProcessor_Process_FullMethodName)
	if err != nil {
		return err
	}
	for i := range raw {
		if err := stream.SendMsg(&raw[i]); err != nil {
			return err
		}
	}
	var n int
	for range raw {
		if err := stream.RecvMsg(&n); err != nil {
			return err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(&n); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// serveService serves s with the options that Server has found to pay, so that
// what differs is the messages.
func serveService(s extprocv3.ExternalProcessorServer) func(net.Listener) func() {
	return func(l net.Listener) func() {
		g := grpc.NewServer(grpc.NumStreamWorkers(uint32(4 * runtime.GOMAXPROCS(0))))
		extprocv3.RegisterExternalProcessorServer(g, s)
		go func() { _ = g.Serve(l) }()
		return g.Stop
	}
}

// noop lets the headers pass.
type noop struct {
	extprocv3.UnimplementedExternalProcessorServer
}

func (noop) Process(ss extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		if _, err := ss.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.Send(&extprocv3.ProcessingResponse{
			Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}},
		}); err != nil {
			return err
		}
	}
}

// generated does a routed request's work with generated messages.
type generated struct {
	extprocv3.UnimplementedExternalProcessorServer
	router *router.Router
	reused *sync.Pool
}

// scratch is what both servers reuse.
type scratch struct {
	facts    wire.Facts
	decision router.Decision
}

func (s generated) Process(ss extprocv3.ExternalProcessor_ProcessServer) error {
	var text []byte
	for {
		m, err := ss.Recv()
		if err != nil {
			return err
		}
		text = append(text, m.GetRequestBody().GetBody()...)
		if m.GetRequestBody().GetEndOfStream() {
			break
		}
	}
	reused, ok := s.reused.Get().(*scratch)
	if !ok {
		reused = new(scratch)
	}
	defer s.reused.Put(reused)
	facts, d := &reused.facts, &reused.decision
	if p := wire.Scan(text, facts); p != nil {
		return p
	}
	if err := s.router.Snapshot().Route(&router.Request{Deployment: facts.Model, PromptTokensMax: facts.PromptTokensMax}, d); err != nil {
		return err
	}
	model, backend := d.First()
	edit := wire.Edit{Model: backend.SendAs, Drop: model.Parameters.Drop}
	text = wire.AppendRewrite(nil, text, facts, edit)
	metadata, err := structpb.NewStruct(map[string]any{
		"wye": map[string]any{
			"decision": "0123456789abcdef", "deployment": d.Deployment.Name, "mode": d.Mode.String(), "policy": d.Snapshot.Hash,
			"dropped": string(wire.AppendDropped(nil, facts, edit)),
		},
		"wye.route": groups(cluster(d.Snapshot, "l1", false), cluster(d.Snapshot, "s1", true)),
	})
	if err != nil {
		return err
	}
	set := func(key, value string) *corev3.HeaderValueOption {
		return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: key, RawValue: []byte(value)}}
	}
	if err := ss.Send(&extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{
			ClearRouteCache: true,
			HeaderMutation: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{
				set("content-length", "2048"),
			}},
		}}},
		DynamicMetadata: metadata,
	}); err != nil {
		return err
	}
	return ss.Send(&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{
		Response: &extprocv3.CommonResponse{BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{
			StreamedResponse: &extprocv3.StreamedBodyResponse{Body: text, EndOfStream: true},
		}}},
	}}})
}
