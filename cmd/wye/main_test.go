package main

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"wye": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// The scripts are the command line as a person types it: arguments in,
// output and exit code out.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true})
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want int
	}{
		{nil, exitOK},
		{[]string{"--help"}, exitOK},
		{[]string{"version"}, exitOK},
		{[]string{"nonsense"}, exitUsage},
		{[]string{"version", "extra"}, exitUsage},
		{[]string{"up", "--nonsense"}, exitUsage},
		{[]string{"up", "--grace", "soon"}, exitUsage},
		{[]string{"up", "--log-level", "loud"}, exitUsage},
		{[]string{"up", "--log-format", "xml"}, exitUsage},
		{[]string{"up", "--max-inflight-bytes", "0"}, exitUsage},
		{[]string{"serve", "--request-timeout", "0s"}, exitUsage},
		{[]string{"up", "--listen", "somewhere"}, exitUsage},
		{[]string{"serve", "--listen", "somewhere"}, exitUsage},
		{[]string{"serve", "--admin", "8081"}, exitUsage},
		{[]string{"check"}, exitUsage},
		{[]string{"check", "a", "b"}, exitUsage},
		{[]string{"check", "/does/not/exist"}, exitFailed},
		{[]string{"serve", "--policy", "/does/not/exist", "--extproc", "127.0.0.1:0", "--ads", "127.0.0.1:0", "--admin", ""}, exitFailed},
		{[]string{"explain", "--mode", "fast"}, exitUsage},
		{[]string{"explain", "--policy", "-"}, exitUsage},
		{[]string{"explain", "--session-model", "gpt-5", "--cached-tokens", "-1", "-"}, exitUsage},
		{[]string{"explain", "--cached-tokens", "1", "-"}, exitUsage},
		{[]string{"serve", "--affinity-entries", "0"}, exitUsage},
		{[]string{"explain", "--budget-used", "-1", "-"}, exitUsage},
		{[]string{"serve", "--limited-callers", "0"}, exitUsage},
		{[]string{"explain", "/does/not/exist"}, exitFailed},
		{[]string{"explain", "--policy", "/does/not/exist", "/dev/null"}, exitFailed},
		{[]string{"envoy", "bootstrap", "--ads", "nowhere"}, exitUsage},
	} {
		var out, errs discard
		if got := run(t.Context(), tt.args, &out, &out, &errs); got != tt.want {
			t.Errorf("wye %q exits with %d, want %d", tt.args, got, tt.want)
		}
		if (errs > 0) != (tt.want != exitOK) {
			t.Errorf("wye %q writes %d bytes of errors", tt.args, errs)
		}
	}
}

// discard counts what is written and reads as empty.
type discard int

func (d *discard) Write(b []byte) (int, error) {
	*d += discard(len(b))
	return len(b), nil
}

func (*discard) Read([]byte) (int, error) { return 0, io.EOF }
