package xds

import (
	"context"
	"slices"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	cachev3 "github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	serverv3 "github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// DefaultGrace is how long what a new policy no longer has stays with the
// Envoys after the swap and the start of the last attempt that may follow a
// decision under the old one: see Resources.Grace.
const DefaultGrace = 15 * time.Second

// Config is what a Server needs. The zero Config is good.
type Config struct {
	// Logger hears of Envoys that come, go and refuse. The zero Logger is silent.
	Logger zerolog.Logger
	// Identify, unless nil, returns the data zone that whoever opened the stream is
	// bound to: router.ZoneGlobal for all. The node may name that zone or none or,
	// where it is bound to all, any. An error ends the stream: it is sent nothing.
	Identify func(stream context.Context) (zone string, err error)
	// Grace is the time until what is retired is withdrawn. Zero: that of the
	// resources themselves, else DefaultGrace.
	Grace time.Duration
}

// Server hands resources to Envoys over ADS, delta or state of the world. It is
// safe for concurrent use; Close ends it.
type Server struct {
	log      zerolog.Logger
	grace    time.Duration
	identify func(context.Context) (string, error)
	cache    cachev3.SnapshotCache
	ads      serverv3.Server
	stop     context.CancelFunc
	done     chan struct{} // closed when the reaper has ended

	// publishing is held while resources are on their way, so that one
	// publication ends before the next begins. It is taken before mu.
	publishing chan struct{}
	wake       chan struct{} // tells the reaper that something was retired

	// showing is held while the cache is filled, and is taken before mu.
	showing sync.Mutex

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a stream says something
	streams map[streamID]*stream
	lost    []lostStream
	// generations are what the Envoys have together, the newest first.
	generations []*generation
	counters    Counters
	current     *Resources          // what is handed out now; nil before the first publication
	shown       map[view]*Resources // current's part for every view that has streams
	viewers     map[view]int        // streams by view
}

// generation is the resources of one policy.
type generation struct {
	resources *Resources
	expires   time.Time // zero: not retired
}

// streamID identifies a stream: the two protocols count separately.
type streamID struct {
	delta bool
	n     int64
}

// Counters count what happened since the server began, but for Streams, which
// is how many are open now.
type Counters struct {
	Streams      int
	Acks         uint64
	Nacks        uint64
	Publications uint64 // resources that came into force
	Failures     uint64 // resources that did not
}

// NewServer returns a server that has nothing to hand out yet: Envoys wait.
func NewServer(c Config) *Server {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{
		log: c.Logger, grace: c.Grace, identify: c.Identify, stop: stop, done: make(chan struct{}),
		cache:      cachev3.NewSnapshotCache(false, byView{}, nil),
		publishing: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		changed: make(chan struct{}), streams: make(map[streamID]*stream),
		viewers: make(map[view]int),
	}
	s.ads = serverv3.NewServer(ctx, s.cache, callbacks{s})
	go s.reap(ctx)
	return s
}

// Register adds the aggregated discovery service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(r, s.ads)
}

// Service is what Register adds, for a server that has other streams besides.
func (s *Server) Service() discoveryv3.AggregatedDiscoveryServiceServer { return s.ads }

// Close ends every stream and waits for the server's own goroutine. Envoys keep
// what they have.
func (s *Server) Close() {
	s.stop()
	<-s.done
}

// Nodes lists the connected Envoys by id.
func (s *Server) Nodes() []Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := make([]Node, 0, len(s.streams))
	for _, st := range s.streams {
		nodes = append(nodes, st.snapshot())
	}
	slices.SortFunc(nodes, compareNodes)
	return nodes
}

// Counters returns the current counts.
func (s *Server) Counters() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters
	c.Streams = len(s.streams)
	return c
}

