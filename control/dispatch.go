package control

import (
	"errors"
	"io"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The two protocols of ADS, as they are shown.
const (
	protocolDelta = "delta"
	protocolWhole = "state-of-the-world"
)

// errNoEnvoys ends a stream for which there is nobody.
var errNoEnvoys = status.Error(codes.Unimplemented, "this control plane serves no Envoys, only "+TypeURL)

// errClosing ends the streams of a server that ends.
var errClosing = status.Error(codes.Unavailable, "the control plane is shutting down")

// DeltaAggregatedResources implements the service: the first request tells a
// member from an Envoy.
func (s *Server) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	first, err := stream.Recv()
	if err != nil {
		return closedBy(err)
	}
	if first.GetTypeUrl() != TypeURL {
		if s.config.Envoys == nil {
			return errNoEnvoys
		}
		return s.config.Envoys.DeltaAggregatedResources(&replayDelta{stream, first})
	}
	return run(stream.Context(), s, &deltaProtocol{stream: stream}, first)
}

// StreamAggregatedResources implements the service, likewise.
func (s *Server) StreamAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	first, err := stream.Recv()
	if err != nil {
		return closedBy(err)
	}
	if first.GetTypeUrl() != TypeURL {
		if s.config.Envoys == nil {
			return errNoEnvoys
		}
		return s.config.Envoys.StreamAggregatedResources(&replayWhole{stream, first})
	}
	return run(stream.Context(), s, &wholeProtocol{stream: stream}, first)
}

// closedBy is the end of a stream by its other side: no fault of ours.
func closedBy(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// replayDelta is a stream whose first request has been read already.
type replayDelta struct {
	discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer
	first *discoveryv3.DeltaDiscoveryRequest
}

// Recv implements the stream.
func (r *replayDelta) Recv() (*discoveryv3.DeltaDiscoveryRequest, error) {
	if first := r.first; first != nil {
		r.first = nil
		return first, nil
	}
	return r.AggregatedDiscoveryService_DeltaAggregatedResourcesServer.Recv()
}

// replayWhole is replayDelta for the other protocol.
type replayWhole struct {
	discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer
	first *discoveryv3.DiscoveryRequest
}

// Recv implements the stream.
func (r *replayWhole) Recv() (*discoveryv3.DiscoveryRequest, error) {
	if first := r.first; first != nil {
		r.first = nil
		return first, nil
	}
	return r.AggregatedDiscoveryService_StreamAggregatedResourcesServer.Recv()
}
