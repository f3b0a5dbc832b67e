package xds_test

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"wye/router"
	"wye/xds"
)

// gate is a TCP proxy in front of the ext_proc server that can stand for a
// frozen process, which accepts connections and says nothing, or a dead one.
type gate struct {
	t      *testing.T
	target string
	addr   string

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	thaw     chan struct{} // closed: not frozen
	wg       sync.WaitGroup
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	g := &gate{t: t, target: target, addr: "127.0.0.1:0", thaw: make(chan struct{})}
	close(g.thaw)
	g.open()
	t.Cleanup(func() {
		g.unfreeze()
		g.kill()
		g.wg.Wait()
	})
	return g
}

// open starts to accept connections, at the same address every time.
func (g *gate) open() {
	g.t.Helper()
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	g.addr, g.listener = l.Addr().String(), l
	g.mu.Unlock()
	g.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", g.target)
			if err != nil {
				in.Close()
				return
			}
			g.mu.Lock()
			g.conns = append(g.conns, in, out)
			g.mu.Unlock()
			g.wg.Add(2)
			go g.copy(out, in)
			go g.copy(in, out)
		}
	})
}

func (g *gate) copy(dst, src net.Conn) {
	defer g.wg.Done()
	defer dst.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := src.Read(buffer)
		g.mu.Lock()
		thaw := g.thaw
		g.mu.Unlock()
		<-thaw
		if _, werr := dst.Write(buffer[:n]); err != nil || werr != nil {
			return
		}
	}
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.thaw = make(chan struct{})
}

func (g *gate) unfreeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.thaw:
	default:
		close(g.thaw)
	}
}

// kill closes everything, as the end of the process would.
func (g *gate) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener.Close()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

// A Wye that is dead or frozen must cost its clients a quick 503 and no more,
// and nothing but its return must be needed.
func TestProcessorOutage(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	s := snapshot(t, twoBackends(p.address(), p.address(), nil))
	wye := startProcessor(t)
	door := newGate(t, wye.address())
	g := startGateway(t, s, gatewayOptions{processor: door.addr})
	request := plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0)}}
	ask := func(want int, within time.Duration) {
		t.Helper()
		began := time.Now()
		a := g.chat(request)
		if took := time.Since(began); a.status != want || took > within {
			t.Errorf("status %d after %v, want %d within %v: %s", a.status, took, want, within, a.body)
		}
		if want == http.StatusServiceUnavailable {
			if kind, _, _ := errorBody(t, a); kind != "server_error" {
				t.Errorf("body %s", a.body)
			}
		}
	}
	recovers := func() {
		t.Helper()
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			if a := g.chat(request); a.status == http.StatusOK {
				return
			} else if time.Since(began) > 10*time.Second {
				t.Fatalf("no recovery: %d %s", a.status, a.body)
			}
		}
	}
	recovers()
	served := len(p.received())

	door.kill()
	for range 5 {
		ask(http.StatusServiceUnavailable, time.Second)
	}
	door.open()
	recovers()

	door.freeze()
	ask(http.StatusServiceUnavailable, 5*time.Second)
	for began := time.Now(); time.Since(began) < 2*time.Second; {
		ask(http.StatusServiceUnavailable, 5*time.Second)
	}
	ask(http.StatusServiceUnavailable, time.Second)
	door.unfreeze()
	recovers()
	if n := len(p.received()); n != served+2 {
		t.Errorf("%d requests reached the provider during the outages", n-served-2)
	}
}

// A client that stops in the middle of its body does not hold its place for
// ever, and one that is slow is served.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	s := snapshot(t, router.Config{
		Models:      []router.Model{{Name: "a"}},
		Backends:    []router.Backend{{Name: "a", SendAs: "a", Address: p.address()}},
		Deployments: []router.Deployment{{Name: "auto", Subset: []router.ModelIndex{0}}},
	})
	g := startGateway(t, s, gatewayOptions{})
	body := plan{Deployment: "auto", SendAs: "a", Clusters: []string{first(s, 0)}}.body()
	r, w := io.Pipe()
	go func() {
		for i := range len(body) {
			if _, err := w.Write([]byte{body[i]}); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		w.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url+xds.PathChatCompletions, r)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	if got := p.received(); len(got) != 1 || got[0].model != "a" {
		t.Errorf("the provider got %+v", got)
	}
}
