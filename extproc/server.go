package extproc

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
)

// Server answers Envoy's ext_proc filter. Make one with New. It is safe for
// concurrent use.
type Server struct {
	config   Config
	grpc     *grpc.Server
	health   *health.Server
	prepared preparedCache
	buffers  bufferPool
	inflight budget
	hold     hold
	gate     gate
	decoders decoders
	streams  sync.Pool // of *stream
}

// How gRPC is set up for very many streams of one message each, on few
// connections from one trusted Envoy.
const (
	// What a message may have beside a body. Clients' bodies come in chunks, but a
	// retry brings in one message what Envoy kept.
	maxMessageSlack = 1 << 20
	// One window takes a whole chunk without waiting for an update.
	streamWindow = 1 << 20
	connWindow   = 16 << 20
	maxStreams   = 1 << 16
	// A connection whose peer is frozen is given up after the sum of the two.
	pingAfter   = 30 * time.Second
	pingTimeout = 10 * time.Second
)

// New returns a server that is ready to Serve, and runs goroutines until Close
// or Drain. It panics when c has no Router.
func New(c Config) *Server {
	if c.Router == nil {
		panic("extproc: Config.Router is nil")
	}
	s := &Server{config: c.withDefaults(), health: health.NewServer()}
	s.inflight.limit = int64(s.config.MaxInflightBytes)
	s.gate = newGate(s.config.MaxDecisions, s.config.MaxWait)
	if c.Hold {
		s.hold.start()
	}
	s.streams.New = func() any { return newStream(s) }
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec(&s.buffers)),
		experimental.BufferPool(&s.buffers),
		grpc.InTapHandle(guardable),
		grpc.MaxRecvMsgSize(s.config.MaxInflightBytes + maxMessageSlack),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		// Streams are short and their stacks deep: growing a new goroutine's
		// stack for each was a fifth of the CPU time.
		grpc.NumStreamWorkers(uint32(4 * runtime.GOMAXPROCS(0))),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 100 * time.Millisecond, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingTimeout}),
	}
	if c.Credentials != nil {
		options = append(options, grpc.Creds(c.Credentials))
	}
	s.grpc = grpc.NewServer(options...)
	service := extprocv3.ExternalProcessor_ServiceDesc
	s.grpc.RegisterService(&grpc.ServiceDesc{
		ServiceName: service.ServiceName,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    service.Streams[0].StreamName,
			Handler:       s.process,
			ServerStreams: true,
			ClientStreams: true,
		}},
		Metadata: service.Metadata,
	}, nil)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	for _, register := range s.config.Services {
		register(s.grpc)
	}
	s.setServing(healthv1.HealthCheckResponse_SERVING)
	return s
}

// setServing answers health checks of the names that Envoy asks for.
func (s *Server) setServing(status healthv1.HealthCheckResponse_ServingStatus) {
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(extprocv3.ExternalProcessor_ServiceDesc.ServiceName, status)
}

// Serve accepts connections on l, which it closes, until Drain or Close, after
// which it returns nil. It may run for several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); err != nil {
		return fmt.Errorf("serve ext_proc on %s: %w", l.Addr(), err)
	}
	return nil
}

// Drain fails health checks from now on, lets Envoy notice for the duration
// notice, during which streams are still accepted, then finishes the open
// streams and stops. When ctx ends before that, the rest is cut off and ctx's
// error is returned.
func (s *Server) Drain(ctx context.Context, notice time.Duration) error {
	s.Release()
	s.setServing(healthv1.HealthCheckResponse_NOT_SERVING)
	timer := time.NewTimer(notice)
	defer timer.Stop()
	stopped := make(chan struct{})
	select {
	case <-timer.C:
	case <-ctx.Done():
		s.grpc.Stop()
		return fmt.Errorf("drain ext_proc: %w", ctx.Err())
	}
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		s.grpc.Stop()
		<-stopped
		return fmt.Errorf("drain ext_proc: %w", ctx.Err())
	}
}

// Close stops at once; open streams fail.
func (s *Server) Close() {
	s.setServing(healthv1.HealthCheckResponse_NOT_SERVING)
	s.grpc.Stop()
}

// process handles one stream. A panic in it ends only this stream, with an
// answer to the client.
func (s *Server) process(_ any, ss grpc.ServerStream) (err error) {
	st, _ := s.streams.Get().(*stream)
	st.begin(ss)
	defer func() {
		if v := recover(); v != nil {
			s.panicked(v)
			// What the panic left behind is not reused.
			err = st.abandon()
			return
		}
		st.end()
		s.streams.Put(st)
	}()
	return st.run()
}

// panicked reports a recovered panic. It is called from the deferred function
// that recovered, where the stack is still that of the panic.
func (s *Server) panicked(v any) {
	s.config.Logger.Error().Any("panic", v).Bytes("stack", debug.Stack()).Msg("ext_proc stream panicked")
	if s.config.Observer.Panic != nil {
		s.config.Observer.Panic()
	}
}
