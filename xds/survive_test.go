package xds_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"wye/envoy"
	"wye/router"
	"wye/xds"
)

// Large bodies, slow providers, fallbacks and a processor that comes and goes,
// all at once: requests may fail, but Envoy must live, never send a provider
// the body of another model, and recover. Envoy 1.40.0 does not without the
// runtime flag of the bootstrap.
func TestEnvoySurvives(t *testing.T) {
	t.Parallel()
	failing := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	var wrong sync.Map
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		buffer := make([]byte, 64<<10)
		for {
			n, err := r.Body.Read(buffer)
			body.Write(buffer[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return // cut
			}
			time.Sleep(time.Millisecond)
		}
		if !strings.Contains(body.String(), `"model":"b-sent"`) {
			wrong.Store(body.String()[:min(body.Len(), 200)], true)
		}
		io.WriteString(w, "{}") //nolint:errcheck // the client sees what is missing
	}))
	t.Cleanup(slow.Close)
	s := snapshot(t, twoBackends(failing.address(), slow.Listener.Addr().String(), nil))
	door := newGate(t, startProcessor(t).address())
	g := startGateway(t, s, gatewayOptions{processor: door.addr})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := map[int]int{}
	for worker := range 6 {
		wg.Go(func() {
			p := plan{
				Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 1)},
				Padding: strings.Repeat("x", 100<<10<<(worker%4)),
			}
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := g.try(http.MethodPost, xds.PathChatCompletions, p.body())
				if err != nil {
					a.status = -1
				}
				mu.Lock()
				statuses[a.status]++
				mu.Unlock()
			}
		})
	}
	served := func() int {
		mu.Lock()
		defer mu.Unlock()
		return statuses[http.StatusOK]
	}
	for range 8 {
		// Each cut must hit traffic: a busy machine takes its time to recover.
		before := served()
		for deadline := time.Now().Add(15 * time.Second); served() == before && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond)
		door.kill()
		time.Sleep(50 * time.Millisecond)
		door.open()
	}
	close(stop)
	wg.Wait()
	select {
	case <-g.process.Exited():
		t.Fatalf("envoy is gone; statuses %v", statuses)
	default:
	}
	wrong.Range(func(body, _ any) bool {
		t.Errorf("a provider got %s", body)
		return true
	})
	if statuses[-1] > 0 || statuses[http.StatusOK] == 0 {
		t.Errorf("statuses %v", statuses)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		a := g.chat(plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 1)}})
		if a.status == http.StatusOK {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("no recovery: %d %s", a.status, a.body)
		}
	}
}

// A backend over TLS is reached by its name, under the CA that the policy
// names, and not at all under another.
func TestTLSBackends(t *testing.T) {
	t.Parallel()
	up := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-sni", r.TLS.ServerName)
		w.Header().Set("x-proto", r.Proto)
	}))
	t.Cleanup(up.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw})
	address := up.Listener.Addr().String()
	_, port, _ := strings.Cut(address, ":")
	tlsTo := func(name, file string) *router.TLS { return &router.TLS{ServerName: name, CAFile: file} }
	c := router.Config{
		Models: []router.Model{{Name: "m"}},
		Backends: []router.Backend{
			{Name: "named", SendAs: "m", Address: address, TLS: tlsTo("example.com", "good")},
			{Name: "by address", SendAs: "m", Address: address, TLS: tlsTo("", "good")},
			{Name: "dns", SendAs: "m", Address: "localhost:" + port, TLS: tlsTo("example.com", "good")},
			{Name: "other name", SendAs: "m", Address: address, TLS: tlsTo("evil.example", "good")},
			{Name: "system roots", SendAs: "m", Address: address, TLS: tlsTo("example.com", "")},
		},
		Deployments: []router.Deployment{{Name: "auto", Subset: []router.ModelIndex{0}, MaxAttempts: 1}},
	}
	s := snapshot(t, c)
	g := startGateway(t, s, gatewayOptions{readFile: func(name string) ([]byte, error) {
		if name == "good" {
			return ca, nil
		}
		return certificate(string(unrelatedCA(t))), nil
	}})
	for i, want := range []struct {
		status int
		sni    string
	}{{200, "example.com"}, {200, ""}, {200, "example.com"}, {503, ""}, {503, ""}} {
		a := g.chat(plan{Deployment: "auto", SendAs: "m", Clusters: []string{first(s, i)}})
		if a.status != want.status || a.header.Get("x-sni") != want.sni {
			t.Errorf("%s: %d, SNI %q: %s", s.Backends[i].Name, a.status, a.header.Get("x-sni"), a.body)
		}
		if want.status == http.StatusServiceUnavailable {
			if _, _, code := errorBody(t, a); code != "upstream_unavailable" || strings.Contains(strings.ToLower(a.body), "tls") {
				t.Errorf("%s: %s", s.Backends[i].Name, a.body)
			}
		}
	}
}

// unrelatedCA makes a certificate that has signed nothing.
func unrelatedCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "unrelated"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A cluster with a DNS name is ready for requests when Stage returns.
func TestStagedNameIsResolved(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	_, port, _ := strings.Cut(p.address(), ":")
	g := startGateway(t, generation(t, 0, p), gatewayOptions{})
	for n := range 5 {
		next := generation(t, n+1, p)
		for i := range next.Backends {
			next.Backends[i].Address = "localhost:" + port
		}
		staged, err := g.server.Stage(t.Context(), g.build(next))
		if err != nil {
			t.Fatal(err)
		}
		if a := g.chat(plan{Deployment: "auto", SendAs: next.Hash, Clusters: []string{first(next, 0)}}); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
		staged.Retire()
	}
}

// The real Envoy takes every golden policy, at addresses that exist here.
func TestEnvoyTakesGoldenPolicies(t *testing.T) {
	t.Parallel()
	up := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(up.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw})
	for name := range goldenPolicies() {
		for _, kind := range []gatewayOptions{{}, {stateOfTheWorld: true}, {version: oldEnvoy}} {
			t.Run(name+"/"+kind.version, func(t *testing.T) {
				t.Parallel()
				// Its own copy: a snapshot takes ownership.
				kind.readFile = func(string) ([]byte, error) { return ca, nil }
				g := startGateway(t, snapshot(t, goldenPolicies()[name].config), kind)
				release, err := envoy.ParseRelease(cmp.Or(kind.version, envoy.DefaultVersion))
				if err != nil {
					t.Fatal(err)
				}
				want, err := g.server.Published().For("", release)
				if err != nil {
					t.Fatal(err)
				}
				for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
					nodes := g.server.Nodes()
					if len(nodes) != 1 || nodes[0].Rejected != nil || !nodes[0].Bootstrap || nodes[0].Envoy != cmp.Or(kind.version, envoy.DefaultVersion) && os.Getenv(envoy.BinaryVariable) == "" {
						t.Fatalf("nodes %+v", nodes)
					}
					missing := ""
					for _, typeURL := range xds.Types {
						if len(want.Names(typeURL)) > 0 && nodes[0].Acked[typeURL] != want.Version(typeURL) {
							missing = typeURL
						}
					}
					if missing == "" {
						return
					}
					if time.Since(began) > 20*time.Second {
						t.Fatalf("not acknowledged: %s", missing)
					}
				}
			})
		}
	}
}
