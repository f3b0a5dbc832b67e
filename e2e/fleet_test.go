package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// fleet is control planes and members without an Envoy, as processes.
type fleet struct {
	t      *testing.T
	dir    string
	policy string // file
	planes map[string]*rig.Process
}

func (f *fleet) socket(name string) string { return filepath.Join(f.dir, name) }

// control starts a control plane.
func (f *fleet) control(name string) {
	f.t.Helper()
	f.planes[name] = rig.Run(f.t, nil, rig.Binary(f.t), "control", "--policy", f.policy,
		"--listen", "unix:"+f.socket(name), "--admin", "unix:"+f.socket(name+"-admin"))
}

// kill kills a control plane at once.
func (f *fleet) kill(name string) {
	f.t.Helper()
	f.planes[name].Signal(f.t, syscall.SIGKILL)
	f.planes[name].Wait(f.t, rig.Patience)
}

// member starts one; prefix is a shell's.
func (f *fleet) member(name, prefix string, args ...string) *rig.Process {
	f.t.Helper()
	args = append([]string{
		"-c", prefix + `exec "$0" "$@"`, rig.Binary(f.t), "serve", "--node-id", name, "--state-dir", f.socket(name + "-state"),
		"--listen", "127.0.0.1:0", "--drain-delay", "0s", "--extproc", "unix:" + f.socket(name+"-extproc"), "--ads", "unix:" + f.socket(name+"-ads"),
		"--admin", "unix:" + f.socket(name+"-admin"),
	}, args...)
	return rig.Run(f.t, nil, "bash", args...)
}

// fleetMember is what wye fleet --json says of one, as far as tests need it.
type fleetMember struct {
	ID           string `json:"node_id"`
	State        string `json:"state"`
	Acknowledged string `json:"acknowledged"`
	Reason       string `json:"reason"`
}

// states asks a control plane.
func (f *fleet) states(name string) map[string]fleetMember {
	f.t.Helper()
	stdout, stderr, _ := rig.Command(f.t, "", "fleet", "--json", "--admin", "unix:"+f.socket(name+"-admin"))
	var answer struct{ Members []fleetMember }
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		return map[string]fleetMember{"": {Reason: stderr}}
	}
	all := map[string]fleetMember{}
	for _, m := range answer.Members {
		all[m.ID] = m
	}
	return all
}

// converge waits until the members have the policy in force, by what one of the
// control planes says.
func (f *fleet) converge(hash string, planes []string, members ...string) {
	f.t.Helper()
	took := rig.Eventually(f.t, 2*rig.Patience, fmt.Sprintf("%q have policy %s", members, hash), func() (bool, string) {
		have, last := map[string]bool{}, ""
		for _, p := range planes {
			states := f.states(p)
			last += fmt.Sprintf("%s: %+v ", p, states)
			for id, m := range states {
				have[id] = have[id] || m.State == "current" && m.Acknowledged == hash
			}
		}
		return !slices.ContainsFunc(members, func(id string) bool { return !have[id] }), last
	})
	f.t.Logf("%q have %s after %v", members, hash, took)
}

// get asks the admin page at a socket.
func (f *fleet) get(name, path string) (int, string) {
	f.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", f.socket(name+"-admin"))
	}}
	got, err := rig.Do(f.t.Context(), &http.Client{Transport: transport}, http.MethodGet, "http://wye"+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	return got.Status, string(got.Body)
}

// network is a TCP proxy to a Unix socket, which can be cut.
type network struct {
	address string
	mu      sync.Mutex
	target  string // empty: cut
	open    map[net.Conn]bool
}

func newNetwork(t *testing.T, target string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{address: l.Addr().String(), target: target, open: map[net.Conn]bool{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { n.carry(c) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		n.to("")
		running.Wait()
	})
	return n
}

// carry passes on what two connections say until one ends.
func (n *network) carry(c net.Conn) {
	defer c.Close()
	n.mu.Lock()
	target := n.target
	n.mu.Unlock()
	if target == "" {
		return
	}
	up, err := net.Dial("unix", target)
	if err != nil {
		return
	}
	defer up.Close()
	n.mu.Lock()
	n.open[c], n.open[up] = true, true
	n.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(up, c) // either side may go at any time
		up.Close()
	}()
	_, _ = io.Copy(c, up)
	c.Close()
	<-done
}

// to carries new connections to target, and ends those there are.
func (n *network) to(target string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.target = target
	for c := range n.open {
		c.Close()
	}
	clear(n.open)
}

// edit writes the i-th edit and returns the policy's hash.
func (f *fleet) edit(p rig.Policy) (hash string) {
	f.t.Helper()
	draft := filepath.Join(f.t.TempDir(), "draft.yaml")
	rig.WriteFile(f.t, draft, p.YAML(f.t))
	_, rest, ok := strings.Cut(rig.Output(f.t, "check", draft), "ok, policy ")
	if !ok {
		f.t.Fatal("wye check names no policy")
	}
	hash, _, _ = strings.Cut(rest, ":")
	rig.WriteFile(f.t, f.policy, p.YAML(f.t))
	return hash
}

