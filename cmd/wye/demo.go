package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"wye/extproc"
	"wye/internal/demo"
	"wye/internal/fakeprovider"
	"wye/internal/sidecar"
	"wye/internal/stack"
)

func newDemoCommand() *cobra.Command {
	var policy, deployment string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Send varied prompts through Wye and Envoy to fake providers and show the decisions",
		Long: `Demo runs the whole system on free loopback ports with fake providers, sends
prompts from trivial to hard in each of the three modes, shows which model each
went to and what that saves, and stops everything again. Nothing leaves this
machine but, if there is no Envoy yet, the download of one.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), policy, deployment)
		},
	}
	cmd.Flags().StringVarP(&policy, "policy", "p", "", "policy `file` (default: the embedded policy)")
	cmd.Flags().StringVarP(&deployment, "deployment", "d", "", "`name` of the deployment to call (default: the policy's first)")
	return cmd
}

// records keeps what was decided, by decision id.
type records struct {
	mu   sync.Mutex
	byID map[string]demo.Record
}

func (r *records) observe(e *extproc.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[string(e.ID)] = demo.NewRecord(e.Decision)
}

func (r *records) lookup(id string) (demo.Record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record, ok := r.byID[id]
	return record, ok
}

// demoFault overloads every provider for one request in sixteen, so that the
// table has failovers to show.
var demoFault = fakeprovider.Fault{Status: http.StatusServiceUnavailable, Probability: 1.0 / 16}

func runDemo(ctx context.Context, stdout, stderr io.Writer, policy, deployment string) (err error) {
	progress := newProgress(stderr)
	defer progress.clear()
	kept := &records{byID: make(map[string]demo.Record)}
	s, err := startStack(ctx, stack.Config{
		Sidecar: sidecar.Config{
			PolicyFile: policy, Listen: "127.0.0.1:0", Version: wyeVersion(), Observe: kept.observe,
			Logger: zerolog.New(stderr).Level(zerolog.ErrorLevel),
		},
		FakeProviders: true,
		Pace:          time.Millisecond,
		Progress:      progress.say,
	})
	if err != nil {
		return err
	}
	defer func() {
		progress.say("stopping")
		err = errors.Join(err, s.Stop())
	}()
	snapshot := s.Sidecar.Snapshot()
	d := &snapshot.Deployments[0]
	if deployment != "" {
		if d = snapshot.Deployment([]byte(deployment)); d == nil {
			return usageError{fmt.Errorf("the policy has no deployment %q; it has %q", deployment, snapshot.Names())}
		}
	}
	for i := range snapshot.Backends {
		if name := snapshot.Backends[i].Name; !s.Fault(name, demoFault) {
			return fmt.Errorf("backend %s has no fake provider", name)
		}
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: demoParallel}}
	defer client.CloseIdleConnections()
	outcomes, err := demo.Run(ctx, demo.Config{
		URL: s.URL, Deployment: d.Name, Client: client, Parallel: demoParallel, Lookup: kept.lookup,
		Progress: func(done, total int) { progress.say(fmt.Sprintf("sending prompts: %d of %d", done, total)) },
	}, demo.Prompts())
	if err != nil {
		return err
	}
	progress.clear()
	fmt.Fprintf(stdout, "Deployment %s of policy %s: each prompt in each mode, through Envoy at %s to fake providers.\n", d.Name, snapshot.Hash, s.URL)
	fmt.Fprint(stdout, "Each provider fails one request in sixteen on purpose: Envoy retries on the next model of the chain.\n\n")
	return demo.Render(stdout, outcomes, snapshot.Models)
}

const demoParallel = 8

// progress is one line that is written over on a terminal, and nothing
// elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	shown    bool
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: isTerminal(w)} }

func (p *progress) say(message string) {
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s…", message)
		p.shown = true
	}
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}
