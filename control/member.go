package control

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// State is how a member stands to what it is to have.
type State string

// The states.
const (
	StateCurrent State = "current" // it has acknowledged that
	StateWaiting State = "waiting" // it has not answered yet
	StateRefused State = "refused" // it has refused that, and goes on with what it had
	StateGone    State = "gone"    // it is not connected
)

// Member is what the server knows of one member.
type Member struct {
	Node
	State        State      `json:"state"`
	Wanted       string     `json:"wanted"`               // policy that it is to have; empty: none
	Acknowledged string     `json:"acknowledged"`         // policy that it serves by, as far as is known
	Refused      string     `json:"refused,omitempty"`    // policy that it refused last
	Reason       string     `json:"reason,omitempty"`     // why, in its words
	RefusedAt    *time.Time `json:"refused_at,omitempty"` // and when
	Since        time.Time  `json:"since"`                // since when Wanted is wanted
	ConnectedAt  time.Time  `json:"connected_at"`         // since when it is connected
	GoneAt       *time.Time `json:"gone_at,omitempty"`    // since when it is not
	Protocol     string     `json:"protocol"`             // delta or state-of-the-world
}

// member is the bookkeeping of one stream. The server's lock guards it, but for
// node and protocol, which stay.
type member struct {
	node      Node
	protocol  string
	wanted    *Set // nil: nothing yet
	since     time.Time
	connected time.Time
	acked     string // hash
	isAcked   bool   // acked is known
	refused   *Set   // what it refused last; nil: nothing
	reason    string
	refusedAt time.Time
}

// want notes what the member is to have. The server's lock is held.
func (m *member) want(p *plan) {
	if set := p.set(m.node); set != m.wanted {
		m.wanted, m.since = set, time.Now()
	}
}

func (m *member) state() State {
	switch {
	case m.wanted != nil && m.refused == m.wanted:
		return StateRefused
	case m.wanted != nil && m.isAcked && m.acked == m.wanted.Hash:
		return StateCurrent
	}
	return StateWaiting
}

// snapshot copies what may be shown.
func (m *member) snapshot() Member {
	out := Member{
		Node: m.node, State: m.state(), Acknowledged: m.acked, Since: m.since,
		ConnectedAt: m.connected, Protocol: m.protocol,
	}
	if m.wanted != nil {
		out.Wanted = m.wanted.Hash
	}
	if m.refused != nil {
		out.Refused, out.Reason, out.RefusedAt = m.refused.Hash, m.reason, new(m.refusedAt)
	}
	return out
}

// accept notes an acknowledgement, refuse a refusal: both wake whoever waits.
func (s *Server) accept(m *member, set *Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.acked, m.isAcked = set.Hash, true
	if m.refused == set {
		m.refused, m.reason = nil, "" // it was tried again
	}
	s.counters.Acks++
	s.speak()
}

func (s *Server) refuse(m *member, set *Set, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.refused, m.reason, m.refusedAt = set, shorten(reason), time.Now()
	s.counters.Nacks++
	s.speak()
	s.config.Logger.Error().Str("node", m.node.ID).Str("zone", m.node.Zone).Str("policy", set.Hash).
		Str("reason", m.reason).Msg("member refused the policy")
}

// Bounds on how long and how many members that have gone are shown.
const (
	goneFor  = 15 * time.Minute
	maxShown = 4096
)

// part remembers a member that has gone. s.mu is held.
func (s *Server) part(m Member) {
	m.State, m.GoneAt = StateGone, new(time.Now())
	s.forget(m.ID)
	s.gone = append(s.gone, m)
	if over := len(s.gone) - maxShown; over > 0 {
		s.gone = slices.Delete(s.gone, 0, over)
	}
}

// forget drops who has gone under the id, and whoever has for long. s.mu is held.
func (s *Server) forget(id string) {
	s.gone = slices.DeleteFunc(s.gone, func(m Member) bool { return m.ID == id || time.Since(*m.GoneAt) > goneFor })
}

// Members lists the members by id, those included that left in the last quarter
// of an hour.
func (s *Server) Members() []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget("")
	all := make([]Member, 0, len(s.members)+len(s.gone))
	here := make(map[string]bool, len(s.members))
	for m := range s.members {
		all = append(all, m.snapshot())
		here[m.node.ID] = true
	}
	for _, m := range s.gone {
		if !here[m.ID] {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), a.ConnectedAt.Compare(b.ConnectedAt))
	})
	return all
}

// Await returns nil when every connected member has acknowledged or refused what
// it is to have, or ctx's error if that ends before.
func (s *Server) Await(ctx context.Context) error {
	for {
		s.mu.Lock()
		answered, waiting := s.answered, false
		for m := range s.members {
			waiting = waiting || m.state() == StateWaiting
		}
		s.mu.Unlock()
		if !waiting {
			return nil
		}
		select {
		case <-answered:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
