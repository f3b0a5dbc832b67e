package control

import (
	"context"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

// request is what the two protocols' requests have in common.
type request interface {
	GetNode() *corev3.Node
	GetTypeUrl() string
	GetResponseNonce() string
	GetErrorDetail() *status.Status
}

// protocol is one of the two ways in which a member may be served.
type protocol[R request] interface {
	name() string
	receive() (R, error)
	// begin reads what the first request says of what the member has already.
	begin(R) error
	// subscribe reads what a request says of what the member wants. again is set
	// if there is something to be answered though nothing has changed.
	subscribe(R) (again bool, err error)
	// send offers set and returns the bytes that took; quiet is set when there was
	// nothing to say of it.
	send(set *Set, nonce string) (bytes int, quiet bool, err error)
	// accepted notes that the member has taken what was sent last.
	accepted(set *Set)
}

// errOtherType ends a stream that wants more than one type.
var errOtherType = grpcstatus.Error(codes.InvalidArgument, "a stream that began with "+TypeURL+" can ask for nothing else")

// errOtherNode ends a stream that goes on as another node.
var errOtherNode = grpcstatus.Error(codes.PermissionDenied, "the node of a stream cannot change")

// run serves one member until its stream ends. One response is under way at a
// time: a member that is slow is offered, when it has answered, what is to be had
// by then, and nothing piles up for it.
func run[R request](ctx context.Context, s *Server, p protocol[R], first R) error {
	bound, err := s.identify(ctx)
	if err != nil {
		return err
	}
	node, err := readNode(first.GetNode(), bound)
	if err != nil {
		return err
	}
	if err := p.begin(first); err != nil {
		return err
	}
	if _, err := p.subscribe(first); err != nil {
		return err
	}
	m := newMember(node, p.name())
	s.admit(m)
	defer s.dismiss(m)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests, ended := receive(ctx, p.receive)
	session := session[R]{server: s, member: m, protocol: p, bound: bound, again: true}
	for {
		s.mu.Lock()
		wanted, changed := m.wanted, s.changed
		s.mu.Unlock()
		if err := session.offer(wanted); err != nil {
			return err
		}
		select {
		case r := <-requests:
			err = session.take(r)
		case err = <-ended:
			return closedBy(err)
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return errClosing
		}
		if err != nil {
			return err
		}
	}
}

// receive reads requests in the background until the stream or ctx ends; the
// error of the end comes on the second channel.
func receive[R request](ctx context.Context, next func() (R, error)) (<-chan R, <-chan error) {
	requests, ended := make(chan R), make(chan error, 1)
	go func() {
		for {
			r, err := next()
			if err != nil {
				ended <- err
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	return requests, ended
}

// session is the state of one stream; only run's goroutine touches it.
type session[R request] struct {
	server   *Server
	member   *member
	protocol protocol[R]
	bound    string
	offered  *Set   // under way; nil: nothing is
	nonce    string // of that
	answered *Set   // what the member has answered last, with yes or no
	again    bool   // something is to be said of answered, too
	sent     uint64
}

// offer sends set if it is news and nothing is under way.
func (s *session[R]) offer(set *Set) error {
	if set == nil || s.offered != nil || set == s.answered && !s.again {
		return nil
	}
	s.sent++
	s.nonce = strconv.FormatUint(s.sent, 36)
	n, quiet, err := s.protocol.send(set, s.nonce)
	if err != nil {
		return err
	}
	s.again = false
	if quiet {
		s.answered = set
		s.protocol.accepted(set)
		s.server.accept(s.member, set)
		return nil
	}
	s.offered = set
	s.server.count(n)
	return nil
}

// take reads one request.
func (s *session[R]) take(r R) error {
	if r.GetTypeUrl() != TypeURL {
		return errOtherType
	}
	if r.GetNode() != nil {
		if n, err := readNode(r.GetNode(), s.bound); err != nil || !n.same(s.member.node) {
			return errOtherNode
		}
	}
	again, err := s.protocol.subscribe(r)
	if err != nil {
		return err
	}
	s.again = s.again || again
	if s.offered == nil || r.GetResponseNonce() != s.nonce {
		return nil // it answers nothing that is under way
	}
	set := s.offered
	s.offered, s.answered = nil, set
	if e := r.GetErrorDetail(); e != nil {
		s.server.refuse(s.member, set, e.GetMessage())
		return nil
	}
	s.protocol.accepted(set)
	s.server.accept(s.member, set)
	return nil
}
