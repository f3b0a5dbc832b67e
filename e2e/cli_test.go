package e2e_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	rig.WriteFile(t, broken, "backends:\n- name: a\n  model: gpt-4.1\n  addresss: 127.0.0.1:1\n")
	good := rig.Unreachable().Write(t)
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	serve := func(args ...string) []string {
		return append([]string{"serve", "--admin", "", "--extproc", "127.0.0.1:0", "--ads", "127.0.0.1:0", "--policy"}, args...)
	}
	for _, test := range []struct {
		name, stdin string
		args        []string
		code        int
		stdout      string // regular expressions
		stderr      string
	}{
		{name: "no command", args: nil, code: 0, stdout: `serve`},
		{name: "help", args: []string{"help", "up"}, code: 0, stdout: `--fake-providers`},
		{name: "version", args: []string{"version"}, code: 0, stdout: `(?s)wye .*predictor .*envoy 1\.`},
		{name: "unknown command", args: []string{"route"}, code: 2, stderr: `route`},
		{name: "unknown flag", args: []string{"up", "--fake"}, code: 2, stderr: `--fake`},
		{name: "stray argument", args: []string{"serve", "policy.yaml"}, code: 2, stderr: `policy.yaml|arg`},
		{name: "check", args: []string{"check", good}, code: 0, stdout: `ok`},
		{name: "check for an older Envoy", args: []string{"check", "--envoy", "1.39.3", "--prove-zones", good}, code: 0, stdout: `ok[^$]*On an Envoy`},
		{name: "check for an Envoy too old", args: []string{"check", "--envoy", "1.38", good}, code: 1, stderr: `envoy 1\.38 is older than 1\.39`},
		{name: "check for no Envoy", args: []string{"check", "--envoy", "new", good}, code: 2, stderr: `--envoy.*"new"`},
		{name: "path of an Envoy that is not pinned", args: []string{"envoy", "path", "--version", "1.38.3"}, code: 1, stderr: `no Envoy 1\.38\.3 is pinned`},
		{name: "render static", args: []string{"render", "static", "--policy", good}, code: 0, stdout: `"static_resources"`},
		{name: "render static of a broken policy", args: []string{"render", "static", "--policy", broken}, code: 1, stderr: `broken\.yaml:4:3: `},
		{name: "render static for an Envoy too old", args: []string{"render", "static", "--envoy", "1.38", "--policy", good}, code: 1, stderr: `older than 1\.39`},
		{name: "check without a file", args: []string{"check"}, code: 2, stderr: `arg`},
		{name: "check of a missing file", args: []string{"check", filepath.Join(dir, "none.yaml")}, code: 1, stderr: `none\.yaml`},
		{name: "check of a broken policy", args: []string{"check", broken}, code: 1, stderr: `broken\.yaml:4:3: `},
		{name: "serve of a broken policy", args: serve(broken), code: 1, stderr: `broken\.yaml:4:3: `},
		{name: "up with a broken policy", args: []string{"up", "--policy", broken}, code: 1, stderr: `broken\.yaml:4:3: `},
		{name: "explain", args: []string{"explain", "--policy", good}, stdin: `{"model":"auto",` + hi + `}`, code: 0, stdout: `large`},
		{name: "explain with the embedded policy", args: []string{"explain", "-"}, stdin: `{"model":"auto",` + hi + `}`, code: 0, stdout: `gpt-`},
		{name: "explain of an unknown deployment", args: []string{"explain", "--policy", good}, stdin: `{"model":"nope",` + hi + `}`, code: 1, stdout: `nope`},
		{name: "explain of broken JSON", args: []string{"explain", "--policy", good}, stdin: `{"model"`, code: 1, stderr: `JSON|json`},
		{name: "explain with an unknown mode", args: []string{"explain", "--mode", "best"}, stdin: `{}`, code: 2, stderr: `best`},
		{name: "bootstrap", args: []string{"envoy", "bootstrap", "--node-id", "n1"}, code: 0, stdout: `"n1"`},
		{name: "bootstrap with a bad address", args: []string{"envoy", "bootstrap", "--ads", "nowhere"}, code: 2, stderr: `nowhere`},
		{name: "serve at a bad address", args: serve(good, "--extproc", "nowhere"), code: 2, stderr: `nowhere`},
		{name: "unknown log level", args: []string{"serve", "--log-level", "loud"}, code: 2, stderr: `loud`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := rig.Command(t, test.stdin, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !regexp.MustCompile(test.stdout).MatchString(stdout) {
				t.Errorf("standard output has no %q", test.stdout)
			}
			if !regexp.MustCompile(test.stderr).MatchString(stderr) {
				t.Errorf("standard error has no %q", test.stderr)
			}
			if t.Failed() {
				t.Logf("standard output:\n%s\nstandard error:\n%s", stdout, stderr)
			}
		})
	}
}

