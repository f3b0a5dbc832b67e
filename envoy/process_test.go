package envoy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wye/envoy"
)

// binary finds the Envoy that the tests run: in a clean clone, the pinned one.
func binary(t *testing.T) string {
	t.Helper()
	b, err := envoy.Find(t.Context(), envoy.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return b.Path
}

type object = map[string]any

// proxy is a static bootstrap: a listener "in" that forwards to target.
func proxy(t *testing.T, admin object, target string) []byte {
	t.Helper()
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	socket := func(host string, port int) object {
		return object{"socket_address": object{"address": host, "port_value": port}}
	}
	const types = "type.googleapis.com/envoy.extensions.filters."
	hcm := object{
		"@type": types + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "in",
		"route_config": object{"virtual_hosts": []any{object{
			"name": "all", "domains": []any{"*"},
			"routes": []any{object{"match": object{"prefix": "/"}, "route": object{"cluster": "up"}}},
		}}},
		"http_filters": []any{object{
			"name": "envoy.filters.http.router", "typed_config": object{"@type": types + "http.router.v3.Router"},
		}},
	}
	b, err := json.Marshal(object{
		"admin": object{"address": admin},
		"static_resources": object{
			"listeners": []any{object{
				"name": "in", "address": socket("127.0.0.1", 0),
				"filter_chains": []any{object{"filters": []any{object{"name": "hcm", "typed_config": hcm}}}},
			}},
			"clusters": []any{object{
				"name": "up", "load_assignment": object{"cluster_name": "up", "endpoints": []any{object{
					"lb_endpoints": []any{object{"endpoint": object{"address": socket(host, number)}}},
				}}},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loopback() object {
	return object{"socket_address": object{"address": "127.0.0.1", "port_value": 0}}
}

func start(t *testing.T, o envoy.RunOptions) *envoy.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	o.Concurrency = 1
	p, err := envoy.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func fetch(url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// A Ctrl-C goes to a terminal's foreground process group, of which the process
// must not be a part: Stop lets requests finish, SIGINT does not.
func TestProcessGroup(t *testing.T) {
	t.Parallel()
	p := start(t, envoy.RunOptions{Binary: binary(t), Bootstrap: proxy(t, loopback(), "127.0.0.1:1")})
	group, err := syscall.Getpgid(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if group != p.PID() {
		t.Errorf("envoy %d is in process group %d, want its own", p.PID(), group)
	}
}

// Stop lets what is under way finish and takes nothing new.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}), make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
		io.WriteString(w, "served") //nolint:errcheck // the client sees what is missing
	}))
	t.Cleanup(up.Close)
	for name, admin := range map[string]object{
		"tcp":  loopback(),
		"unix": {"pipe": object{"path": filepath.Join(t.TempDir(), "admin.sock")}},
	} {
		t.Run(name, func(t *testing.T) {
			arrived, release = make(chan struct{}), make(chan struct{})
			p := start(t, envoy.RunOptions{Binary: binary(t), Bootstrap: proxy(t, admin, up.Listener.Addr().String())})
			if (p.AdminAddress().Path != "") != (name == "unix") {
				t.Errorf("admin address %+v", p.AdminAddress())
			}
			a, err := p.ListenerAddress(t.Context(), "in")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.ListenerAddress(t.Context(), "out"); err == nil {
				t.Error("a listener that does not exist has an address")
			}
			_, address := a.Network()
			if body, err := fetch("http://" + address); err != nil || body != "served" {
				t.Fatalf("%q, %v", body, err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if body, err := fetch("http://" + address + "/slow"); err != nil || body != "served" {
					t.Errorf("the request under way ends in %q, %v", body, err)
				}
			})
			<-arrived
			stopped := make(chan error, 1)
			go func() { stopped <- p.Stop(t.Context()) }()
			for {
				if _, err := fetch("http://" + address); err != nil {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			select {
			case err := <-stopped:
				t.Errorf("stopped before the request was over: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			close(release)
			if err := <-stopped; err != nil {
				t.Error(err)
			}
			wg.Wait()
			if _, err := p.Admin(t.Context(), http.MethodGet, "/ready"); err == nil {
				t.Error("the admin page of a stopped Envoy answers")
			}
		})
	}
}

// The drain ends with its time, whatever is still under way.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}))
	t.Cleanup(up.Close)
	p := start(t, envoy.RunOptions{
		Binary: binary(t), Bootstrap: proxy(t, loopback(), up.Listener.Addr().String()), DrainTime: 200 * time.Millisecond,
	})
	a, err := p.ListenerAddress(t.Context(), "in")
	if err != nil {
		t.Fatal(err)
	}
	_, address := a.Network()
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = fetch("http://" + address) }) // is cut
	<-arrived
	began := time.Now()
	if err := p.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	wg.Wait()
	if err := p.Stop(t.Context()); err != nil {
		t.Errorf("stopping twice: %v", err)
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		binary string
		want   []string
	}{
		{"no binary", "/nonexistent/envoy", []string{"start envoy: fork/exec /nonexistent/envoy: no such file"}},
		{"exits", script(t, filepath.Join(t.TempDir(), "e"), "echo bad config >&2; exit 7"), []string{"exited before it was ready (exit status 7): bad config"}},
		{"exits without an error", script(t, filepath.Join(t.TempDir(), "e"), "exit 0"), []string{"(exit status 0)"}},
		{"is never ready", script(t, filepath.Join(t.TempDir(), "e"), "echo waiting; exec sleep 60"), []string{"it is not ready: context deadline exceeded: waiting"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := envoy.Start(ctx, envoy.RunOptions{Binary: tt.binary, Bootstrap: []byte("{}")})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
		})
	}
	t.Run("refused bootstrap", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		_, err := envoy.Start(t.Context(), envoy.RunOptions{Binary: binary(t), Bootstrap: []byte(`{"nonsense": 1}`), Log: &log})
		if err == nil || !strings.Contains(err.Error(), "nonsense") || !strings.Contains(log.String(), "nonsense") {
			t.Errorf("error %v\nlog %s", err, log.String())
		}
	})
}

// One that dies by itself is noticed; one that ignores SIGTERM is killed.
func TestProcessEnds(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(up.Close)
	p := start(t, envoy.RunOptions{Binary: binary(t), Bootstrap: proxy(t, loopback(), up.Listener.Addr().String())})
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
	case <-time.After(10 * time.Second):
		t.Fatal("its end is not noticed")
	}
	frozen := start(t, envoy.RunOptions{
		Binary: binary(t), Bootstrap: proxy(t, loopback(), up.Listener.Addr().String()), DrainTime: 100 * time.Millisecond,
	})
	if err := syscall.Kill(frozen.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := frozen.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "ignored SIGTERM") {
		t.Errorf("error %v", err)
	}
	if err := syscall.Kill(frozen.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("it is still there: %v", err)
	}
}

// A parent that is killed takes its Envoy along, where the system can.
func TestDiesWithParent(t *testing.T) {
	t.Parallel()
	if os.Getenv("WYE_TEST_PARENT") != "" {
		parent(t)
	}
	if runtime.GOOS != "linux" {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestDiesWithParent$")
	cmd.Env = append(os.Environ(), "WYE_TEST_PARENT=1", envoy.BinaryVariable+"="+binary(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 32)
	n, err := out.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buffer[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("envoy: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Since(began) > 10*time.Second {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("envoy outlives its parent")
		}
	}
}

// parent starts an Envoy, prints its process id and waits to be killed.
func parent(t *testing.T) {
	up := httptest.NewServer(http.NotFoundHandler())
	p, err := envoy.Start(t.Context(), envoy.RunOptions{
		Binary: os.Getenv(envoy.BinaryVariable), Bootstrap: proxy(t, loopback(), up.Listener.Addr().String()),
	})
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString(strconv.Itoa(p.PID()) + "\n") //nolint:errcheck // the reader notices
	select {}
}
