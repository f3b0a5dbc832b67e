package rig

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a running program whose output is kept.
type Process struct {
	Pid    int
	cmd    *exec.Cmd
	output *transcript
	done   chan struct{} // closed once the process has been reaped
	err    error         // its exit, valid after done
}

// Run starts a program. The test's cleanup kills it if it still runs, and a
// failed test shows the end of its output.
func Run(t testing.TB, env []string, name string, args ...string) *Process {
	t.Helper()
	p := &Process{cmd: exec.Command(name, args...), output: &transcript{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	standAlone(p.cmd)
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	p.Pid = p.cmd.Process.Pid
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error means that it has exited
		<-p.done
		if t.Failed() {
			t.Logf("output of %s %s:\n%s", name, strings.Join(args, " "), p.output.tail(8<<10))
		}
	})
	return p
}

// Signal sends a signal; a process that has exited is a failure.
func (p *Process) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %v: %v", s, err)
	}
}

// SignalGroup sends a signal to the process and whatever it started in its
// group, as a terminal does.
func (p *Process) SignalGroup(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-p.Pid, s); err != nil {
		t.Fatalf("signal %v to group %d: %v", s, p.Pid, err)
	}
}

// Wait returns the exit code once the process has exited by itself or by a
// signal (-1).
func (p *Process) Wait(t testing.TB, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("process %d still runs after %v", p.Pid, within)
	}
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		t.Fatalf("wait for process %d: %v", p.Pid, p.err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Exited reports whether the process has exited.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output returns what the process has written so far.
func (p *Process) Output() string { return p.output.tail(1 << 30) }

// RSS returns the resident memory in bytes, and its highest value so far.
func (p *Process) RSS(t testing.TB) (now, peak int64) {
	t.Helper()
	return rss(t, p.Pid)
}

// EnvoyRSS returns the resident memory of Envoy in bytes.
func (s *Stack) EnvoyRSS(t testing.TB) int64 {
	t.Helper()
	now, _ := rss(t, s.envoy.PID())
	return now
}

func rss(t testing.TB, pid int) (now, peak int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) int64 {
		_, rest, _ := strings.Cut(string(text), name+":")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != "kB" {
			t.Fatalf("no %s in the status of process %d", name, pid)
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n << 10
	}
	return read("VmRSS"), read("VmHWM")
}

// transcript keeps the output of a process, the newest of it when it is long.
type transcript struct {
	mu   sync.Mutex
	text []byte
}

const maxTranscript = 4 << 20

// Write implements io.Writer.
func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if over := len(l.text) - maxTranscript; over > 0 {
		l.text = bytes.Clone(l.text[over:])
	}
	return len(p), nil
}

func (l *transcript) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text[max(0, len(l.text)-n):])
}

// Eventually polls until ok reports true, and fails the test with what it last
// said when the time is over.
func Eventually(t testing.TB, within time.Duration, what string, ok func() (bool, string)) time.Duration {
	t.Helper()
	begin := time.Now()
	for {
		good, last := ok()
		if good {
			return time.Since(begin)
		}
		if time.Since(begin) > within {
			t.Fatalf("%s: not within %v; last: %s", what, within, last)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
