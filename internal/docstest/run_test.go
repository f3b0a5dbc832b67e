//go:build unix

package docstest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

	"wye/internal/docstest"
)

// What pages name: the addresses at which Wye listens by default, and the
// folder of a service's sockets.
const (
	pageListener = "localhost:8080"
	pageAdmin    = "localhost:8081"
	pageRun      = "/run/wye"
)

// How long a block may run, and a server may take to start or to stop.
const (
	blockTimeout  = 3 * time.Minute
	serverTimeout = time.Minute
)

// buildWye builds the program once and returns its path.
func buildWye(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "wye")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, "./cmd/wye")
	cmd.Dir = repository(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build wye: %v\n%s", err, out)
	}
	return binary
}

// findEnvoy returns the path of an Envoy, which is installed if need be.
func findEnvoy(t *testing.T, binary string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "envoy", "path")
	cmd.Stderr = &stderr
	path, err := cmd.Output()
	if err != nil {
		t.Fatalf("find envoy: %v\n%s", err, &stderr)
	}
	return strings.TrimSpace(string(path))
}

// page is the folder and the environment in which one page's blocks run.
type page struct {
	dir             string
	env             []string
	python          string            // that has the openai package
	listener, admin string            // what stands in for the pages' addresses
	replace         *strings.Replacer // puts them in their place
	printed         string            // by the last sh or python block
	servers         []*server
}

// server is a server block that was started.
type server struct {
	*exec.Cmd
	log      *syncBuffer
	finished chan error
	stopped  bool
}

// newPage lays out a folder that looks like the repository after make build.
func newPage(t *testing.T, binary, envoy string) *page {
	t.Helper()
	root := repository(t)
	p := &page{dir: t.TempDir(), listener: freeAddress(t), admin: freeAddress(t)}
	sockets := filepath.Join(p.dir, "run")
	if err := os.Mkdir(sockets, 0o755); err != nil {
		t.Fatal(err)
	}
	p.replace = strings.NewReplacer(pageListener, p.listener, pageAdmin, p.admin, pageRun, sockets)
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || e.Name() == "bin" {
			continue
		}
		if err := os.Symlink(filepath.Join(root, e.Name()), filepath.Join(p.dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	stubs := filepath.Join(root, "internal", "docstest", "stubs")
	if err := os.Mkdir(filepath.Join(p.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(stubs, "wye"), filepath.Join(p.dir, "bin", "wye")); err != nil {
		t.Fatal(err)
	}
	realMake, err := exec.LookPath("make")
	if err != nil {
		t.Fatal(err)
	}
	p.python = filepath.Join(root, ".cache", "venv", "bin", "python3")
	if _, err := os.Stat(p.python); err != nil {
		t.Fatalf("%v: run make .cache/venv/ready", err)
	}
	p.env = append(os.Environ(),
		"PATH="+strings.Join([]string{stubs, filepath.Dir(p.python), os.Getenv("PATH")}, string(os.PathListSeparator)),
		"REPOSITORY="+root, "REAL_MAKE="+realMake, "WYE_BINARY="+binary, "WYE_ENVOY="+envoy,
		"PAGE_LISTENER="+p.listener, "PAGE_ADMIN="+p.admin,
	)
	return p
}

// freeAddress returns an address that is free at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run puts block i to the test. last: no server block follows it.
func (p *page) run(t *testing.T, name string, i int, b docstest.Block, last bool) {
	t.Helper()
	where := fmt.Sprintf("%s:%d", name, b.Line)
	text := p.replace.Replace(b.Text)
	file := b.File
	if file == "" {
		file = fmt.Sprintf("block-%d", i)
	}
	path := filepath.Join(p.dir, file)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	var err error
	switch b.Kind {
	case docstest.KindShell:
		err = p.shell(t, path)
	case docstest.KindServer:
		ready := "http://" + p.admin + "/readyz"
		if last {
			ready = "http://" + p.listener + "/v1/models"
		}
		err = p.start(t, path, ready)
	case docstest.KindPython:
		err = p.command(t, p.python, path)
	case docstest.KindPolicy:
		err = p.command(t, filepath.Join(p.dir, "bin", "wye"), "check", path)
	case docstest.KindJSON:
		if !json.Valid([]byte(text)) {
			err = errors.New("not JSON")
		}
	case docstest.KindOutput:
		t.Fatalf("%s: an output block does not run", where)
	}
	if err != nil {
		t.Errorf("%s: %v", where, err)
	}
}

// output compares an output block with what the block before it printed.
func (p *page) output(t *testing.T, name string, b docstest.Block) {
	t.Helper()
	if !docstest.MatchOutput(p.replace.Replace(b.Text), p.printed) {
		t.Errorf("%s:%d: the block above printed\n%s\nand the page says\n%s", name, b.Line, p.printed, b.Text)
	}
}

// shell runs a script. What it exports is there for the blocks below.
func (p *page) shell(t *testing.T, script string) error {
	t.Helper()
	state := filepath.Join(p.dir, ".exported")
	return p.command(t, "bash", "-c",
		`set -euo pipefail; if [ -f "$1" ]; then . "$1"; fi; . "$0"; declare -px >"$1"`, script, state)
}

func (p *page) command(t *testing.T, name string, args ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), blockTimeout)
	defer cancel()
	var stdout, all bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.Stdout, cmd.Stderr = tee{&stdout, &all}, &all
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	p.printed = stdout.String()
	if err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, &all, p.logs())
	}
	return nil
}

