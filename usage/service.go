package usage

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Service receives Envoy's access log as OpenTelemetry's logs service, in batches.
// It needs a codec that knows of batches; see ReadMessage. Make one with
// NewService.
type Service struct{ sink *Sink }

// NewService returns a service whose entries go to sink.
func NewService(sink *Sink) *Service { return &Service{sink: sink} }

// ServiceName and MethodName are those of OpenTelemetry's logs service.
const (
	ServiceName = "opentelemetry.proto.collector.logs.v1.LogsService"
	MethodName  = "Export"
)

// Register adds the service to a gRPC server.
func (s *Service) Register(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: MethodName, Handler: export}},
	}, s)
}

// export takes one batch. The codec hands it over while it has the bytes.
//
//nolint:revive // the order of the arguments is gRPC's
func export(srv any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	if err := decode(&batch{srv.(*Service).sink}); err != nil { //nolint:forcetypeassert // Register's
		return nil, err
	}
	return new(emptypb.Empty), nil // a response without partial_success has no fields either
}

// batch is an ExportLogsServiceRequest, which is taken in as it is read, so that
// nothing of it is kept.
type batch struct{ sink *Sink }

// ReadMessage takes in a serialised batch; the bytes are only read during the call.
func (b *batch) ReadMessage(data []byte) error {
	if err := b.sink.Export(data); err != nil {
		return fmt.Errorf("access log: %w", err)
	}
	return nil
}
