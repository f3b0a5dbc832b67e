package extproc

import (
	"encoding/hex"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"wye/affinity"
	"wye/limits"
	"wye/router"
	"wye/wire"
)

// The defaults of a Config.
const (
	DefaultMaxBodyBytes     = 16 << 20
	DefaultMaxInflightBytes = 256 << 20
	DefaultIdleTimeout      = 30 * time.Second
	DefaultMaxWait          = 500 * time.Millisecond
)

// Config is what a Server needs. Only Router is required; a zero field has the
// default named beside it.
type Config struct {
	// Router holds the snapshot. A request is decided under the one in force
	// when its body is complete; the one at its headers only bounds the body.
	Router *router.Router
	// Logger hears of panics and of nothing else: an error that a client is
	// told about is the Observer's to count. The zero Logger is silent.
	Logger zerolog.Logger
	// MaxBodyBytes bounds a request body, before and after decoding, of a
	// deployment that sets no bound itself. DefaultMaxBodyBytes.
	MaxBodyBytes int
	// MaxInflightBytes bounds the body bytes that all streams hold together; a
	// request beyond it is refused with 503. A body counts with the memory made
	// for it, up to twice what has arrived; its rewritten copy does not count. An
	// eighth of it is for bodies of up to 64 KiB alone.
	// DefaultMaxInflightBytes.
	MaxInflightBytes int
	// MaxDecisions is how many requests are decided at once. Two a processor.
	MaxDecisions int
	// MaxWait is how long a complete request waits for its turn; one that waited
	// longer is refused with 503. DefaultMaxWait.
	MaxWait time.Duration
	// IdleTimeout is how long a stream may wait for its next message. Slow
	// clients are legitimate, silent ones are refused with 408.
	// DefaultIdleTimeout.
	IdleTimeout time.Duration
	// Hold lets requests arrive but has none decided until Server.Release: what a
	// decision names must be with Envoy first, and only the control half knows.
	// A stream waits at most IdleTimeout.
	Hold bool
	// RouteLag is how long after a policy came into force Envoy may still route
	// by the tables of the one before. DefaultRouteLag; negative: not at all.
	RouteLag time.Duration
	// AppendID appends a decision id of printable ASCII to dst. It is called
	// concurrently. 16 random hex digits.
	AppendID func(dst []byte) []byte
	// Services are registered beside ext_proc, for those who speak to Wye over the
	// same connections. Their streams must end by the time of Drain.
	Services []func(grpc.ServiceRegistrar)
	// Credentials, unless nil, are the connections' TLS.
	Credentials credentials.TransportCredentials
	// Limits counts what deployments with limits use. A new one.
	Limits *limits.Limiter
	// Spending counts what deployments with a budget spend. A new one.
	Spending *limits.Spending
	// Affinity remembers conversations. A new table of affinity.DefaultEntries.
	Affinity *affinity.Table
	// Observer is told what happened.
	Observer Observer
}

// Observer is told what happened, synchronously, from the goroutine of the
// stream or, when a request ran out of time, of its timer. A nil field is
// skipped. Functions must be safe for concurrent use
// and quick.
type Observer struct {
	// Decision: a request was routed. Called before the reply is sent.
	Decision func(*Event)
	// Problem: a request was refused. Event.Decision is meaningful as far as
	// routing came.
	Problem func(*Event, *wire.Problem)
	// Fallback: the body of a retry was rewritten for another model.
	Fallback func()
	// Opening: an answer of status 200 was taken for a failure before its first
	// token, and the request goes on to the next backend.
	Opening func(OpeningFault)
	// Protocol: a stream was ended because Envoy's messages made no sense.
	Protocol func(error)
	// Panic: a panic was contained to its stream.
	Panic func()
}

// Event is one request as an Observer sees it. It and everything it points to
// are valid only during the call. Request and Decision are never nil; they are
// zero for a request that was refused before it was read, and for one whose
// body did not arrive in time, of which ID and Snapshot are not known either.
type Event struct {
	ID       []byte           // of the decision
	Fallback bool             // a retry's body was refused; the decision was an earlier stream's
	Snapshot *router.Snapshot // nil when there was none
	Request  *router.Request
	Decision *router.Decision
	// BodyBytes is the size of the decoded body, as far as it was read.
	BodyBytes int
	// Elapsed is the time spent on decoding, scanning, routing and rewriting;
	// not the wait for the body.
	Elapsed time.Duration
}

func (c Config) withDefaults() Config {
	if c.MaxBodyBytes <= 0 {
		c.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if c.MaxInflightBytes <= 0 {
		c.MaxInflightBytes = DefaultMaxInflightBytes
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = DefaultIdleTimeout
	}
	if c.MaxWait <= 0 {
		c.MaxWait = DefaultMaxWait
	}
	if c.Affinity == nil {
		c.Affinity = affinity.New(affinity.DefaultEntries, nil)
	}
	if c.RouteLag == 0 {
		c.RouteLag = DefaultRouteLag
	}
	if c.Limits == nil {
		c.Limits = limits.New(nil)
	}
	if c.Spending == nil {
		c.Spending = limits.NewSpending(nil)
	}
	if c.AppendID == nil {
		c.AppendID = appendRandomID
	}
	return c
}

// appendRandomID needs no secrecy, only ids that do not meet.
func appendRandomID(dst []byte) []byte {
	v := rand.Uint64()
	var b [8]byte
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return hex.AppendEncode(dst, b[:])
}
