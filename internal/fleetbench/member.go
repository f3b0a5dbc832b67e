package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"

	"wye/control"
)

// simulateCommand is the hidden command under which the program starts itself to
// be some of the fleet: simulate ADDRESS KIND FIRST COUNT, with KIND member or
// envoy.
const simulateCommand = "simulate"

// acknowledgement is one policy at one member. A child writes them as JSON, one a
// line.
type acknowledgement struct {
	Node   string `json:"node"`
	Policy string `json:"policy"`
	At     int64  `json:"at"`    // nanoseconds since 1970
	Bytes  int64  `json:"bytes"` // of the response as gRPC framed it
	Parts  int    `json:"parts"`
}

// simulate is that command: it goes on until standard input closes.
func simulate(args []string, stdin io.Reader, stdout io.Writer) error {
	first, err := strconv.Atoi(args[2])
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	count, err := strconv.Atoi(args[3])
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // its end is all that matters
		cancel()
	}()
	out := &lines{w: bufio.NewWriter(stdout)}
	errs := make(chan error, count)
	var running sync.WaitGroup
	for i := first; i < first+count; i++ {
		running.Go(func() {
			var err error
			if args[1] == "envoy" {
				err = simulateEnvoy(ctx, args[0], fmt.Sprintf("envoy-%d", i))
			} else {
				err = simulateMember(ctx, args[0], fmt.Sprintf("member-%d", i), out)
			}
			if ctx.Err() == nil {
				errs <- err
				cancel()
			}
		})
	}
	running.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

// lines writes acknowledgements of many members.
type lines struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (l *lines) write(a acknowledgement) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.w.Write(append(text, '\n')); err != nil {
		return err
	}
	return l.w.Flush()
}

// wire counts what a connection receives.
type wire struct {
	stats.Handler
	mu    sync.Mutex
	bytes int64
}

// TagRPC implements stats.Handler.
func (*wire) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC implements stats.Handler.
func (w *wire) HandleRPC(_ context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InPayload); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.bytes += int64(in.WireLength)
	}
}

// TagConn implements stats.Handler.
func (*wire) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (*wire) HandleConn(context.Context, stats.ConnStats) {}

func (w *wire) take() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.bytes
	w.bytes = 0
	return n
}

func open(ctx context.Context, address string, w *wire) (*grpc.ClientConn, discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(w), grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10))
	if err != nil {
		return nil, nil, err
	}
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).
		DeltaAggregatedResources(ctx, grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(64<<20))
	return conn, stream, err
}

// simulateMember acknowledges policies.
func simulateMember(ctx context.Context, address, id string, out *lines) error {
	w := &wire{}
	conn, stream, err := open(ctx, address, w)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: id}, TypeUrl: control.TypeURL}); err != nil {
		return err
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: control.TypeURL, ResponseNonce: r.GetNonce()}); err != nil {
			return err
		}
		if err := out.write(acknowledgement{
			Node: id, Policy: r.GetSystemVersionInfo(), At: time.Now().UnixNano(), Bytes: w.take(), Parts: len(r.GetResources()),
		}); err != nil {
			return err
		}
	}
}

// simulateEnvoy acknowledges whatever an Envoy is sent.
func simulateEnvoy(ctx context.Context, address, id string) error {
	conn, stream, err := open(ctx, address, &wire{})
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, typeURL := range []string{
		resourcev3.ClusterType, resourcev3.EndpointType, resourcev3.SecretType, resourcev3.ListenerType, resourcev3.RouteType,
	} {
		r := &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: id}, TypeUrl: typeURL}
		if typeURL != resourcev3.ClusterType && typeURL != resourcev3.ListenerType {
			r.ResourceNamesSubscribe = []string{"*"}
		}
		if err := stream.Send(r); err != nil {
			return err
		}
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}); err != nil {
			return err
		}
	}
}

// simulated is the main program of a child.
func simulated() int {
	if err := simulate(os.Args[2:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleetbench:", err)
		return 1
	}
	return 0
}
