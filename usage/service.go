package usage

import (
	"errors"
	"io"
	"sync"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wye/envoy"
)

// Service receives Envoy's access log. Make one with NewService.
type Service struct {
	accesslogv3.UnimplementedAccessLogServiceServer
	sink *Sink
	stop chan struct{}
	once sync.Once
}

// NewService returns a service whose entries go to sink.
func NewService(sink *Sink) *Service { return &Service{sink: sink, stop: make(chan struct{})} }

// Register adds the service to a gRPC server.
func (s *Service) Register(r grpc.ServiceRegistrar) { accesslogv3.RegisterAccessLogServiceServer(r, s) }

// Stop ends the open streams, which would otherwise last as long as their Envoys,
// and refuses later ones.
func (s *Service) Stop() { s.once.Do(func() { close(s.stop) }) }

var errStopped = status.Error(codes.Unavailable, "the access log service has stopped")

// StreamAccessLogs takes one Envoy worker's entries until either side ends.
func (s *Service) StreamAccessLogs(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	select {
	case <-s.stop:
		return errStopped
	default:
	}
	received := make(chan error, 1)
	go func() { received <- s.receive(stream) }() // ends when this returns
	select {
	case err := <-received:
		return err
	case <-s.stop:
		return errStopped
	}
}

func (s *Service) receive(stream accesslogv3.AccessLogService_StreamAccessLogsServer) error {
	ours := false
	for {
		message, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return stream.SendAndClose(&accesslogv3.StreamAccessLogsResponse{})
		case err != nil:
			return err
		}
		if id := message.GetIdentifier(); id != nil { // the first message of a stream
			if ours = id.GetLogName() == envoy.AccessLogName; !ours {
				return status.Errorf(codes.InvalidArgument, "the access log %q is not one that Wye reads", clip(id.GetLogName(), 64))
			}
		}
		if !ours {
			return status.Error(codes.InvalidArgument, "the first message must identify the access log")
		}
		s.sink.Entries(message.GetHttpLogs().GetLogEntry())
	}
}
