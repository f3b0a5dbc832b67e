package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"wye/envoy"
)

// Options is what a Stack is to be like. The zero value is the usual one.
type Options struct {
	Unaccounted     bool     // the policy asks for no accounting of usage
	StateOfTheWorld bool     // the older xDS variant
	Args            []string // further arguments of wye serve
	Zone            string   // data zone of the Envoy
	FirstToken      string   // first_token.timeout of every backend; empty: responses are not watched
	Envoy           string   // its version; empty: the usual one
	// Source, unless nil, returns the arguments of wye serve that say where the
	// policy comes from, which Start has written to a file.
	Source func(policy string) []string
	// Between, unless nil, is called before Envoy starts with the socket at which
	// Envoy will look for Wye's ext_proc server, and the one at which that is.
	Between func(socket, wye string)
}

// Stack is Wye as its own process beside an Envoy that was started on its own,
// with providers.
type Stack struct {
	URL        string // of Envoy's listener
	Client     *http.Client
	Policy     Policy
	PolicyPath string
	Bootstrap  string // Envoy's
	Wye        *Process
	ReadyAfter time.Duration // from Wye's start until its health check was good

	extproc, ads, adminPath string // Wye's Unix sockets

	args   []string // further ones of wye serve
	source []string // those that say where the policy comes from
	admin  *http.Client
	envoy  *envoy.Process

	mu        sync.Mutex
	providers []*Provider
	steppers  map[string]*Stepper // by request id
	own       map[string]Answer   // by request id
}

// Patience is for whatever has no bound of its own.
const Patience = 30 * time.Second

// Start starts providers, Wye and Envoy, and returns once a request can be
// sent. Everything ends with the test.
func Start(t testing.TB, o Options) *Stack {
	t.Helper()
	s := &Stack{Client: NewClient(t), steppers: map[string]*Stepper{}, own: map[string]Answer{}, args: o.Args}
	for _, b := range usualBackends {
		if b.Name == absentBackend {
			b.Address = closedAddress(t)
		} else {
			b.Address = s.AddProvider(t, b.Name).Addr
		}
		b.FirstToken = o.FirstToken
		s.Policy.Backends = append(s.Policy.Backends, b)
	}
	s.Policy.Unaccounted = o.Unaccounted
	s.PolicyPath = s.Policy.Write(t)
	s.source = []string{"--policy", s.PolicyPath}
	if o.Source != nil {
		s.source = o.Source(s.PolicyPath)
	}
	dir := socketDir(t)
	s.extproc, s.ads, s.adminPath = filepath.Join(dir, "extproc"), filepath.Join(dir, "ads"), filepath.Join(dir, "admin")
	s.admin = unixClient(t, s.adminPath)
	s.RestartWye(t)
	if o.Between != nil {
		wye := s.extproc + "-wye"
		if err := os.Rename(s.extproc, wye); err != nil {
			t.Fatal(err)
		}
		o.Between(s.extproc, wye)
	}
	s.startEnvoy(t, o)
	return s
}

// socketDir is a directory for Unix sockets, whose paths are at most some 100
// bytes long: too short for t.TempDir.
func socketDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wye-e2e-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// closedAddress is a loopback address that refuses connections.
func closedAddress(t testing.TB) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	return lis.Addr().String()
}

func unixClient(t testing.TB, path string) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DisableKeepAlives: true, // Wye comes and goes
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: Patience}
}

// RestartWye starts Wye, again if it ran before, and waits until it is ready.
func (s *Stack) RestartWye(t testing.TB) {
	t.Helper()
	if s.Wye != nil && !s.Wye.Exited() {
		t.Fatal("Wye still runs")
	}
	begin := time.Now()
	s.Wye = Run(t, []string{thinkerKeyEnv + "=" + ThinkerKey}, Binary(t), append([]string{
		"serve", "--listen", "127.0.0.1:0",
		"--extproc", "unix:" + s.extproc, "--ads", "unix:" + s.ads, "--admin", "unix:" + s.adminPath,
	}, append(s.source, s.args...)...)...)
	for !healthy(s.extproc) {
		if s.Wye.Exited() {
			t.Fatalf("wye serve exited: %s", s.Wye.Output())
		}
		if time.Since(begin) > Patience {
			t.Fatalf("wye serve is not ready after %v: %s", Patience, s.Wye.Output())
		}
		time.Sleep(time.Millisecond)
	}
	s.ReadyAfter = time.Since(begin)
}

func (s *Stack) startEnvoy(t testing.TB, o Options) {
	t.Helper()
	args := []string{"envoy", "bootstrap", "--ads", "unix:" + s.ads, "--admin", "127.0.0.1:0", "--node-id", "e2e"}
	if o.StateOfTheWorld {
		args = append(args, "--sotw")
	}
	ready := "short-context"
	if o.Zone != "" {
		args = append(args, "--zone", o.Zone)
		ready = "auto"
	}
	s.Bootstrap = Output(t, args...)
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	binary := EnvoyBinary
	if o.Envoy != "" {
		binary = func(t testing.TB) string { return EnvoyOf(t, o.Envoy) }
	}
	proc, err := envoy.Start(ctx, envoy.RunOptions{
		Binary: binary(t), Bootstrap: []byte(s.Bootstrap), Concurrency: 2, DrainTime: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.envoy = proc
	t.Cleanup(func() {
		if err := proc.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("end of Envoy's log:\n%s", proc.LogTail())
		}
	})
	addr, err := proc.ListenerAddress(ctx, envoy.ListenerName)
	if err != nil {
		t.Fatal(err)
	}
	_, hostPort := addr.Network()
	s.URL = "http://" + hostPort
	Eventually(t, Patience, "the first request is served", func() (bool, string) {
		got, err := Post(ctx, s.Client, s.URL, Chat(ready, "hi"))
		return err == nil && got.Status == http.StatusOK, fmt.Sprintf("status %d, %v: %s", got.Status, err, got.Body)
	})
}

// Addr is Envoy's listener as host:port.
func (s *Stack) Addr() string { return s.URL[len("http://"):] }
