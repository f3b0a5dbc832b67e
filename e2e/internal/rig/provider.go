package rig

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wye/internal/fakeprovider"
)

// Received is a request as a provider got it.
type Received struct {
	Method, Path, Host string
	Header             http.Header
	Trailer            http.Header
	Body               []byte
	At                 time.Time

	request *http.Request // only until it is answered
}

// Gone is closed when the caller has gone or been answered.
func (r *Received) Gone() <-chan struct{} { return r.request.Context().Done() }

// Answer writes the response to a request that was read whole.
type Answer func(w http.ResponseWriter, r *Received)

// Provider is an HTTP server that records requests.
type Provider struct {
	Addr    string
	backend Backend
	answer  Answer
	fake    *fakeprovider.Server
	served  atomic.Int64
	wrong   atomic.Int64
	unsound atomic.Int64

	mu  sync.Mutex
	log []Received
}

const maxReceived = 512

// AddProvider starts a provider for the backend of that name, beside any that
// it has, until the test ends.
func (s *Stack) AddProvider(t testing.TB, name string) *Provider {
	t.Helper()
	return s.AddProviderAs(t, backend(name))
}

// AddProviderAs is AddProvider for a backend that the usual policy may not have;
// the address is not looked at.
func (s *Stack) AddProviderAs(t testing.TB, b Backend) *Provider {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Addr: lis.Addr().String(), backend: b}
	var good Answer
	good, p.fake = well(t, b)
	p.answer = s.usual(b.Name, good)
	server := &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(soundListener{lis, &p.unsound}) // ends with Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers = append(s.providers, p)
	return p
}

// Served returns how many requests the provider has been sent.
func (p *Provider) Served() int { return int(p.served.Load()) }

// Wrong returns how many requests carried a body for another backend.
func (p *Provider) Wrong() int { return int(p.wrong.Load()) }

// Unsound returns how often a connection carried something that is no HTTP
// request.
func (p *Provider) Unsound() int { return int(p.unsound.Load()) }

// Received returns the newest requests, oldest first.
func (p *Provider) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Received(nil), p.log...)
}

// Find returns the requests whose header name has that value.
func (p *Provider) Find(name, value string) []Received {
	var found []Received
	for _, r := range p.Received() {
		if r.Header.Get(name) == value {
			found = append(found, r)
		}
	}
	return found
}

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	p.served.Add(1)
	at := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	got := Received{
		Method: r.Method, Path: r.URL.RequestURI(), Host: r.Host, Header: r.Header.Clone(), Trailer: r.Trailer.Clone(),
		Body: bytes.Clone(body), At: at, request: r,
	}
	if !isFor(p.backend, body) {
		p.wrong.Add(1)
	}
	p.mu.Lock()
	if len(p.log) == maxReceived {
		p.log = append(p.log[:0], p.log[1:]...)
	}
	kept := got
	kept.request = nil
	p.log = append(p.log, kept)
	p.mu.Unlock()
	p.answer(w, &got)
}
