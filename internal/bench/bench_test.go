package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wye/internal/bench/processor"
	"wye/internal/bench/report"
)

func TestMain(m *testing.M) {
	// The program starts itself to be a processor; see startProcessor.
	if len(os.Args) == 4 && os.Args[1] == processorCommand {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"unknown":         {[]string{"-nope"}, "nope"},
		"stray argument":  {[]string{"x"}, `"x"`},
		"no rounds":       {[]string{"-rounds", "0"}, "positive"},
		"no time":         {[]string{"-seconds", "0"}, "positive"},
		"no workers":      {[]string{"-concurrency", "0"}, "positive"},
		"no workload":     {[]string{"-workload", "3 KB"}, "3 KB"},
		"negative warmup": {[]string{"-warmup", "-1"}, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), test.args, &stdout, &stderr)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestBodySize(t *testing.T) {
	t.Parallel()
	for _, w := range workloads {
		b := body(w.bytes)
		if len(b) != w.bytes || !json.Valid(b) {
			t.Errorf("%s: body of %d bytes, valid JSON %t", w.name, len(b), json.Valid(b))
		}
	}
	if !json.Valid(body(0)) {
		t.Error("the smallest body is no JSON")
	}
}

// check must tell a variant that does its work from one that does not.
func TestCheck(t *testing.T) {
	t.Parallel()
	up, err := startUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := up.close(); err != nil {
			t.Error(err)
		}
	})
	proxy := func(change func(body string) string, status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var b bytes.Buffer
			if _, err := b.ReadFrom(r.Body); err != nil {
				t.Error(err)
			}
			resp, err := http.Post("http://"+up.addr, "application/json", strings.NewReader(change(b.String())))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(status)
			b.Reset()
			_, _ = b.ReadFrom(resp.Body)
			_, _ = w.Write(b.Bytes())
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	same := func(body string) string { return body }
	model := func(body string) string { return strings.Replace(body, `"auto"`, `"bench-model"`, 1) }
	for name, test := range map[string]struct {
		addr, want string
	}{
		"good":          {proxy(model, 200), ""},
		"wrong model":   {proxy(same, 200), "upstream was sent model"},
		"changed body":  {proxy(func(body string) string { return strings.Replace(model(body), "0.2", "0.20", 1) }, 200), "another body"},
		"refused":       {proxy(model, 503), "status 503"},
		"not reachable": {"127.0.0.1:1", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{}
			defer client.CloseIdleConnections()
			err := check(client, test.addr, body(2048), func(got string) bool { return got == processor.RewrittenModel })
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	up, err := startUpstream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := up.close(); err != nil {
			t.Error(err)
		}
	})
	s := suite{
		workloads: []workload{{"a", 2048, 1}, {"b", 4096, 2}}, rounds: 2, duration: 300 * time.Millisecond,
		random: rand.New(rand.NewPCG(1, 1)), progress: func(string, ...any) {},
	}
	good := variant{name: "good", addr: up.addr, envoy: os.Getpid(), model: func(got string) bool { return got == deployment }}
	other := good
	other.name = "other"
	if err := s.verify([]variant{good, other}); err != nil {
		t.Fatal(err)
	}
	samples, err := s.run(t.Context(), []variant{good, other})
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 8 {
		t.Errorf("%d samples of 2 variants, 2 workloads, 2 rounds", len(samples))
	}
	for _, sample := range samples {
		if sample.Requests == 0 || sample.Rate <= 0 || sample.P50 <= 0 || sample.P99 < sample.P50 || sample.CPU < 0 {
			t.Errorf("sample %+v", sample)
		}
	}
	for name, breakIt := range map[string]func(*variant){
		"refused":        func(v *variant) { v.addr = "127.0.0.1:1" },
		"Envoy gone":     func(v *variant) { v.envoy = 1 << 30 },
		"processor gone": func(v *variant) { v.processor = 1 << 30 },
	} {
		bad := good
		bad.name = "bad one"
		breakIt(&bad)
		if _, err := s.run(t.Context(), []variant{bad}); err == nil || !strings.Contains(err.Error(), "bad one") {
			t.Errorf("%s: error %v, want one that names the variant", name, err)
		}
	}
	wrong := good
	wrong.model = func(string) bool { return false }
	if err := s.verify([]variant{wrong}); err == nil {
		t.Error("a wrong model was verified")
	}
}

func TestBaselineBootstrap(t *testing.T) {
	t.Parallel()
	text, err := baselineBootstrap("127.0.0.1:4321", map[processor.Kind]string{processor.Noop: "/tmp/noop", processor.Rewrite: "/tmp/rewrite"})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"/tmp/noop"`, `"/tmp/rewrite"`, `4321`, `"FULL_DUPLEX_STREAMED"`, `"BUFFERED"`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the bootstrap has no %s", want)
		}
	}
	if n := bytes.Count(text, []byte("http.ext_proc.v3.ExternalProcessor")); n != 3 {
		t.Errorf("%d listeners have an ext_proc filter, want 3", n)
	}
	if _, err := baselineBootstrap("nowhere", nil); err == nil {
		t.Error("an upstream without a port was taken")
	}
}

// A processor is a process of its own that ends with its standard input.
func TestProcessorProcess(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "wye-bench-") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c, err := startProcessor(t.Context(), processor.Noop, filepath.Join(dir, "noop"))
	if err != nil {
		t.Fatal(err)
	}
	if c.cmd.Process.Pid == os.Getpid() {
		t.Error("the processor is no process of its own")
	}
	if err := c.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := serveProcessor("noop", filepath.Join(dir, "no", "such", "folder"), strings.NewReader("")); err == nil {
		t.Error("a socket in no folder was served")
	}
	if err := serveProcessor("other", filepath.Join(dir, "other"), strings.NewReader("")); err == nil {
		t.Error("an unknown processor was served")
	}
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "report.json")
	if err := writeJSON(path, report.Report{Rounds: 7}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back report.Report
	if err := json.Unmarshal(text, &back); err != nil || back.Rounds != 7 {
		t.Errorf("read back %+v, %v", back, err)
	}
	if err := writeJSON(filepath.Join(path, "x"), report.Report{}); err == nil {
		t.Error("a file below a file was written")
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	m := describeMachine()
	if m.CPUs < 1 || m.Go == "" || m.Started.IsZero() {
		t.Errorf("machine %+v", m)
	}
	if got := field("a : 1\nmodel name\t: X 9 \nmodel name : Y\n", "model name"); got != "X 9" {
		t.Errorf("field = %q", got)
	}
	if got := field("a: 1", "b"); got != "" {
		t.Errorf("field = %q, want none", got)
	}
}