// Published returns all that the Envoys are sent now, nil before the first
// publication. An Envoy of a zone is sent its part.
func (s *Server) Published() *Resources {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// notify wakes whoever waits for the streams. s.mu is held.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// callbacks keeps the books for go-control-plane's server.
type callbacks struct{ s *Server }

func (c callbacks) open(ctx context.Context, id streamID) error {
	st := newStream(id.delta)
	var err error
	if c.s.identify != nil {
		if st.bound, err = c.s.identify(ctx); err != nil {
			c.s.log.Warn().Err(err).Msg("a stream was refused for want of an identity")
			err = status.Error(codes.PermissionDenied, err.Error())
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.streams[id] = st
	return err
}

func (c callbacks) closed(id streamID, node *corev3.Node) {
	c.s.mu.Lock()
	st := c.s.streams[id]
	c.s.mu.Unlock()
	c.s.leave(st)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.lose(c.s.streams[id])
	delete(c.s.streams, id)
	c.s.notify()
	c.s.log.Info().Str("node", node.GetId()).Msg("envoy disconnected")
}

// begin is told of every request before anything else. The first one admits its
// node; later ones may repeat it. What the cache hands out goes by the node of
// each request, so a node that changed its zone would be sent another's. It
// returns the node as its identity has it, nil where the one of before goes on.
func (c callbacks) begin(id streamID, node *corev3.Node) (*corev3.Node, error) {
	c.s.mu.Lock()
	st := c.s.streams[id]
	admitted, v := st.admitted, st.view
	c.s.mu.Unlock()
	if admitted && node == nil {
		return nil, nil // the one of before
	}
	node, err := bind(node, st.bound)
	switch {
	case err != nil:
		return nil, err
	case !admitted:
		return node, c.s.admit(st, node)
	case viewOf(node) != v:
		return nil, errOtherNode
	}
	return node, nil
}

// identify notes who the Envoy is, and tells when it first says so.
func (c callbacks) identify(st *stream, node *corev3.Node) {
	if !st.identify(node) {
		return
	}
	c.s.found(st)
	log := c.s.log.With().Str("node", st.node.ID).Str("version", st.node.Envoy).Str("zone", st.node.Zone).Logger()
	if r := c.s.shown[st.view]; r != nil && st.view.zone != "" && len(r.Names(resourcev3.ClusterType)) == 1 {
		log.Warn().Msg("the policy has no backend in this envoy's zone: it will serve nothing")
	}
	if !st.node.Bootstrap {
		// See runtimeFlags in package envoy for what it misses.
		log.Warn().Msg("envoy was not started with wye's bootstrap: large bodies can crash it")
		return
	}
	log.Info().Msg("envoy connected")
}

// answer counts an ACK or a NACK.
func (c callbacks) answer(st *stream, acked, refused bool, typeURL, message string) {
	switch {
	case acked:
		c.s.counters.Acks++
	case refused:
		c.s.counters.Nacks++
		st.node.Rejected = &Rejection{NodeID: st.node.ID, TypeURL: typeURL, Message: message, At: time.Now()}
		st.types[typeURL].refused = st.node.Rejected
		c.s.log.Error().Str("node", st.node.ID).Str("type", typeURL).Str("reason", message).Msg("envoy refused resources")
	}
	c.s.notify()
}

// OnDeltaStreamOpen implements serverv3.Callbacks.
func (c callbacks) OnDeltaStreamOpen(ctx context.Context, n int64, _ string) error {
	return c.open(ctx, streamID{true, n})
}

// OnStreamOpen implements serverv3.Callbacks.
func (c callbacks) OnStreamOpen(ctx context.Context, n int64, _ string) error {
	return c.open(ctx, streamID{false, n})
}

// OnDeltaStreamClosed implements serverv3.Callbacks.
func (c callbacks) OnDeltaStreamClosed(n int64, node *corev3.Node) { c.closed(streamID{true, n}, node) }

// OnStreamClosed implements serverv3.Callbacks.
func (c callbacks) OnStreamClosed(n int64, node *corev3.Node) { c.closed(streamID{false, n}, node) }

// OnStreamDeltaRequest implements serverv3.Callbacks.
func (c callbacks) OnStreamDeltaRequest(n int64, r *discoveryv3.DeltaDiscoveryRequest) error {
	node, err := c.begin(streamID{true, n}, r.GetNode())
	if err != nil {
		return err
	}
	r.Node = node
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	st := c.s.streams[streamID{true, n}]
	c.identify(st, r.GetNode())
	acked, refused := st.receivedDelta(r)
	c.answer(st, acked, refused, r.GetTypeUrl(), r.GetErrorDetail().GetMessage())
	return nil
}

// OnStreamRequest implements serverv3.Callbacks. A NACK names the version that
// the Envoy still has. go-control-plane would see that it is not the current
// one and send that again at once, and so on for ever; so it is told that the
// Envoy has it.
func (c callbacks) OnStreamRequest(n int64, r *discoveryv3.DiscoveryRequest) error {
	node, err := c.begin(streamID{false, n}, r.GetNode())
	if err != nil {
		return err
	}
	r.Node = node
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	st := c.s.streams[streamID{false, n}]
	c.identify(st, r.GetNode())
	acked, refused := st.receivedWhole(r)
	c.answer(st, acked, refused, r.GetTypeUrl(), r.GetErrorDetail().GetMessage())
	if current := c.s.shown[st.view]; refused && current != nil {
		r.VersionInfo = current.Version(r.GetTypeUrl())
	}
	return nil
}

// OnStreamDeltaResponse implements serverv3.Callbacks.
func (c callbacks) OnStreamDeltaResponse(n int64, _ *discoveryv3.DeltaDiscoveryRequest, r *discoveryv3.DeltaDiscoveryResponse) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.streams[streamID{true, n}].sentDelta(r)
}

// OnStreamResponse implements serverv3.Callbacks.
func (c callbacks) OnStreamResponse(_ context.Context, n int64, _ *discoveryv3.DiscoveryRequest, r *discoveryv3.DiscoveryResponse) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.streams[streamID{false, n}].sentWhole(r)
}

// OnFetchRequest implements serverv3.Callbacks; REST is not registered.
func (callbacks) OnFetchRequest(context.Context, *discoveryv3.DiscoveryRequest) error { return nil }

// OnFetchResponse implements serverv3.Callbacks; REST is not registered.
func (callbacks) OnFetchResponse(*discoveryv3.DiscoveryRequest, *discoveryv3.DiscoveryResponse) {}
