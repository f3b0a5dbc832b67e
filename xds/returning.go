package xds

import (
	"context"
	"slices"
	"time"
)

// returnTime is how long an Envoy that lost its stream is waited for: package
// envoy's bootstrap has it try again within a second, and it needs a moment to
// connect.
const returnTime = 2 * time.Second

// lostStream is a stream that ended, of an Envoy that probably still serves and
// has what it acknowledged on it.
type lostStream struct {
	*stream
	until time.Time // when it is no longer waited for
}

// lose notes that a stream ended. s.mu is held.
func (s *Server) lose(st *stream) {
	if st.node.ID == "" || len(st.types) == 0 {
		return // it never asked for anything
	}
	s.lost = append(s.waitedFor(), lostStream{stream: st, until: time.Now().Add(returnTime)})
}

// found forgets the lost streams of the Envoy that st is a new one of. s.mu is
// held.
func (s *Server) found(st *stream) {
	s.lost = slices.DeleteFunc(s.lost, func(l lostStream) bool { return l.node.ID == st.node.ID })
}

// waitedFor is the lost streams without those whose time is over. s.mu is held.
func (s *Server) waitedFor() []lostStream {
	now := time.Now()
	return slices.DeleteFunc(s.lost, func(l lostStream) bool { return !now.Before(l.until) })
}

// away lists the lost streams that are waited for because their Envoys have not
// got the types of r, and the time until the first of them no longer is. s.mu is
// held.
func (s *Server) away(r *Resources, typeURLs []string) (waiting []string, next time.Duration) {
	s.lost = s.waitedFor()
	for _, l := range s.lost {
		if part, err := r.of(l.view); err != nil || l.has(part, typeURLs) {
			continue
		}
		waiting = append(waiting, l.node.ID)
		left := max(time.Until(l.until), time.Millisecond)
		if next == 0 || left < next {
			next = left
		}
	}
	return waiting, next
}

// AwaitReturn returns when the Envoys that a former run of Wye has left behind
// are up to date: when at least one Envoy has connected, and each that had
// resources before has acknowledged the ones of now. It returns ctx's error if
// that ends before. What nobody can know is how many there are, so that of
// several Envoys those that come back after the others are not waited for.
func (s *Server) AwaitReturn(ctx context.Context) error {
	for {
		want := s.Published()
		s.mu.Lock()
		changed, back := s.changed, want != nil && len(s.streams) > 0
		for _, st := range s.streams {
			back = back && s.shown[st.view] != nil && st.caughtUp(s.shown[st.view])
		}
		s.mu.Unlock()
		if back {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
