//go:build unix

package docstest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wye/internal/docstest"
)

// The addresses that pages name; wye up listens there by default.
const (
	pageListener = "localhost:8080"
	pageAdmin    = "localhost:8081"
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

// page is the folder and the environment in which one page's blocks run.
type page struct {
	dir      string
	env      []string
	python   string            // that has the openai package
	printed  string            // by the last sh or python block
	replace  *strings.Replacer // the pages' addresses by the server's
	server   *exec.Cmd
	finished chan error // of server
	stopped  bool       // server has ended
	log      *syncBuffer
}

// newPage lays out a folder that looks like the repository after make build.
func newPage(t *testing.T, binary string) *page {
	t.Helper()
	root := repository(t)
	p := &page{dir: t.TempDir(), replace: strings.NewReplacer()}
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
		"REPOSITORY="+root, "REAL_MAKE="+realMake, "WYE_BINARY="+binary,
	)
	return p
}

// run puts one block to the test.
func (p *page) run(t *testing.T, name string, i int, b docstest.Block) {
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
		err = p.start(t, path)
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
		return fmt.Errorf("%w\n%s\nserver:\n%s", err, &all, p.log)
	}
	return nil
}

var address = regexp.MustCompile(`https?://([0-9.]+:\d+)`)

// start starts a server and waits until it names its addresses.
func (p *page) start(t *testing.T, script string) error {
	t.Helper()
	if p.server != nil {
		return errors.New("a page has one server block at most")
	}
	p.log = &syncBuffer{}
	p.server = exec.Command("bash", "-euo", "pipefail", script)
	p.server.Dir, p.server.Env = p.dir, p.env
	p.server.Stdout, p.server.Stderr = p.log, p.log
	// A group of its own, so that it can be interrupted as a terminal would.
	p.server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.server.WaitDelay = time.Second
	if err := p.server.Start(); err != nil {
		return err
	}
	p.finished = make(chan error, 1)
	go func() { p.finished <- p.server.Wait() }()
	t.Cleanup(func() {
		if !p.stopped {
			_ = syscall.Kill(-p.server.Process.Pid, syscall.SIGKILL) // the test has failed already
			if err := <-p.finished; err != nil {
				t.Logf("the server was killed: %v", err)
			}
		}
	})
	deadline := time.After(serverTimeout)
	for {
		if found := address.FindAllStringSubmatch(p.log.String(), -1); len(found) > 0 {
			p.replace = strings.NewReplacer(pageListener, found[0][1])
			return nil
		}
		select {
		case err := <-p.finished:
			p.stopped = true
			return fmt.Errorf("the server ended: %w\n%s", err, p.log)
		case <-deadline:
			return fmt.Errorf("the server named no address within %v\n%s", serverTimeout, p.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop interrupts the server, which must end without an error.
func (p *page) stop(t *testing.T, name string) {
	t.Helper()
	if p.server == nil {
		return
	}
	if err := syscall.Kill(-p.server.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatalf("%s: interrupt the server: %v", name, err)
	}
	select {
	case err := <-p.finished:
		p.stopped = true
		if err != nil {
			t.Errorf("%s: the server was interrupted and ended with %v\n%s", name, err, p.log)
		}
	case <-time.After(serverTimeout):
		t.Errorf("%s: the server did not stop within %v of being interrupted\n%s", name, serverTimeout, p.log)
	}
}

// tee writes to both buffers.
type tee struct{ a, b *bytes.Buffer }

func (w tee) Write(p []byte) (int, error) {
	w.a.Write(p)
	return w.b.Write(p)
}

// syncBuffer is a buffer that is written and read at the same time. A nil one
// is empty.
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
	if b == nil {
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
