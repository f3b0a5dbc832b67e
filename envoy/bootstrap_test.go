package envoy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/envoy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestBootstrap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]envoy.BootstrapConfig{
		"default": {NodeID: "sidecar-1", ADS: "127.0.0.1:9000"},
		"zone": {
			NodeID: "gateway-1", NodeCluster: "gateways", Zone: "eu", ADS: "wye.wye-system.svc:9000", Admin: "unix:/run/wye/admin.sock",
			StateOfTheWorld: true,
		},
		"unix": {NodeID: "n", ADS: "unix:/run/wye/wye.sock", Admin: "0.0.0.0:9901", AdminAnywhere: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := envoy.Bootstrap(c)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "bootstrap."+name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (go test ./envoy -update rewrites it): %s", file, diff)
			}
		})
	}
}

func TestBootstrapFaults(t *testing.T) {
	t.Parallel()
	_, err := envoy.Bootstrap(envoy.BootstrapConfig{ADS: "x", Admin: "y"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"node id is empty", `ads address: "x" is neither`, `admin address: "y" is neither`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	for _, tt := range []struct {
		c    envoy.BootstrapConfig
		want string
	}{
		{envoy.BootstrapConfig{NodeID: "n", ADS: "h:1", Admin: "0.0.0.0:1"}, "is not loopback"},
		{envoy.BootstrapConfig{NodeID: "n", ADS: "h:1", Admin: "localhost:1"}, "must be an IP address"},
		{envoy.BootstrapConfig{NodeID: "n", ADS: "h:0"}, "has port 0"},
	} {
		if _, err := envoy.Bootstrap(tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want %q", tt.c, err, tt.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, network, address, wantErr string }{
		{in: "127.0.0.1:80", network: "tcp", address: "127.0.0.1:80"},
		{in: "[::1]:80", network: "tcp", address: "[::1]:80"},
		{in: "example.com:443", network: "tcp", address: "example.com:443"},
		{in: "unix:/run/wye.sock", network: "unix", address: "/run/wye.sock"},
		{in: "unix:@wye", network: "unix", address: "@wye"},
		{in: "unix:wye.sock", wantErr: "must be absolute"},
		{in: "unix:", wantErr: "must be absolute"},
		{in: ":80", wantErr: "has no host"},
		{in: "h:http", wantErr: "not a number"},
		{in: "h:65536", wantErr: "not a number"},
		{in: "", wantErr: "neither"},
		{in: "::1:80", wantErr: "neither"},
	} {
		a, err := envoy.ParseAddress(tt.in)
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%q: error %v, want %q", tt.in, err, tt.wantErr)
			}
			continue
		}
		if network, address := a.Network(); err != nil || network != tt.network || address != tt.address {
			t.Errorf("%q: %s %s, %v", tt.in, network, address, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "[::1]:80", "unix:/x", "unix:@x", "", ":", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := envoy.ParseAddress(s)
		if err != nil {
			return
		}
		network, address := a.Network()
		if network == "unix" {
			address = "unix:" + address
		}
		if b, err := envoy.ParseAddress(address); err != nil || a != b {
			t.Errorf("%q parses to %+v, which prints as %q and parses to %+v, %v", s, a, address, b, err)
		}
	})
}

func TestClusterName(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, backend := range []string{"a", "b", "fallback", "first"} {
		for _, hash := range []string{"00000000", "00000001"} {
			for _, fallback := range []bool{false, true} {
				name := envoy.ClusterName(backend, hash, fallback)
				if third := envoy.TranslatingClusterName(backend, hash); third == name || !envoy.IsBackendCluster(third) {
					t.Errorf("translating cluster %q", third)
				}
				if seen[name] || !envoy.IsBackendCluster(name) {
					t.Errorf("%q is taken or no backend cluster", name)
				}
				seen[name] = true
			}
		}
	}
	for _, name := range []string{envoy.ExtProcCluster, envoy.ADSCluster, "", "wye/", "wye/x"} {
		if envoy.IsBackendCluster(name) {
			t.Errorf("%q is a backend cluster", name)
		}
	}
}

// Clients may send what ClientHeaders lists and nothing else of Wye's.
func TestReservedHeaders(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for _, h := range append(append([]string{}, envoy.ReservedHeaders...), envoy.ClientHeaders...) {
		if all[h] || !strings.HasPrefix(h, envoy.HeaderPrefix) || h != strings.ToLower(h) {
			t.Errorf("%q is listed twice or misnamed", h)
		}
		all[h] = true
	}
	for _, h := range []string{
		envoy.HeaderModel, envoy.HeaderDeployment, envoy.HeaderMode, envoy.HeaderZone, envoy.HeaderAttempts,
		envoy.HeaderDecision, envoy.HeaderPolicy, envoy.HeaderDropped, envoy.HeaderBudget,
	} {
		if !all[h] {
			t.Errorf("%q is in neither list", h)
		}
	}
}
