package usage

import (
	"sync"
	"sync/atomic"
	"time"

	"wye/router"
)

// Config is what a Sink needs. A zero field has the default named beside it.
type Config struct {
	// Readers are called with every record, one after the other, from the
	// goroutine that received it, possibly several at once; they must be quick.
	Readers []func(*Record)
	// Brief leaves out of records what only the decision log wants: candidates,
	// chain, and of the inputs all but numbers. A brief record is the next one's
	// once its readers have returned.
	Brief bool
	// KeepText keeps the text that the predictor read in each record.
	KeepText bool
	// MaxPending bounds the requests that were decided and whose end is not
	// reported. DefaultMaxPending.
	MaxPending int
	// Now is the clock. time.Now.
	Now func() time.Time
}

// DefaultMaxPending is the default of Config.MaxPending: some tens of megabytes
// at most.
const DefaultMaxPending = 1 << 15

// Policies are remembered beyond their time, because a request is accounted for
// under the one that decided it.
const maxPolicies = 16

// reportMargin is how much longer than its deployment's timeout a request is
// waited for.
const reportMargin = time.Minute

// Sink joins decisions and access log entries. It is safe for concurrent use.
type Sink struct {
	config  Config
	pending *pending
	names   *names
	records sync.Pool // of *Record, where they are brief

	mu       sync.RWMutex
	policies []*router.Snapshot // the newest last
	readers  []func(*Record)

	entries, strangers, undecided atomic.Int64
}

// NewSink returns a Sink. It runs no goroutine.
func NewSink(c Config) *Sink {
	if c.MaxPending <= 0 {
		c.MaxPending = DefaultMaxPending
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sink{config: c, pending: newPending(c.MaxPending, c.KeepText), names: newNames(), readers: c.Readers}
}

// Policy tells the sink of a policy that comes into force.
func (s *Sink) Policy(snapshot *router.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range s.policies {
		if p.Hash == snapshot.Hash {
			s.policies = append(s.policies[:i], s.policies[i+1:]...)
			break
		}
	}
	s.policies = append(s.policies, snapshot)
	if n := len(s.policies) - maxPolicies; n > 0 {
		s.policies = append(s.policies[:0], s.policies[n:]...)
	}
	longest := time.Duration(0)
	for _, p := range s.policies {
		for i := range p.Deployments {
			longest = max(longest, p.Deployments[i].Timeout)
		}
	}
	s.pending.setMaxAge(longest + reportMargin)
}

// policy returns the policy of that hash, nil when it is forgotten.
func (s *Sink) policy(hash string) *router.Snapshot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.policies {
		if p.Hash == hash {
			return p
		}
	}
	return nil
}

// Decided notes the decision about a request, or how far it came when it was
// refused. s is the snapshot in force, nil if there is none. Nothing it is passed
// is kept, and nothing is allocated once the table has grown.
func (s *Sink) Decided(id []byte, snapshot *router.Snapshot, req *router.Request, d *router.Decision, body int, elapsed time.Duration) {
	if snapshot == nil || snapshot.Usage.Off {
		return // Envoy reports nothing then.
	}
	if v, ok := makeID(id); ok {
		s.pending.put(v, s.config.Now(), snapshot, req, d, body, elapsed)
	}
}

// Export takes a batch of access log entries, a serialised
// ExportLogsServiceRequest of OpenTelemetry, of which nothing is kept. When it is
// malformed, the entries before the fault count.
func (s *Sink) Export(batch []byte) error { return eachLine(batch, s.entry) }

func (s *Sink) entry(l *line) {
	s.entries.Add(1)
	r := s.blank()
	if r.read(l, s.names) {
		s.join(r)
		for _, read := range s.readers {
			read(r)
		}
	} else {
		s.strangers.Add(1)
	}
	if s.config.Brief {
		s.records.Put(r)
	}
}

// blank returns an empty record.
func (s *Sink) blank() *Record {
	if r, ok := s.records.Get().(*Record); ok {
		*r = Record{}
		return r
	}
	return new(Record)
}

// join adds the decision to the record of a request that is over.
func (s *Sink) join(r *Record) {
	var snapshot *router.Snapshot
	var deployment *router.Deployment
	top := noModel
	key, ok := makeID(r.Decision)
	if !ok || !s.pending.take(key, func(p *decided) {
		r.fill(p, s.config.Brief)
		snapshot, deployment, top = p.snapshot, p.deployment, topModel(p)
	}) {
		s.undecided.Add(1)
		if snapshot = s.policy(r.Policy); snapshot != nil {
			deployment = snapshot.Deployment([]byte(r.Deployment))
		}
	}
	if snapshot != nil {
		r.price(snapshot, deployment, top)
	}
}

// Read adds a reader. It must not be called once entries may come.
func (s *Sink) Read(reader func(*Record)) { s.readers = append(s.readers, reader) }

// Counts is what a Sink counts.
type Counts struct {
	Entries   int64 // access log entries received
	Strangers int64 // of them, without a decision id
	Undecided int64 // of them, whose decision was not known (any more)
	Pending   int   // decided and not reported yet
	Crowded   int64 // decisions given up because there were too many
	Expired   int64 // decisions given up because no entry came: lost, or much too late
}

// Counts returns the counts so far.
func (s *Sink) Counts() Counts {
	c := Counts{Entries: s.entries.Load(), Strangers: s.strangers.Load(), Undecided: s.undecided.Load()}
	c.Pending, c.Crowded, c.Expired = s.pending.counts(s.config.Now())
	return c
}