// up starts wye up with fake providers and returns it with its URL.
func up(t *testing.T, args ...string) (*rig.Process, string) {
	t.Helper()
	p := rig.Run(t, []string{"WYE_ENVOY=" + rig.EnvoyBinary(t)}, rig.Binary(t),
		append([]string{"up", "--fake-providers", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--fake-pace", "1ms"}, args...)...)
	ready := regexp.MustCompile(`Wye is ready at (http://\S+)\n(?s:.*)Ctrl-C`)
	var url string
	rig.Eventually(t, 2*rig.Patience, "wye up is ready", func() (bool, string) {
		if p.Exited() {
			t.Fatalf("wye up exited: %s", p.Output())
		}
		match := ready.FindStringSubmatch(p.Output())
		if match != nil {
			url = match[1]
		}
		return match != nil, p.Output()
	})
	return p, url
}

// The lines that wye up prints to try work when they are pasted into a shell,
// and SIGTERM under load ends it without a failed request.
func TestUp(t *testing.T) {
	p, url := up(t)
	path := filepath.Dir(rig.Python(t)) + string(os.PathListSeparator) + os.Getenv("PATH")
	for start, want := range map[string]string{"curl": "x-wye-model: ", "python3": ""} {
		command := pasted(t, p.Output(), start)
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Env = append(os.Environ(), "PATH="+path)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || len(out) == 0 {
			t.Errorf("%s\n%v: %s", command, err, out)
		}
	}
	admin := regexp.MustCompile(`http://[0-9.:]+/\{`).FindString(p.Output())
	for _, page := range []string{"healthz", "readyz", "metrics", "policy", "envoys"} {
		got, err := rig.Do(t.Context(), rig.NewClient(t), http.MethodGet, strings.TrimSuffix(admin, "{")+page, nil)
		if err != nil || got.Status != http.StatusOK {
			t.Errorf("%s: status %d, %v", page, got.Status, err)
		}
	}

	client := rig.NewClient(t)
	load := rig.StartLoad(t, loadClients, time.Millisecond, func(c, n int) (rig.Response, error) {
		body := rig.Chat("auto", fmt.Sprintf("Say %d to %d.", n, c))
		if n%2 == 0 {
			body = append(body[:len(body)-1], `,"stream":true}`...)
		}
		return rig.Post(t.Context(), client, url, body)
	})
	served(t, load, time.Now(), rig.Patience)
	children := childrenOf(t, p.Pid)
	stopped := time.Now()
	p.Signal(t, syscall.SIGTERM)
	if code := p.Wait(t, rig.Patience); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	t.Logf("stopped in %v", time.Since(stopped))
	if took := time.Since(stopped); took > slack(5*time.Second) {
		t.Errorf("it took %v to stop, though no request took a second", took)
	}
	outcomes := load.Stop()
	n := 0
	for _, o := range outcomes {
		if errors.Is(o.Err, syscall.ECONNREFUSED) {
			continue // it no longer listens, which fails no request that was taken
		}
		n++
		for _, bad := range rig.Bad([]rig.Outcome{o}, http.StatusOK) {
			t.Error(bad)
		}
	}
	t.Logf("%d requests were taken, %d came too late", n, len(outcomes)-n)
	for _, pid := range children {
		if running(pid) {
			t.Errorf("process %d, a child of wye up, still runs", pid)
		}
	}
}

// pasted returns the command in text that begins with start: up to the next
// empty line.
func pasted(t *testing.T, text, start string) string {
	t.Helper()
	_, rest, ok := strings.Cut("\n"+text, "\n"+start+" ")
	if !ok {
		t.Fatalf("no line begins with %s: %s", start, text)
	}
	command, _, _ := strings.Cut(rest, "\n\n")
	return start + " " + command
}

func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var children []int
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			var child int
			if _, err := fmt.Sscan(field, &child); err != nil {
				t.Fatal(err)
			}
			children = append(children, child)
		}
	}
	if len(children) == 0 {
		t.Fatalf("process %d has no child, it was to run Envoy", pid)
	}
	return children
}

// running reports whether a process runs; one that nobody has reaped yet does
// not.
func running(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// kill -9 of wye up takes its Envoy with it.
func TestUpKilled(t *testing.T) {
	p, url := up(t)
	children := childrenOf(t, p.Pid)
	p.Signal(t, syscall.SIGKILL)
	p.Wait(t, rig.Patience)
	rig.Eventually(t, rig.Patience, "Envoy is gone", func() (bool, string) {
		for _, pid := range children {
			if running(pid) {
				return false, fmt.Sprintf("process %d runs", pid)
			}
		}
		return true, ""
	})
	if got, err := rig.Post(t.Context(), rig.NewClient(t), url, rig.Chat("auto", "hi")); err == nil {
		t.Errorf("still answered with %d", got.Status)
	}
}

// When Envoy dies, wye up does not pretend to serve.
func TestUpWithoutEnvoy(t *testing.T) {
	p, _ := up(t)
	for _, pid := range childrenOf(t, p.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if code := p.Wait(t, rig.Patience); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(p.Output(), "envoy") {
		t.Errorf("the output does not say that Envoy ended: %s", p.Output())
	}
}

// The demo shows at least 24 prompts in each mode and what they cost, within a
// minute and without escape sequences where there is no terminal.
func TestDemo(t *testing.T) {
	begin := time.Now()
	t.Setenv("WYE_ENVOY", rig.EnvoyBinary(t))
	stdout, stderr, code := rig.Command(t, "", "demo")
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, mode := range modes {
		if n := len(regexp.MustCompile(`(?m)^.*\b`+mode+`\b.*$`).FindAllString(stdout, -1)); n < 24 {
			t.Errorf("%d lines for mode %s, want 24 and more", n, mode)
		}
	}
	if strings.Contains(stdout+stderr, "\x1b") || strings.Contains(stdout+stderr, "\r") {
		t.Error("escape sequences without a terminal")
	}
	took := time.Since(begin)
	t.Logf("the demo took %v", took)
	if took > 2*time.Minute {
		t.Errorf("the demo took %v, want a minute", took)
	}
}
