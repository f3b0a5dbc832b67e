package xds

import (
	"context"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// show hands r out: to every view that has Envoys its part. Either all of them
// can be made, or nothing changes.
func (s *Server) show(r *Resources) error {
	s.showing.Lock()
	defer s.showing.Unlock()
	s.mu.Lock()
	parts := make(map[view]*Resources, len(s.viewers)+1)
	for v := range s.viewers {
		parts[v] = nil
	}
	s.mu.Unlock()
	parts[view{}] = r
	for v := range parts {
		part, err := r.of(v)
		if err != nil {
			return err
		}
		parts[v] = part
	}
	s.mu.Lock()
	s.current, s.shown = r, parts
	s.mu.Unlock()
	var errs []error
	for v, part := range parts {
		// Not the caller's context: a hand-over that ends half-way would leave some
		// streams out.
		errs = append(errs, s.cache.SetSnapshot(context.Background(), v.key(), published{part}))
	}
	return errors.Join(errs...)
}

// admit notes what the node of a new stream is to be sent, and sees that it is
// there to be sent. The error is for the stream.
func (s *Server) admit(st *stream, node *corev3.Node) error {
	v := viewOf(node)
	if release, known := releaseOf(node); known {
		if err := release.Served(); err != nil {
			s.log.Error().Err(err).Str("node", node.GetId()).Msg("an envoy is too old and is sent nothing")
			return status.Error(codes.FailedPrecondition, err.Error())
		}
	}
	if err := v.check(); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	s.showing.Lock()
	defer s.showing.Unlock()
	s.mu.Lock()
	current, known := s.current, s.shown[v] != nil
	s.mu.Unlock()
	var part *Resources
	if current != nil && !known {
		var err error
		if part, err = current.of(v); err != nil {
			s.log.Error().Err(err).Str("node", node.GetId()).Msg("no resources can be made for this envoy")
			return status.Error(codes.Internal, "no resources can be made for this node")
		}
		// Nobody waits for this key yet, so that this cannot block.
		if err := s.cache.SetSnapshot(context.Background(), v.key(), published{part}); err != nil {
			return fmt.Errorf("show resources: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if part != nil {
		s.shown[v] = part
	}
	s.viewers[v]++
	st.admitted, st.view = true, v
	return nil
}

// leave forgets a view when the last of its streams has ended.
func (s *Server) leave(st *stream) {
	s.showing.Lock()
	defer s.showing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.admitted {
		return
	}
	if s.viewers[st.view]--; s.viewers[st.view] > 0 {
		return
	}
	delete(s.viewers, st.view)
	if st.view != (view{}) {
		delete(s.shown, st.view)
		s.cache.ClearSnapshot(st.view.key())
	}
}

// errOtherNode ends a stream that goes on as another node.
var errOtherNode = status.Error(codes.PermissionDenied, "the node of a stream cannot move to another data zone")