// A control plane is killed in the middle of a push, the network to a member is
// cut, a member stands still, one has a full disk and one refuses: no request
// fails, goes to a backend of another policy or leaves its zone, and all members
// converge when the fault ends. Then all start again with what they kept.
func TestFleetSurvives(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "wye-fleet-") //nolint:usetesting // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	f := &fleet{t: t, dir: dir, planes: map[string]*rig.Process{}}
	a, b := "unix:"+f.socket("a"), "unix:"+f.socket("b")
	s := rig.Start(t, rig.Options{Source: func(policy string) []string {
		f.policy = policy
		f.control("a")
		f.control("b")
		return []string{"--control", a, "--control", b, "--node-id", "envoy", "--state-dir", f.socket("envoy-state")}
	}})
	m := startMoves(t, s)
	n := newNetwork(t, f.socket("b"))
	f.member("cut", "", "--control", n.address)
	slow := f.member("slow", "", "--control", b, "--control", a)
	full := f.member("full", "ulimit -f 1; ", "--control", a, "--control", b)
	f.member("mars", "", "--control", b, "--control", a, "--zone", "mars")
	both, everybody := []string{"a", "b"}, []string{"envoy", "cut", "slow", "full"}
	f.converge(f.edit(s.Policy), both, everybody...)

	load := rig.StartLoad(t, 4, 5*time.Millisecond, func(client, _ int) (rig.Response, error) {
		return rig.Post(t.Context(), s.Client, s.URL, rig.Chat([]string{"auto", "eu-only"}[client%2], "Say hello."))
	})
	first := f.edit(m.edit(s.Policy, 0))
	time.Sleep(300 * time.Millisecond) // about when it is handed out
	f.kill("a")
	f.converge(first, []string{"b"}, everybody...)
	if mars := f.states("b")["mars"]; mars.State != "refused" || !strings.Contains(mars.Reason, "zone") {
		t.Errorf("the member without backends is %+v", mars)
	}

	n.to("")
	slow.Signal(t, syscall.SIGSTOP)
	second := f.edit(m.edit(s.Policy, 1))
	f.converge(second, []string{"b"}, "envoy", "full")
	if _, text := f.get("cut", "/policy"); !strings.Contains(text, first) {
		t.Errorf("the member that was cut off has not what it had: %s", text)
	}
	n.to(f.socket("b"))
	slow.Signal(t, syscall.SIGCONT)
	f.converge(second, []string{"b"}, everybody...)

	f.control("a")
	f.kill("b")
	n.to(f.socket("a"))
	third := f.edit(m.edit(s.Policy, 2))
	f.converge(third, []string{"a"}, everybody...)
	outcomes := load.Stop()
	for _, bad := range rig.Bad(outcomes, http.StatusOK) {
		t.Error(bad)
	}
	for _, o := range outcomes {
		if zone := o.Response.Header.Get("x-wye-zone"); o.Client%2 == 1 && zone != "eu" {
			t.Errorf("a request of eu-only was served in %q", zone)
		}
	}
	m.check(t, outcomes, 3) // the last edit takes all back
	s.CheckStrict(t)
	if files, err := os.ReadDir(f.socket("full-state")); err != nil || len(files) != 0 {
		t.Errorf("the member with a full disk keeps %v, %v", files, err)
	}
	if _, text := f.get("full", "/metrics"); strings.Contains(text, "wye_last_good_failures_total 0") || !strings.Contains(full.Output(), "not kept") {
		t.Error("the member with a full disk does not say so")
	}

	f.kill("a")
	slow.Signal(t, syscall.SIGKILL)
	slow.Wait(t, rig.Patience)
	kept := filepath.Join(f.socket("slow-state"), "last-good.policy")
	if err := os.Truncate(kept, 700); err != nil {
		t.Fatal(err)
	}
	slow = f.member("slow", "", "--control", b, "--control", a)
	rig.Eventually(t, rig.Patience, "the damaged policy is not used", func() (bool, string) {
		code, text := f.get("slow", "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(slow.Output(), "last good policy cannot be used"), text
	})
	s.Wye.Signal(t, syscall.SIGKILL)
	s.Wye.Wait(t, rig.Patience)
	s.RestartWye(t)
	rig.Eventually(t, rig.Patience, "requests are served without a control plane", func() (bool, string) {
		got := s.Post(t, rig.Chat("auto", "hi"))
		return got.Status == http.StatusOK && got.Header.Get("x-wye-policy") == third, string(got.Body)
	})
	f.control("b")
	n.to(f.socket("b"))
	f.converge(third, []string{"b"}, everybody...)
	s.CheckStrict(t)
}
