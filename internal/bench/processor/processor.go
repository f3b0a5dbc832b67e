// Package processor has the reference ext_proc servers that Wye is measured
// against, written as plainly as grpc-go and go-control-plane allow: one that
// answers every message with an empty reply, and one that answers once with a
// rewritten body. It must not know Wye.
package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/tidwall/sjson"
	"google.golang.org/grpc"
)

// Kind is what a processor does.
type Kind string

const (
	// Noop answers each message it is sent with an empty reply of its kind.
	// Envoy's processing mode decides which messages there are.
	Noop Kind = "noop"
	// Rewrite expects FULL_DUPLEX_STREAMED bodies and answers headers and body
	// together at the end of the stream, with the body's model replaced.
	Rewrite Kind = "rewrite"
)

// What the Rewrite processor writes.
const (
	RewrittenModel = "bench-model"
	ClusterHeader  = "x-bench-cluster"
	Cluster        = "upstream"
)

// maxChunk bounds one reply's body; Envoy takes up to 64 KiB.
const maxChunk = 60 << 10

// Serve answers on lis until ctx is done.
func Serve(ctx context.Context, lis net.Listener, kind Kind) error {
	var process func(extprocv3.ExternalProcessor_ProcessServer) error
	switch kind {
	case Noop:
		process = noop
	case Rewrite:
		process = rewrite
	default:
		return fmt.Errorf("unknown processor %q", kind)
	}
	server := grpc.NewServer()
	extprocv3.RegisterExternalProcessorServer(server, handler{process: process})
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(lis); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", kind, err)
	}
	return nil
}

type handler struct {
	extprocv3.UnimplementedExternalProcessorServer
	process func(extprocv3.ExternalProcessor_ProcessServer) error
}

func (h handler) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	err := h.process(stream)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func noop(stream extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		reply := &extprocv3.ProcessingResponse{}
		switch request.Request.(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
			reply.Response = &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: &extprocv3.HeadersResponse{}}
		case *extprocv3.ProcessingRequest_RequestBody:
			reply.Response = &extprocv3.ProcessingResponse_RequestBody{RequestBody: &extprocv3.BodyResponse{}}
		case *extprocv3.ProcessingRequest_ResponseHeaders:
			reply.Response = &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &extprocv3.HeadersResponse{}}
		default:
			return fmt.Errorf("unexpected message %T", request.Request)
		}
		if err := stream.Send(reply); err != nil {
			return err
		}
	}
}

func rewrite(stream extprocv3.ExternalProcessor_ProcessServer) error {
	var body []byte
	for {
		request, err := stream.Recv()
		if err != nil {
			return err
		}
		switch message := request.Request.(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
		case *extprocv3.ProcessingRequest_RequestBody:
			if body == nil {
				body = message.RequestBody.Body
			} else {
				body = append(body, message.RequestBody.Body...)
			}
			if !message.RequestBody.EndOfStream {
				continue
			}
			if err := reply(stream, body); err != nil {
				return err
			}
		default:
			return fmt.Errorf("unexpected message %T", request.Request)
		}
	}
}

func reply(stream extprocv3.ExternalProcessor_ProcessServer, body []byte) error {
	body, err := sjson.SetBytes(body, "model", RewrittenModel)
	if err != nil {
		return fmt.Errorf("rewrite body: %w", err)
	}
	set := func(key, value string) *corev3.HeaderValueOption {
		return &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: key, RawValue: []byte(value)},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
	}
	err = stream.Send(&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{
		RequestHeaders: &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{
			ClearRouteCache: true,
			HeaderMutation: &extprocv3.HeaderMutation{SetHeaders: []*corev3.HeaderValueOption{
				set("content-length", strconv.Itoa(len(body))), set(ClusterHeader, Cluster),
			}},
		}},
	}})
	if err != nil {
		return err
	}
	for {
		chunk := body[:min(len(body), maxChunk)]
		body = body[len(chunk):]
		err := stream.Send(&extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestBody{
			RequestBody: &extprocv3.BodyResponse{Response: &extprocv3.CommonResponse{
				BodyMutation: &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_StreamedResponse{
					StreamedResponse: &extprocv3.StreamedBodyResponse{Body: chunk, EndOfStream: len(body) == 0},
				}},
			}},
		}})
		if err != nil || len(body) == 0 {
			return err
		}
	}
}
