package xds_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"wye/envoy"
	"wye/router"
	"wye/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// constant scores every model alike.
type constant struct{}

func (constant) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i := range models {
		out[i] = router.Estimate{Quality: 1, OutputTokens: 1}
	}
	return 0
}

func (constant) Version() string { return "test" }

// snapshot compiles a policy; what a test does not care about is filled in.
func snapshot(t testing.TB, c router.Config) *router.Snapshot {
	t.Helper()
	for i := range c.Deployments {
		d := &c.Deployments[i]
		d.Scorer = constant{}
		if d.Mode == router.ModeDefault {
			d.Mode = router.ModeQuality
		}
		d.AllowedModes = d.AllowedModes.With(d.Mode)
		if d.MaxAttempts == 0 {
			d.MaxAttempts = 4
		}
	}
	s, err := router.NewSnapshot(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// provider is a fake model provider that records what reached it.
type provider struct {
	*httptest.Server
	mu       sync.Mutex
	requests []received
	handle   http.HandlerFunc // nil: 200 with the model it was sent
}

type received struct {
	path, model, host string
	length            int64
	body              string
	header            http.Header
}

func newProvider(t testing.TB, handle http.HandlerFunc) *provider {
	t.Helper()
	p := &provider{handle: handle}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var doc struct {
		Model string `json:"model"`
	}
	_ = json.Unmarshal(body, &doc)
	p.mu.Lock()
	p.requests = append(p.requests, received{
		path: r.URL.RequestURI(), model: doc.Model, host: r.Host, length: r.ContentLength, body: string(body), header: r.Header,
	})
	p.mu.Unlock()
	if p.handle != nil {
		p.handle(w, r)
		return
	}
	w.Header().Set("content-type", "application/json")
	fmt.Fprintf(w, `{"model":%q}`, doc.Model)
}

func (p *provider) received() []received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]received(nil), p.requests...)
}

func (p *provider) address() string { return p.Listener.Addr().String() }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// gateway is a real Envoy that takes its configuration from a real Server and
// asks a fake ext_proc server.
type gateway struct {
	t         testing.TB
	server    *xds.Server
	processor *processor
	process   *envoy.Process
	url       string
	options   xds.Options
}

type gatewayOptions struct {
	readFile        func(string) ([]byte, error)
	processor       string                     // address of another ext_proc server
	ads             func(server string) string // address by which the server at one is reached
	stateOfTheWorld bool
	grace           time.Duration
	zone            string // of the Envoy
	secrets         map[string]string
	version         string // of Envoy; empty: whichever there is
	maxHeap         int64  // of the Envoy, in bytes
	maxConnections  int    // likewise
}

// startGateway publishes s and starts an Envoy for it.
func startGateway(t testing.TB, s *router.Snapshot, o gatewayOptions) *gateway {
	t.Helper()
	g := &gateway{t: t, server: xds.NewServer(xds.Config{Grace: o.grace}), processor: startProcessor(t)}
	t.Cleanup(g.server.Close)
	ads := grpc.NewServer(pings)
	g.server.Register(ads)
	g.options = xds.Options{
		Listen: "127.0.0.1:0", ExtProc: g.processor.address(), ReadFile: o.readFile,
		Secret: func(c router.Credential) (string, error) {
			if v := o.secrets[c.Env]; v != "" {
				return v, nil
			}
			return "", fmt.Errorf("no secret")
		},
	}
	if o.processor != "" {
		g.options.ExtProc = o.processor
	}
	if err := g.server.Publish(t.Context(), g.build(s)); err != nil {
		t.Fatal(err)
	}
	adsAddress := serve(t, ads)
	if o.ads != nil {
		adsAddress = o.ads(adsAddress)
	}
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapConfig{
		NodeID: t.Name(), Zone: o.zone, ADS: adsAddress, StateOfTheWorld: o.stateOfTheWorld,
		MaxHeapBytes: o.maxHeap, MaxConnections: o.maxConnections,
	})
	if err != nil {
		t.Fatal(err)
	}
	binary, err := envoy.Find(t.Context(), envoy.FindOptions{Version: o.version})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	level := os.Getenv("WYE_TEST_ENVOY_LOG")
	g.process, err = envoy.Start(ctx, envoy.RunOptions{Binary: binary.Path, Bootstrap: bootstrap, Concurrency: 1, LogLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("envoy: %s", g.process.LogTail())
		}
		if err := g.process.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	a, err := g.process.ListenerAddress(ctx, envoy.ListenerName)
	if err != nil {
		t.Fatal(err)
	}
	_, hostPort := a.Network()
	g.url = "http://" + hostPort
	return g
}

func (g *gateway) build(s *router.Snapshot) *xds.Resources {
	g.t.Helper()
	r, err := xds.Build(s, g.options)
	if err != nil {
		g.t.Fatal(err)
	}
	return r
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are name, value, name, value.
func (g *gateway) do(method, path, body string, headers ...string) answer {
	g.t.Helper()
	a, err := g.try(method, path, body, headers...)
	if err != nil {
		g.t.Fatal(err)
	}
	return a
}

func (g *gateway) try(method, path, body string, headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// chat sends a chat completion that the fake processor decides by the plan.
func (g *gateway) chat(p plan, headers ...string) answer {
	g.t.Helper()
	return g.do(http.MethodPost, xds.PathChatCompletions, p.body(), headers...)
}

// serve runs a gRPC server on a free loopback port until the test ends.
func serve(t testing.TB, s *grpc.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // ends with Stop
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return l.Addr().String()
}

// pings lets Envoy ask as often as it does whether the server is still there;
// gRPC's default ends the connection after three.
var pings = grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 100 * time.Millisecond, PermitWithoutStream: true})

func startProcessor(t testing.TB) *processor {
	t.Helper()
	p := &processor{}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20),
		pings)
	extprocv3.RegisterExternalProcessorServer(s, p)
	p.health = health.NewServer()
	p.health.SetServingStatus("envoy.service.ext_proc.v3.ExternalProcessor", healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(s, p.health)
	p.addr = serve(t, s)
	return p
}
