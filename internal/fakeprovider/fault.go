package fakeprovider

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HeaderFault is the request header that asks for a fault, as ParseFault reads
// it.
const HeaderFault = "x-fake-fault"

// Fault is something that goes wrong on purpose. Its parts combine.
type Fault struct {
	// Model limits a fault from a header to the provider of that model, so
	// that one attempt of several fails.
	Model string
	// Status, unless 0, is answered instead of a completion.
	Status int
	// RetryAfter, unless 0, goes into the header of that answer, in seconds.
	RetryAfter time.Duration
	// FirstTokenDelay is waited before anything is sent.
	FirstTokenDelay time.Duration
	// CutAfterChunks, unless 0, breaks the connection after so many events of
	// a stream, or amid the body of a JSON answer.
	CutAfterChunks int
	// Reset breaks the connection before anything is sent.
	Reset bool
	// NeverAnswer holds the request until its client gives up.
	NeverAnswer bool
	// Probability of the fault, 0 to 1; 0 stands for 1.
	Probability float64
	// Times, unless 0, is how many requests suffer it. A header's fault
	// ignores it.
	Times int
}

// active reports whether f is more than the zero Fault.
func (f *Fault) active() bool {
	return f.Status != 0 || f.FirstTokenDelay != 0 || f.CutAfterChunks != 0 || f.Reset || f.NeverAnswer
}

// ParseFault reads a fault as HeaderFault spells it: parts separated by
// semicolons, e.g. "model=gpt-5; status=503; retry-after=2". The parts are
//
//	model=NAME      only at the provider of that model
//	status=CODE     400 to 599
//	retry-after=N   seconds
//	delay=DURATION  before the first token, e.g. 500ms
//	cut=N           break the connection after N events
//	reset           break the connection at once
//	never           do not answer
//	probability=P   0 to 1
func ParseFault(s string) (Fault, error) {
	var f Fault
	for part := range strings.SplitSeq(s, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		var err error
		switch name {
		case "model":
			f.Model = value
		case "status":
			if f.Status, err = strconv.Atoi(value); err == nil && (f.Status < 400 || f.Status > 599) {
				err = fmt.Errorf("%d is no error", f.Status)
			}
		case "retry-after":
			var n int
			n, err = strconv.Atoi(value)
			f.RetryAfter = time.Duration(n) * time.Second
		case "delay":
			f.FirstTokenDelay, err = time.ParseDuration(value)
		case "cut":
			f.CutAfterChunks, err = strconv.Atoi(value)
		case "reset":
			f.Reset = true
		case "never":
			f.NeverAnswer = true
		case "probability":
			f.Probability, err = strconv.ParseFloat(value, 64)
		default:
			err = fmt.Errorf("unknown part")
		}
		if err != nil {
			return Fault{}, fmt.Errorf("fault %q: %q: %w", s, part, err)
		}
	}
	return f, nil
}

// faultOf returns what goes wrong with the request.
func (s *Server) faultOf(header http.Header) (Fault, error) {
	asked := header.Get(HeaderFault)
	if asked != "" {
		f, err := ParseFault(asked)
		if err != nil {
			return Fault{}, err
		}
		if f.Model == "" || f.Model == s.config.Model {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.strikes(f.Probability) {
				return f, nil
			}
			return Fault{}, nil
		}
	}
	return s.scripted(), nil
}

// scripted returns the server's own fault if it strikes now.
func (s *Server) scripted() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fault
	if !f.active() || !s.strikes(f.Probability) {
		return Fault{}
	}
	if f.Times > 0 {
		if s.fault.Times--; s.fault.Times == 0 {
			s.fault = Fault{}
		}
	}
	return f
}

// strikes decides by the seeded random source. The caller holds s.mu.
func (s *Server) strikes(probability float64) bool {
	return probability == 0 || s.random.Float64() < probability
}
