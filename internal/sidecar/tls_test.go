package sidecar_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"wye/envoy"
	"wye/internal/mtls"
	"wye/internal/sidecar"
	"wye/internal/testca"
)

// secured is a sidecar whose servers ask for certificates of ca, with a
// provider in each of two zones.
func secured(t *testing.T, ca *testca.CA, dir string) *sidecar.Sidecar {
	t.Helper()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("content-type", "application/json")
		_, _ = io.WriteString(w, `{"object":"chat.completion"}`)
	}))
	t.Cleanup(provider.Close)
	file := filepath.Join(dir, "policy.yaml")
	text := fmt.Sprintf(`
backends:
  - {name: mini-eu, model: gpt-5-mini, address: %[1]q, zone: eu}
  - {name: mini-us, model: gpt-5-mini, address: %[1]q, zone: us}
deployments:
  - {name: chat, subset: [gpt-5-mini]}
`, provider.Listener.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var files mtls.Files
	files.Cert, files.Key, files.CA = ca.Files(t, dir, "wye.test", "spiffe://test/wye")
	s, err := sidecar.Start(t.Context(), sidecar.Config{
		Version: "test", PolicyFile: file, Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:0", ADS: "127.0.0.1:0", TLS: &files,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background(), 0); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// TestEnvoyByIdentity: a real Envoy with a certificate of a zone is sent that
// zone, whatever it says of itself or does not, and carries requests over TLS.
func TestEnvoyByIdentity(t *testing.T) {
	ca := testca.New(t, "test CA")
	s := secured(t, ca, t.TempDir())
	binary, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, serverName := range map[string]string{"by address": "", "by name": "wye.test", "by SPIFFE identity": "spiffe://test/wye"} {
		t.Run(name, func(t *testing.T) {
			own := &envoy.BootstrapTLS{ServerName: serverName}
			own.Cert, own.Key, own.CA = ca.Files(t, t.TempDir(), "gateway", "spiffe://test/wye/zone/eu/gateway")
			document, err := envoy.Bootstrap(envoy.BootstrapConfig{NodeID: "gateway", ADS: s.Addresses().ADS, TLS: own})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			p, err := envoy.Start(ctx, envoy.RunOptions{Binary: binary.Path, Bootstrap: document, Concurrency: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			a, err := p.ListenerAddress(ctx, envoy.ListenerName)
			if err != nil {
				t.Fatalf("%v\n%s", err, p.LogTail())
			}
			_, at := a.Network()
			for got := ""; got != "200 eu"; time.Sleep(20 * time.Millisecond) {
				resp, err := http.Post("http://"+at+"/v1/chat/completions", "application/json",
					strings.NewReader(`{"model":"chat","messages":[{"role":"user","content":"hi"}]}`))
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				got = fmt.Sprintf("%d %s", resp.StatusCode, resp.Header.Get(envoy.HeaderZone))
				if ctx.Err() != nil || resp.StatusCode == 200 && got != "200 eu" {
					t.Fatalf("%s: %s", got, text)
				}
			}
			dump, err := p.Admin(ctx, http.MethodGet, "/config_dump")
			if err != nil || !strings.Contains(string(dump), "mini-eu") || strings.Contains(string(dump), "mini-us") {
				t.Errorf("the configuration has the other zone, or not its own: %v", err)
			}
		})
	}
}

// TestMembersByIdentity: what a certificate decides, and that nobody gets
// anything without one.
func TestMembersByIdentity(t *testing.T) {
	ca := testca.New(t, "test CA")
	s := secured(t, ca, t.TempDir())
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	dialAs := func(by *testca.CA, uris ...string) *grpc.ClientConn {
		config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		if by != nil {
			cert, key := by.Issue(t, "member", uris...)
			pair, err := tls.X509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		c, err := grpc.NewClient(s.Addresses().ADS, grpc.WithTransportCredentials(credentials.NewTLS(config)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	node := func(zone string) *corev3.Node { return &corev3.Node{Id: "m", Locality: &corev3.Locality{Zone: zone}} }
	eu := "spiffe://test/zone/eu/m"
	plain, err := grpc.NewClient(s.Addresses().ADS, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for name, tt := range map[string]struct {
		conn *grpc.ClientConn
		node *corev3.Node
		code codes.Code
		has  string
	}{
		"of a zone, says so":        {dialAs(ca, eu), node("eu"), codes.OK, "mini-eu"},
		"of a zone, says none":      {dialAs(ca, eu), node(""), codes.OK, "mini-eu"},
		"of a zone, says nothing":   {dialAs(ca, eu), nil, codes.OK, "mini-eu"},
		"of a zone, says another":   {dialAs(ca, eu), node("us"), codes.PermissionDenied, ""},
		"of a zone, says all":       {dialAs(ca, eu), node("global"), codes.PermissionDenied, ""},
		"of all zones, says one":    {dialAs(ca, "spiffe://test/zone/global"), node("us"), codes.OK, "mini-us"},
		"of all zones, says none":   {dialAs(ca, "spiffe://test/zone/global"), node(""), codes.OK, "mini-eu mini-us"},
		"without a zone":            {dialAs(ca, "spiffe://test/m"), node("eu"), codes.PermissionDenied, ""},
		"without a SPIFFE identity": {dialAs(ca), node("eu"), codes.PermissionDenied, ""},
		"without a certificate":     {dialAs(nil), node("eu"), codes.Unavailable, ""},
		"with another CA's":         {dialAs(testca.New(t, "other"), eu), node("eu"), codes.Unavailable, ""},
		"in plain text":             {plain, node("eu"), codes.Unavailable, ""},
	} {
		for _, delta := range []bool{true, false} {
			got, err := clustersOver(t, tt.conn, tt.node, delta)
			if status.Code(err) != tt.code || got != tt.has {
				t.Errorf("%s, delta %v: %q, %v", name, delta, got, err)
			}
		}
	}
	// Nor does the ext_proc server speak to just anybody.
	c, err := grpc.NewClient(s.Addresses().ExtProc, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := grpc_health_v1.NewHealthClient(c).Check(ctx, &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("ext_proc in plain text: %v", err)
	}
}

// clustersOver returns the backends whose clusters a stream brings.
func clustersOver(t *testing.T, conn *grpc.ClientConn, node *corev3.Node, delta bool) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	text := ""
	if delta {
		stream, err := client.DeltaAggregatedResources(ctx)
		if err != nil {
			return "", err
		}
		_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: resourcev3.ClusterType}) // Recv tells
		r, err := stream.Recv()
		if err != nil {
			return "", err
		}
		text = r.String()
	} else {
		stream, err := client.StreamAggregatedResources(ctx)
		if err != nil {
			return "", err
		}
		_ = stream.Send(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: resourcev3.ClusterType}) // Recv tells
		r, err := stream.Recv()
		if err != nil {
			return "", err
		}
		text = r.String()
	}
	var has []string
	for _, name := range []string{"mini-eu", "mini-us"} {
		if strings.Contains(text, name) {
			has = append(has, name)
		}
	}
	return strings.Join(has, " "), nil
}

// A sidecar does not start with certificates that are no good.
func TestBadCertificates(t *testing.T) {
	_, err := sidecar.Start(t.Context(), sidecar.Config{
		Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:0", ADS: "127.0.0.1:0", TLS: &mtls.Files{Cert: "/nonesuch", Key: "/nonesuch", CA: "/nonesuch"},
	})
	if err == nil || !strings.Contains(err.Error(), "TLS of Wye's servers") {
		t.Errorf("error %v", err)
	}
}
