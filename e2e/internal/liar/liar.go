// Package liar is a compromised ext_proc server: it stands between Envoy and
// Wye, sees every message, and says to Envoy whatever a test has it say.
package liar

import (
	"context"
	"maps"
	"net"
	"sync/atomic"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"
)

// Response is what goes to Envoy.
type Response = extprocv3.ProcessingResponse

// Lie changes a response on its way to Envoy.
type Lie func(*Response)

// Liar is the server. It is honest until it is told otherwise.
type Liar struct {
	extprocv3.UnimplementedExternalProcessorServer
	collectorv1.UnimplementedLogsServiceServer
	wye  extprocv3.ExternalProcessorClient
	logs collectorv1.LogsServiceClient
	lie  atomic.Pointer[Lie]
	told atomic.Int64
	grpc *grpc.Server
}

// Start listens at socket and takes what it is asked to the ext_proc server at
// wye, both paths of Unix sockets, until the test ends.
func Start(t testing.TB, socket, wye string) *Liar {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+wye, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l := &Liar{
		wye: extprocv3.NewExternalProcessorClient(conn), logs: collectorv1.NewLogsServiceClient(conn),
		grpc: grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20)),
	}
	collectorv1.RegisterLogsServiceServer(l.grpc, l)
	extprocv3.RegisterExternalProcessorServer(l.grpc, l)
	h := health.NewServer()
	h.SetServingStatus(extprocv3.ExternalProcessor_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(l.grpc, h)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = l.grpc.Serve(lis) // ends with Stop
	}()
	t.Cleanup(func() {
		l.grpc.Stop()
		<-done
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Tell has the liar say lie from the next response on; nil makes it honest.
func (l *Liar) Tell(lie Lie) {
	if lie == nil {
		l.lie.Store(nil)
		return
	}
	l.lie.Store(&lie)
}

// Told is how many responses were lies.
func (l *Liar) Told() int { return int(l.told.Load()) }

// Stop makes the liar vanish.
func (l *Liar) Stop() { l.grpc.Stop() }

// Process implements extprocv3.ExternalProcessorServer.
func (l *Liar) Process(down extprocv3.ExternalProcessor_ProcessServer) error {
	ctx, cancel := context.WithCancel(down.Context())
	defer cancel()
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		own := metadata.MD{}
		for k, v := range md {
			if len(k) > 4 && k[:4] == "wye-" {
				own[k] = v
			}
		}
		ctx = metadata.NewOutgoingContext(ctx, own)
	}
	up, err := l.wye.Process(ctx)
	if err != nil {
		return err
	}
	go func() {
		defer func() { _ = up.CloseSend() }()
		for {
			m, err := down.Recv()
			if err != nil || up.Send(m) != nil {
				return
			}
		}
	}()
	for {
		m, err := up.Recv()
		if err != nil {
			return err
		}
		if lie := l.lie.Load(); lie != nil {
			(*lie)(m)
			l.told.Add(1)
		}
		if err := down.Send(m); err != nil {
			return err
		}
	}
}

// Export implements collectorv1.LogsServiceServer: Envoy's log goes to Wye over the
// same server, and is passed on as it is.
func (l *Liar) Export(ctx context.Context, batch *collectorv1.ExportLogsServiceRequest) (*collectorv1.ExportLogsServiceResponse, error) {
	return l.logs.Export(ctx, batch)
}

// Fields puts metadata into every response that has any, beside what is there.
func Fields(namespaces map[string]any) Lie {
	return func(r *Response) {
		if r.GetDynamicMetadata() == nil {
			return
		}
		for ns, v := range namespaces {
			lied, err := structpb.NewValue(v)
			if err != nil {
				panic(err) // a test's own mistake
			}
			fields := r.GetDynamicMetadata().Fields
			if old := fields[ns].GetStructValue(); old != nil && lied.GetStructValue() != nil {
				maps.Copy(old.Fields, lied.GetStructValue().GetFields())
				continue
			}
			fields[ns] = lied
		}
	}
}

// Chain names the clusters of the attempts.
func Chain(clusters ...string) Lie {
	groups := []any{}
	for _, c := range clusters {
		groups = append(groups, map[string]any{"name": c, "clusters": []any{map[string]any{"cluster_name": c, "weight": 1}}})
	}
	return Fields(map[string]any{"wye.route": map[string]any{"priority_groups": groups}})
}

// Headers sets request headers: name, value, name, value.
func Headers(pairs ...string) Lie {
	return func(r *Response) {
		common := r.GetRequestHeaders().GetResponse()
		if common == nil {
			return
		}
		if common.HeaderMutation == nil {
			common.HeaderMutation = &extprocv3.HeaderMutation{}
		}
		for i := 0; i < len(pairs); i += 2 {
			common.HeaderMutation.SetHeaders = append(common.HeaderMutation.SetHeaders, &corev3.HeaderValueOption{
				Header:       &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])},
				AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
			})
		}
	}
}

// All tells several lies at once.
func All(lies ...Lie) Lie {
	return func(r *Response) {
		for _, lie := range lies {
			lie(r)
		}
	}
}
