package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wye/control"
	"wye/internal/controlplane"
	"wye/internal/mtls"
	"wye/internal/sidecar"
	"wye/internal/testca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 30 * time.Second

// policy has a backend in each of two zones.
func policy(attempts int) string {
	return fmt.Sprintf(`
backends:
  - {name: mini-eu, model: gpt-5-mini, address: "127.0.0.1:9", zone: eu}
  - {name: mini-us, model: gpt-5-mini, address: "127.0.0.1:9", zone: us}
deployments:
  - {name: chat, subset: [gpt-5-mini]}
  - {name: us-chat, zone: us, subset: [gpt-5-mini]}
defaults: {limits: {max_attempts: %d}}
`, attempts)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// start runs a control plane until the test ends, or until what it returns is
// called.
func start(t *testing.T, c controlplane.Config) (p *controlplane.ControlPlane, stop func()) {
	t.Helper()
	p, err := controlplane.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := p.Shutdown(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return p, stop
}

// member runs a sidecar until the test ends, or until what it returns is called.
func member(t *testing.T, c *sidecar.Control) (s *sidecar.Sidecar, stop func()) {
	t.Helper()
	s, err := sidecar.Start(t.Context(), sidecar.Config{
		Version: "test", Control: c, Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:0", ADS: "127.0.0.1:0", Admin: "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := s.Shutdown(context.Background(), 0); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
	}
	t.Cleanup(stop)
	return s, stop
}

func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	r, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func eventually(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		good, last := ok()
		if good {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("%s: not within %v; last: %s", what, patience, last)
		}
	}
}

// settled waits until n members have what they are to have, and returns them.
func settled(t *testing.T, p *controlplane.ControlPlane, n int) []control.Member {
	t.Helper()
	var f controlplane.Fleet
	eventually(t, "all members are current", func() (bool, string) {
		f = p.Fleet()
		return f.Counts[control.StateCurrent] == n, fmt.Sprintf("%+v", f)
	})
	return f.Members
}

// TestFleet is the life of a small one: edits, faults in them, an outage, a start
// without the control plane, and a kept policy that is damaged.
func TestFleet(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	write(t, file, policy(4))
	ca := testca.New(t, "test CA")
	var files, eu mtls.Files
	files.Cert, files.Key, files.CA = ca.Files(t, t.TempDir(), "control", "spiffe://test/wye")
	eu.Cert, eu.Key, eu.CA = ca.Files(t, t.TempDir(), "member", "spiffe://test/wye/zone/eu/member")
	config := controlplane.Config{Policy: dir, Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", TLS: &files}
	p, stop := start(t, config)
	config.Listen = p.Addresses().ADS
	state := filepath.Join(dir, "state")
	c := &sidecar.Control{Addresses: []string{"127.0.0.1:1", config.Listen}, TLS: &eu, StateDir: state, NodeID: "first"}
	s, stopMember := member(t, c)
	if m := settled(t, p, 1)[0]; m.Zone != "eu" || m.ID != "first" || m.Version != "test" || m.Acknowledged != s.Snapshot().Hash {
		t.Errorf("member %+v", m)
	}
	if b := s.Snapshot().Backends; len(b) != 1 || b[0].Name != "mini-eu" || len(s.Snapshot().Deployments) != 1 {
		t.Errorf("the member has %+v", b)
	}
	first := s.Snapshot().Hash
	write(t, file, policy(3))
	eventually(t, "the edit is in force", func() (bool, string) { return s.Snapshot().Hash != first, first })
	second := s.Snapshot().Hash
	settled(t, p, 1)
	write(t, file, "deployments: {}\n")
	eventually(t, "the fault is told", func() (bool, string) {
		_, text := get(t, p.Addresses().Admin, "/policy")
		return strings.Contains(text, `"refused": "`+file), text
	})
	if s.Snapshot().Hash != second || p.Fleet().Counts[control.StateCurrent] != 1 {
		t.Errorf("a broken edit changed the fleet: %+v", p.Fleet())
	}
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/fleet": `"node_id": "first"`, "/metrics": `wye_fleet_members{state="current"} 1`,
	} {
		if status, text := get(t, p.Addresses().Admin, path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	var status control.ClientStatus
	if _, text := get(t, s.Addresses().Admin, "/control"); json.Unmarshal([]byte(text), &status) != nil || !status.Connected || status.Kept != second {
		t.Errorf("/control: %s", text)
	}
	if _, text := get(t, s.Addresses().Admin, "/metrics"); !strings.Contains(text, "wye_control_connected 1") || !strings.Contains(text, "wye_last_good_failures_total 0") {
		t.Errorf("/metrics has not how the member stands")
	}

	stop()
	stopMember()
	s, stopMember = member(t, c) // nobody is there
	if s.Snapshot() == nil || s.Snapshot().Hash != second {
		t.Fatal("the member did not begin with the last good policy")
	}
	write(t, file, policy(2))
	p, stop = start(t, config)
	settled(t, p, 1)
	if s.Snapshot().Hash == second {
		t.Error("what was edited meanwhile is not in force")
	}
	stop()
	stopMember()
	kept := filepath.Join(state, "last-good.policy")
	if err := os.WriteFile(kept, []byte("not a policy"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ = member(t, c)
	if code, text := get(t, s.Addresses().Admin, "/readyz"); s.Snapshot() != nil || code != http.StatusServiceUnavailable {
		t.Errorf("ready with a damaged policy: %d %s", code, text)
	}
	for _, path := range []string{"/metrics", "/usage", "/policy", "/envoys", "/control"} {
		if code, text := get(t, s.Addresses().Admin, path); code != http.StatusOK {
			t.Errorf("%s without a policy: %d %s", path, code, text)
		}
	}
	p, _ = start(t, config)
	settled(t, p, 1)
	if code, text := get(t, s.Addresses().Admin, "/readyz"); code != http.StatusOK {
		t.Errorf("not ready: %d %s", code, text)
	}
}

// Certificates that cannot be what is asked for are an error at once.
func TestMemberCertificates(t *testing.T) {
	ca := testca.New(t, "test CA")
	var eu, none mtls.Files
	eu.Cert, eu.Key, eu.CA = ca.Files(t, t.TempDir(), "member", "spiffe://test/wye/zone/eu/member")
	none.Cert, none.Key, none.CA = ca.Files(t, t.TempDir(), "member", "spiffe://test/wye")
	for name, c := range map[string]sidecar.Config{
		"another zone than --zone": {Zone: "us", Control: &sidecar.Control{TLS: &eu}},
		"no zone":                  {Control: &sidecar.Control{TLS: &none}},
		"no files":                 {Control: &sidecar.Control{TLS: &mtls.Files{Cert: "/nowhere"}}},
		"no state directory":       {Control: &sidecar.Control{StateDir: "/dev/null/state"}},
	} {
		c.Listen, c.ExtProc, c.ADS = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		c.Control.Addresses = []string{"127.0.0.1:1"}
		if s, err := sidecar.Start(t.Context(), c); err == nil {
			t.Errorf("%s: it started", name)
			if err := s.Shutdown(context.Background(), 0); err != nil {
				t.Error(err)
			}
		}
	}
}

// What keeps a control plane from starting is said at once, and nothing stays
// open.
func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.yaml"), filepath.Join(dir, "bad.yaml")
	write(t, good, policy(4))
	write(t, bad, "deployments: {}\n")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]controlplane.Config{
		"no file":             {Policy: filepath.Join(dir, "none"), Listen: "127.0.0.1:0"},
		"no policy.yaml":      {Policy: t.TempDir(), Listen: "127.0.0.1:0"},
		"a faulty policy":     {Policy: bad, Listen: "127.0.0.1:0"},
		"a taken address":     {Policy: good, Listen: taken.Addr().String()},
		"a taken admin":       {Policy: good, Listen: "127.0.0.1:0", Admin: taken.Addr().String()},
		"no certificates":     {Policy: good, Listen: "127.0.0.1:0", TLS: &mtls.Files{Cert: "/nowhere"}},
		"an Envoy's bad addr": {Policy: good, Listen: "127.0.0.1:0", ExtProc: "nowhere", EnvoyListen: "127.0.0.1:0"},
	} {
		if p, err := controlplane.Start(t.Context(), c); err == nil {
			t.Errorf("%s: it started", name)
			if err := p.Shutdown(); err != nil {
				t.Error(err)
			}
		}
	}
}
