package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// plane is a control plane as its own process.
type plane struct {
	cmd     *exec.Cmd
	address string
	policy  string // file
}

// startPlane runs wye control and waits until it accepts connections.
func startPlane(ctx context.Context, binary, dir, text string, envoys bool) (*plane, error) {
	p := &plane{address: "unix:" + filepath.Join(dir, "control"), policy: filepath.Join(dir, "policy.yaml")}
	if err := p.edit(text); err != nil {
		return nil, err
	}
	args := []string{"control", "--policy", p.policy, "--listen", p.address, "--admin", "", "--log-level", "error"}
	if envoys {
		args = append(args, "--extproc", "unix:/run/wye/extproc.sock")
	}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = os.Stderr, os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "control"))
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(err, p.stop())
		}
	}
}

// edit replaces the policy file as careful programs do.
func (p *plane) edit(text string) error {
	if err := os.WriteFile(p.policy+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(p.policy+".new", p.policy)
}

func (p *plane) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// rss is the resident memory in bytes.
func (p *plane) rss() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, errors.New("no VmRSS in the status")
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	return n << 10, err
}

// ticksPerSecond is USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// cpu is the time that the process has used.
func (p *plane) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("the stat has too few fields")
	}
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, errors.Join(errUser, errSystem)
}

// policyText has n deployments over a few models; version makes an edit of one.
func policyText(n, version int) string {
	var b strings.Builder
	b.WriteString("backends:\n")
	models := []string{"gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-5", "gpt-5-mini", "gpt-5-nano"}
	for i, m := range models {
		for _, zone := range []string{"global", "eu", "us"} {
			fmt.Fprintf(&b, "- {name: b%d-%s, model: %q, address: \"10.%d.0.%d:443\", zone: %s, tls: {}}\n", i, zone, m, len(zone), i+1, zone)
		}
	}
	b.WriteString("deployments:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: team-%d, subset: [gpt-4.1, gpt-4.1-mini, gpt-5, gpt-5-mini]", i)
		if i == n/2 {
			fmt.Fprintf(&b, ", limits: {max_cost_usd: %d}", 100+version)
		}
		b.WriteString("}\n")
	}
	return b.String()
}
