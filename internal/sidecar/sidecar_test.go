package sidecar_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"wye/internal/sidecar"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const policy = `
backends:
  - {name: mini, model: gpt-5-mini, address: "127.0.0.1:9001", zone: eu}
  - {name: nano, model: gpt-5-nano, address: "127.0.0.1:9002", zone: eu}
deployments:
  - {name: chat, zone: eu, subset: [gpt-5-mini, gpt-5-nano]}
`

func start(t *testing.T, policyFile string, edits ...func(*sidecar.Config)) *sidecar.Sidecar {
	t.Helper()
	dir := t.TempDir()
	c := sidecar.Config{
		Version: "test", PolicyFile: policyFile, Listen: "127.0.0.1:0",
		ExtProc: "unix:" + filepath.Join(dir, "extproc.sock"), ADS: "127.0.0.1:0", Admin: "127.0.0.1:0",
	}
	for _, edit := range edits {
		edit(&c)
	}
	s, err := sidecar.Start(t.Context(), c)
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

func get(t *testing.T, s *sidecar.Sidecar, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + s.Addresses().Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestSidecar(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(policy)
	s := start(t, file)

	t.Run("it is healthy to everyone who asks", func(t *testing.T) {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, _ := get(t, s, path); status != http.StatusOK {
				t.Errorf("%s is %d", path, status)
			}
		}
		health := grpc_health_v1.NewHealthClient(dial(t, s.Addresses().ExtProc))
		resp, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "envoy.service.ext_proc.v3.ExternalProcessor"})
		if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("ext_proc health is %v, %v", resp, err)
		}
	})

	t.Run("an Envoy gets the policy's clusters over ADS, and shows on the page", func(t *testing.T) {
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(dial(t, s.Addresses().ADS)).DeltaAggregatedResources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType, Node: &corev3.Node{Id: "gateway-1"}}); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, r := range resp.GetResources() {
			names = append(names, r.GetName())
		}
		for _, want := range []string{"wye/first/mini/", "wye/fallback/nano/"} {
			if !strings.Contains(strings.Join(names, " "), want) {
				t.Errorf("clusters %q lack %s", names, want)
			}
		}
		if _, body := get(t, s, "/envoys"); !strings.Contains(body, "gateway-1") {
			t.Errorf("/envoys says %s", body)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
	})

	type status struct {
		Hash     string
		Reloads  int
		Failures int
		Refused  string
	}
	policyStatus := func() (st status) {
		t.Helper()
		_, body := get(t, s, "/policy")
		if err := json.Unmarshal([]byte(body), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	eventually := func(what string, ok func(status) bool) status {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			st := policyStatus()
			if ok(st) {
				return st
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the status stays %+v", what, st)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}

	t.Run("an edit comes into force and a broken one does not", func(t *testing.T) {
		first := policyStatus()
		if first.Hash != s.Snapshot().Hash || first.Reloads != 1 {
			t.Errorf("status %+v, policy %s", first, s.Snapshot().Hash)
		}
		write(strings.Replace(policy, "name: chat", "name: talk", 1))
		second := eventually("after an edit", func(st status) bool { return st.Hash != first.Hash })
		if s.Snapshot().Deployment([]byte("talk")) == nil {
			t.Error("the edit is reported and not in force")
		}
		write(strings.Replace(policy, "gpt-5-nano]", "gpt-5-gigantic]", 1))
		broken := eventually("after a broken edit", func(st status) bool { return st.Refused != "" })
		if broken.Hash != second.Hash || broken.Failures != 1 || !strings.Contains(broken.Refused, file+":6:") {
			t.Errorf("status %+v", broken)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		eventually("without a file", func(st status) bool { return strings.Contains(st.Refused, "no such file") && st.Hash == second.Hash })
	})

	t.Run("the metrics say so", func(t *testing.T) {
		_, body := get(t, s, "/metrics")
		for _, want := range []string{
			`wye_build_info{version="test"} 1`, `wye_policy_info{policy="` + s.Snapshot().Hash + `"} 1`,
			`wye_policy_reloads_total{result="in_force"} 2`, `wye_policy_reloads_total{result="refused"} 2`,
			"wye_xds_streams 0", "wye_panics_total 0", "go_goroutines",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("/metrics lacks %s", want)
			}
		}
	})
}

func TestShutdownReportsNotReadyFirst(t *testing.T) {
	s := start(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx, time.Hour) }()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if status, _ := get(t, s, "/readyz"); status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("/readyz stays ready")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if status, _ := get(t, s, "/healthz"); status != http.StatusOK {
		t.Errorf("/healthz is %d while it drains", status)
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("a shutdown that was cut short returns %v", err)
	}
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	})
	broken := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(broken, []byte("backends: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := sidecar.Config{Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:0", ADS: "127.0.0.1:0", Admin: "127.0.0.1:0"}
	for _, tt := range []struct {
		name string
		edit func(*sidecar.Config)
		want string
	}{
		{"ext_proc address taken", func(c *sidecar.Config) { c.ExtProc = taken.Addr().String() }, "ext_proc: "},
		{"ads address taken", func(c *sidecar.Config) { c.ADS = taken.Addr().String() }, "ads: "},
		{"admin address taken", func(c *sidecar.Config) { c.Admin = taken.Addr().String() }, "admin: "},
		{"no address", func(c *sidecar.Config) { c.ADS = "x" }, "ads: "},
		{"no policy", func(c *sidecar.Config) { c.PolicyFile = "/does/not/exist" }, "read policy: "},
		{"a policy with faults", func(c *sidecar.Config) { c.PolicyFile = broken }, broken + ":1:"},
		{"a listener that is none", func(c *sidecar.Config) { c.Listen = "somewhere" }, "somewhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := base
			tt.edit(&c)
			s, err := sidecar.Start(t.Context(), c)
			if err == nil {
				_ = s.Shutdown(t.Context(), 0)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	first, err := sidecar.Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sidecar.Listen("unix:" + path); err == nil {
		t.Error("a socket that answers was taken over")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := sidecar.Listen("unix:" + path)
	if err != nil {
		t.Fatalf("a socket that a process left behind: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sidecar.Listen("unix:" + plain); err == nil {
		t.Error("an ordinary file was taken for a socket")
	}
	if b, err := os.ReadFile(plain); err != nil || string(b) != "precious" {
		t.Errorf("the file now has %q, %v", b, err)
	}
}

// A sidecar of a zone knows no other: neither its router nor its Envoys do.
func TestSidecarOfZone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	text := strings.Replace(policy, "zone: eu}\ndeployments", "zone: us}\ndeployments", 1)
	text = strings.Replace(text, "{name: chat, zone: eu, ", "{name: chat, ", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	begin := func(zone string) (*sidecar.Sidecar, error) {
		return sidecar.Start(t.Context(), sidecar.Config{
			Version: "test", PolicyFile: file, Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:0", ADS: "127.0.0.1:0", Zone: zone,
		})
	}
	for zone, backends := range map[string]string{"": "mini nano", "global": "mini nano", "eu": "mini", "us": "nano"} {
		s, err := begin(zone)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range s.Snapshot().Backends {
			got = append(got, b.Name)
		}
		if strings.Join(got, " ") != backends {
			t.Errorf("zone %q has backends %q", zone, got)
		}
		if err := s.Shutdown(context.Background(), 0); err != nil {
			t.Error(err)
		}
	}
	if _, err := begin("mars"); err == nil || !strings.Contains(err.Error(), `no backend of the policy is in zone "mars"`) {
		t.Errorf("error %v", err)
	}
}