// logs is what the servers have printed.
func (p *page) logs() string {
	var all strings.Builder
	for _, s := range p.servers {
		fmt.Fprintf(&all, "%s:\n%s\n", s.Args[len(s.Args)-1], s.log)
	}
	return all.String()
}

// start starts a server and waits until the URL ready answers with 200.
func (p *page) start(t *testing.T, script, ready string) error {
	t.Helper()
	s := &server{Cmd: exec.Command("bash", "-euo", "pipefail", script), log: &syncBuffer{}, finished: make(chan error, 1)}
	s.Dir, s.Env = p.dir, p.env
	s.Stdout, s.Stderr = s.log, s.log
	// A group of its own, so that it can be interrupted as a terminal would.
	s.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.WaitDelay = time.Second
	if err := s.Start(); err != nil {
		return err
	}
	p.servers = append(p.servers, s)
	go func() { s.finished <- s.Wait() }()
	t.Cleanup(func() {
		if !s.stopped {
			_ = syscall.Kill(-s.Process.Pid, syscall.SIGKILL) // the test has failed already
			if err := <-s.finished; err != nil {
				t.Logf("the server was killed: %v", err)
			}
		}
	})
	deadline := time.After(serverTimeout)
	for {
		if answers(t.Context(), ready) {
			return nil
		}
		select {
		case err := <-s.finished:
			s.stopped = true
			return fmt.Errorf("the server ended: %w\n%s", err, s.log)
		case <-deadline:
			return fmt.Errorf("nothing answered at %s within %v\n%s", ready, serverTimeout, p.logs())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answers reports whether url answers with 200.
func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop interrupts the servers, the last first; each must end without an error.
func (p *page) stop(t *testing.T, name string) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	for _, s := range slices.Backward(p.servers) {
		if err := syscall.Kill(-s.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatalf("%s: interrupt the server: %v", name, err)
		}
		select {
		case err := <-s.finished:
			s.stopped = true
			if err != nil {
				t.Errorf("%s: the server was interrupted and ended with %v\n%s", name, err, s.log)
			}
		case <-time.After(serverTimeout):
			t.Fatalf("%s: the server did not stop within %v of being interrupted\n%s", name, serverTimeout, s.log)
		}
	}
}

// tee writes to both buffers.
type tee struct{ a, b *bytes.Buffer }

func (w tee) Write(p []byte) (int, error) {
	w.a.Write(p)
	return w.b.Write(p)
}

// syncBuffer is a buffer that is written and read at the same time.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
