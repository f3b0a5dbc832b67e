package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// RunOptions is how to run an Envoy. Binary and Bootstrap are required.
type RunOptions struct {
	Binary    string // path
	Bootstrap []byte // JSON
	// Concurrency is the number of worker threads. Default: Envoy's, one a core.
	Concurrency int
	LogLevel    string // default: warning
	// Log receives everything Envoy prints, beside the tail that errors quote.
	Log io.Writer
	// DrainTime bounds how long Stop waits for requests under way. Default 10 s.
	DrainTime time.Duration
	// Args are further command-line arguments.
	Args []string
}

// Process is a running Envoy. Its methods may be called concurrently.
type Process struct {
	cmd    *exec.Cmd
	dir    string
	drain  time.Duration
	admin  Address
	client *http.Client
	log    *tail
	exited chan struct{} // closed once the process is gone and err is set
	err    error
}

const (
	pollInterval = 10 * time.Millisecond
	killGrace    = 5 * time.Second
)

// Start runs Envoy and returns once it is ready: it has its listeners and takes
// requests. ctx bounds the wait alone; the process runs until Stop, and is
// killed with its parent where the system can do that. An error quotes the end
// of Envoy's log.
func Start(ctx context.Context, o RunOptions) (*Process, error) {
	p, err := launch(o)
	if err != nil {
		return nil, fmt.Errorf("start envoy: %w", err)
	}
	if err := p.waitReady(ctx); err != nil {
		return nil, fmt.Errorf("start envoy: %w", errors.Join(err, p.kill()))
	}
	return p, nil
}

func launch(o RunOptions) (*Process, error) {
	dir, err := os.MkdirTemp("", "wye-envoy-")
	if err != nil {
		return nil, err
	}
	p := &Process{dir: dir, drain: o.DrainTime, log: &tail{next: o.Log}, exited: make(chan struct{})}
	if p.drain <= 0 {
		p.drain = 10 * time.Second
	}
	config := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(config, o.Bootstrap, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	level := o.LogLevel
	if level == "" {
		level = "warning"
	}
	args := []string{
		"--config-path", config, "--admin-address-path", p.adminFile(), "--use-dynamic-base-id", "--log-level", level,
		// The listeners close when Stop asks for it, not at random over the
		// drain time.
		"--drain-strategy", "immediate", "--drain-time-s", strconv.Itoa(max(1, int(p.drain.Seconds()))),
	}
	if o.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(o.Concurrency))
	}
	p.cmd = exec.Command(o.Binary, append(args, o.Args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = processAttributes()
	p.cmd.WaitDelay = time.Second
	started := make(chan error)
	go func() {
		// Linux takes the death of the thread that started a process for the
		// death of its parent, so that thread must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return p, nil
}

func (p *Process) adminFile() string { return filepath.Join(p.dir, "admin") }

// waitReady returns once the admin page says that Envoy is live.
func (p *Process) waitReady(ctx context.Context) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if p.ready(ctx) {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("it exited before it was ready (%w): %s", p.exitError(), p.log)
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w: %s", ctx.Err(), p.log)
		case <-tick.C:
		}
	}
}

func (p *Process) ready(ctx context.Context) bool {
	if p.client == nil {
		b, err := os.ReadFile(p.adminFile())
		if err != nil || len(b) == 0 {
			return false
		}
		if p.admin, err = adminAddress(string(b)); err != nil {
			return false
		}
		network, address := p.admin.Network()
		p.client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		}}
	}
	body, err := p.Admin(ctx, http.MethodGet, "/ready")
	return err == nil && strings.TrimSpace(string(body)) == "LIVE"
}

// adminAddress reads what Envoy writes to --admin-address-path.
func adminAddress(s string) (Address, error) {
	if filepath.IsAbs(s) || strings.HasPrefix(s, "@") {
		return Address{Path: s}, nil
	}
	return ParseAddress(s)
}

// Admin asks the admin page and returns the body of a 200 answer.
func (p *Process) Admin(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("envoy admin %s: %w", path, err)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("envoy admin %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("envoy admin %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("envoy admin %s: %s: %.200s", path, resp.Status, body)
	}
	return body, nil
}

// AdminAddress is where the admin page listens.
func (p *Process) AdminAddress() Address { return p.admin }

// Exited is closed when the process is gone.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogTail is the end of what Envoy printed.
func (p *Process) LogTail() string { return p.log.String() }

// ListenerAddress returns where the listener of that name accepts connections.
func (p *Process) ListenerAddress(ctx context.Context, name string) (Address, error) {
	body, err := p.Admin(ctx, http.MethodGet, "/listeners?format=json")
	if err != nil {
		return Address{}, err
	}
	var list struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint16 `json:"port_value"`
				} `json:"socket_address"`
				Pipe struct {
					Path string `json:"path"`
				} `json:"pipe"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return Address{}, fmt.Errorf("envoy admin /listeners: %w", err)
	}
	for _, s := range list.Statuses {
		if s.Name != name {
			continue
		}
		if s.Local.Pipe.Path != "" {
			return Address{Path: s.Local.Pipe.Path}, nil
		}
		return ParseAddress(net.JoinHostPort(s.Local.Socket.Address, strconv.Itoa(int(s.Local.Socket.Port))))
	}
	return Address{}, fmt.Errorf("envoy has no listener %q", name)
}

// Stop closes the listeners, waits for requests under way for at most the drain
// time or until ctx ends, and ends the process, by force if it must. It is not
// an error if the process is gone already.
func (p *Process) Stop(ctx context.Context) error {
	select {
	case <-p.exited:
		return p.clean()
	default:
	}
	drainCtx, cancel := context.WithTimeout(ctx, p.drain)
	defer cancel()
	p.drainRequests(drainCtx)
	// An error means that the process has ended meanwhile.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return p.clean()
	case <-time.After(killGrace):
		return errors.Join(fmt.Errorf("stop envoy: it ignored SIGTERM for %v and was killed", killGrace), p.kill())
	}
}

// drainRequests returns once no request is under way, ctx ends, or the process
// does. Without the admin page there is no graceful end.
func (p *Process) drainRequests(ctx context.Context) {
	if _, err := p.Admin(ctx, http.MethodPost, "/drain_listeners"); err != nil {
		return
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if active, err := p.activeRequests(ctx); err == nil && active == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-p.exited:
			return
		case <-tick.C:
		}
	}
}

// activeRequests counts the requests under way but for the admin page's own.
func (p *Process) activeRequests(ctx context.Context) (int, error) {
	body, err := p.Admin(ctx, http.MethodGet, "/stats?filter=%5Ehttp%5C..*downstream_rq_active$")
	if err != nil {
		return 0, err
	}
	sum := 0
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || strings.HasPrefix(name, "http.admin.") {
			continue
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return 0, fmt.Errorf("envoy admin /stats: %s: %w", name, err)
		}
		sum += n
	}
	return sum, nil
}

// kill ends the process at once.
func (p *Process) kill() error {
	// An error means that the process has ended meanwhile.
	_ = p.cmd.Process.Kill()
	<-p.exited
	return p.clean()
}

func (p *Process) clean() error { return os.RemoveAll(p.dir) }

func (p *Process) exitError() error {
	if p.err != nil {
		return p.err
	}
	return errors.New("exit status 0")
}
