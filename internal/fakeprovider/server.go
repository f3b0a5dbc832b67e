package fakeprovider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Config describes one provider that serves one model.
type Config struct {
	// Address to listen on; empty: a free port on 127.0.0.1.
	Address string
	// Model is what the body's model field must say. A request for another
	// one is answered with 404 and counted in Stats.WrongModel.
	Model string
	// ServedAs is the model that responses report; empty: Model.
	ServedAs string
	// Zone is told in the response header HeaderZone.
	Zone string
	// Reasoning models think before they answer and refuse the parameters
	// that such models refuse.
	Reasoning bool
	// Refuse lists further request fields to refuse with 400.
	Refuse []string
	// Anthropic: it speaks Anthropic's Messages, and otherwise OpenAI's chat
	// completions and Responses.
	Anthropic bool
	// Key, unless empty, is the bearer token, or Anthropic's x-api-key, that
	// requests must carry.
	Key string
	// FirstToken is the time to the first token, TokenInterval the time each
	// further one takes.
	FirstToken, TokenInterval time.Duration
	// Tokens is the usual length of an answer; 0: 120.
	Tokens int
	// Seed of the answers and of Fault.Probability.
	Seed uint64
}

// The response headers that tell who answered.
const (
	HeaderZone  = "x-fake-zone"
	HeaderModel = "x-fake-model"
)

// defaultTokens is the usual length of an answer.
const defaultTokens = 120

// Stats counts what a server did since it started.
type Stats struct {
	Requests   int64 // chat completions requests that arrived
	InFlight   int64
	Answered   int64 // with 200, to the last byte
	WrongModel int64
	Refused    int64 // other 4xx
	Faults     int64 // errors on demand
	// Tokens as reported in usage, whether or not the client asked for it.
	PromptTokens, CachedTokens, CompletionTokens, ReasoningTokens int64
	// Told is what complete answers said in their usage; Untold is how many of
	// them had none, because they were streams whose client did not ask for it.
	Told   Told
	Untold int64
}

// Told sums up what answers said of the tokens they used.
type Told struct{ Answers, Prompt, Cached, Completion, Reasoning int64 }

// Exchange is a chat completions request as it arrived and when the answer to
// it left. The server does not change it once it is returned by Last.
type Exchange struct {
	Method, Path string
	Header       http.Header
	Body         []byte
	// Chunks are the times at which the events of a streamed answer were
	// written, [DONE] included.
	Chunks []time.Time
}

// Server is a running provider. It is safe for concurrent use.
type Server struct {
	config   Config
	http     http.Server
	listener net.Listener
	stop     context.CancelFunc
	done     chan error   // what Serve returned
	handlers sync.RWMutex // read-held while a request is answered
	cache    promptCache
	stored   responseStore

	stats struct {
		requests, inFlight, answered, wrongModel, refused, faults atomic.Int64
		prompt, cached, completion, reasoning                     atomic.Int64
		untold                                                    atomic.Int64
	}
	last atomic.Pointer[Exchange]

	mu     sync.Mutex
	told   Told
	fault  Fault
	random *rand.Rand
}

// Start starts a provider. It runs until Close or until ctx ends, and then
// breaks off the requests in flight.
func Start(ctx context.Context, c Config) (*Server, error) {
	if c.Model == "" {
		return nil, errors.New("fake provider: no model")
	}
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	if c.ServedAs == "" {
		c.ServedAs = c.Model
	}
	if c.Tokens == 0 {
		c.Tokens = defaultTokens
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("fake provider for %s: %w", c.Model, err)
	}
	ctx, stop := context.WithCancel(ctx)
	s := &Server{
		config: c, listener: listener, stop: stop, done: make(chan error, 1),
		random: rand.New(rand.NewPCG(c.Seed, c.Seed)),
	}
	s.http.Handler = http.HandlerFunc(s.serve)
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }
	s.http.ReadHeaderTimeout = 30 * time.Second
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	context.AfterFunc(ctx, func() { _ = s.http.Close() })
	go func() { s.done <- s.http.Serve(listener) }()
	return s, nil
}

// Addr is the host:port that the server listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close stops the server, breaks off what is in flight and waits for it to
// end. Closing twice is harmless.
func (s *Server) Close() error {
	s.stop()
	err := <-s.done
	s.done <- http.ErrServerClosed // for the next Close
	s.handlers.Lock()              // waits for the requests in flight
	defer s.handlers.Unlock()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("fake provider for %s: %w", s.config.Model, err)
	}
	return nil
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	told := s.told
	s.mu.Unlock()
	return Stats{
		Told: told, Untold: s.stats.untold.Load(),
		Requests: s.stats.requests.Load(), InFlight: s.stats.inFlight.Load(), Answered: s.stats.answered.Load(),
		WrongModel: s.stats.wrongModel.Load(), Refused: s.stats.refused.Load(), Faults: s.stats.faults.Load(),
		PromptTokens: s.stats.prompt.Load(), CachedTokens: s.stats.cached.Load(),
		CompletionTokens: s.stats.completion.Load(), ReasoningTokens: s.stats.reasoning.Load(),
	}
}

// Last returns the exchange that ended last, nil before the first. A
// request's exchange is there before its answer is complete at the client.
func (s *Server) Last() *Exchange { return s.last.Load() }

// SetFault makes every later request suffer f; the zero Fault ends that. A
// fault that a request's own header asks for goes first.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}
