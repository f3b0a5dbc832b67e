package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 6 && os.Args[1] == simulateCommand {
		os.Exit(simulated())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleetbench:", err)
		os.Exit(1)
	}
}

type options struct {
	members, envoys, deployments, rounds int
	idle                                 time.Duration
	wye, jsonPath                        string
}

// report is what a run found. Times are seconds.
type report struct {
	Machine     string  `json:"machine"`
	Members     int     `json:"members"`
	Envoys      int     `json:"envoys"`
	Deployments int     `json:"deployments"`
	Rounds      int     `json:"rounds"`
	Join        float64 `json:"join_seconds"`           // first connection to last acknowledgement
	LastMedian  float64 `json:"last_ack_median"`        // edit to last acknowledgement, over the rounds
	LastP99     float64 `json:"last_ack_p99"`           // nearest rank: of less than 100 rounds the longest
	AckMedian   float64 `json:"ack_median"`             // edit to acknowledgement, over all
	AckP99      float64 `json:"ack_p99"`                // likewise
	WholeBytes  int64   `json:"whole_bytes"`            // what a new member receives
	EditBytes   int64   `json:"edit_bytes"`             // what one receives for an edit, at most
	EditParts   int     `json:"edit_parts"`             // in how many parts
	EditCPU     float64 `json:"edit_cpu_seconds"`       // of the control plane, for one edit, median
	IdleCPU     float64 `json:"idle_cpu_share"`         // of one core, with everybody connected and nothing to do
	Memory      float64 `json:"memory_kb_per_member"`   // resident, with everybody less with nobody
	BaseMemory  float64 `json:"memory_mb_without_them"` // resident before anybody connects
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("fleetbench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.members, "members", 1000, "simulated sidecars")
	flags.IntVar(&o.envoys, "envoys", 20, "simulated Envoys at the same control plane")
	flags.IntVar(&o.deployments, "deployments", 500, "deployments in the policy")
	flags.IntVar(&o.rounds, "rounds", 20, "edits of one deployment")
	flags.DurationVar(&o.idle, "idle", 10*time.Second, "time over which the idle CPU is taken")
	flags.StringVar(&o.wye, "wye", "bin/wye", "the binary to measure")
	flags.StringVar(&o.jsonPath, "json", "", "also write the report to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.members < 1 || o.envoys < 0 || o.deployments < 1 || o.rounds < 1 || o.idle <= 0 {
		return errors.New("members, deployments, rounds and idle must be positive")
	}
	r, err := o.measure(ctx)
	if err != nil {
		return err
	}
	if o.jsonPath != "" {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(o.jsonPath, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return r.write(stdout)
}

// roundTimeout bounds one edit.
const roundTimeout = 2 * time.Minute

func (o *options) measure(ctx context.Context) (r *report, err error) {
	dir, err := os.MkdirTemp("", "wye-fleet-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r = &report{Machine: machine(), Members: o.members, Envoys: o.envoys, Deployments: o.deployments, Rounds: o.rounds}
	wye, err := filepath.Abs(o.wye)
	if err != nil {
		return nil, err
	}
	p, err := startPlane(ctx, wye, dir, policyText(o.deployments, 0), o.envoys > 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	f := &fleet{heard: make(map[string][]acknowledgement)}
	defer func() { err = errors.Join(err, f.stop()) }()
	// The Envoys come first: what they hold is not the members' memory.
	if err := f.start(p.address, "envoy", o.envoys); err != nil {
		return nil, err
	}
	if err := pause(ctx, o.idle/2); err != nil {
		return nil, err
	}
	// Edits have their own share of memory, with members or without.
	for version := range warmEdits {
		if err := errors.Join(p.edit(policyText(o.deployments, -version-1)), pause(ctx, 2*time.Second)); err != nil {
			return nil, err
		}
	}
	before, err := p.rss()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	if err := o.join(ctx, p, f, r, known); err != nil {
		return nil, err
	}
	if err := o.edits(ctx, p, f, r, known); err != nil {
		return nil, err
	}
	return r, o.idleness(ctx, p, r, before)
}

// warmEdits are made before anybody connects.
const warmEdits = 3

// join has every member connect.
func (o *options) join(ctx context.Context, p *plane, f *fleet, r *report, known map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	began := time.Now()
	if err := f.start(p.address, "member", o.members); err != nil {
		return err
	}
	all, err := f.wait(ctx, o.members, known)
	if err != nil {
		return err
	}
	r.Join = time.Since(began).Seconds()
	for _, a := range all {
		r.WholeBytes = max(r.WholeBytes, a.Bytes)
	}
	return nil
}

// edits measures the rounds.
func (o *options) edits(ctx context.Context, p *plane, f *fleet, r *report, known map[string]bool) error {
	var every, last, cpu []float64
	for round := range o.rounds {
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
		used, err := p.cpu()
		if err != nil {
			return err
		}
		began := time.Now().UnixNano()
		if err := p.edit(policyText(o.deployments, round+1)); err != nil {
			return err
		}
		within, cancel := context.WithTimeout(ctx, roundTimeout)
		all, err := f.wait(within, o.members, known)
		cancel()
		if err != nil {
			return err
		}
		latest := 0.0
		for _, a := range all {
			took := float64(a.At-began) / 1e9
			every, latest = append(every, took), max(latest, took)
			r.EditBytes, r.EditParts = max(r.EditBytes, a.Bytes), max(r.EditParts, a.Parts)
		}
		last = append(last, latest)
		now, err := p.cpu()
		if err != nil {
			return err
		}
		cpu = append(cpu, (now - used).Seconds())
	}
	r.LastMedian, r.LastP99 = rank(last, 0.5), rank(last, 0.99)
	r.AckMedian, r.AckP99 = rank(every, 0.5), rank(every, 0.99)
	r.EditCPU = rank(cpu, 0.5)
	return nil
}

// idleness measures a fleet that has nothing to do.
func (o *options) idleness(ctx context.Context, p *plane, r *report, before int64) error {
	used, err := p.cpu()
	if err != nil {
		return err
	}
	if err := pause(ctx, o.idle); err != nil {
		return err
	}
	now, err := p.cpu()
	if err != nil {
		return err
	}
	after, err := p.rss()
	if err != nil {
		return err
	}
	r.IdleCPU = (now - used).Seconds() / o.idle.Seconds()
	r.BaseMemory = float64(before) / (1 << 20)
	r.Memory = float64(after-before) / 1024 / float64(o.members)
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rank is the value that the share q of all are not above.
func rank(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name\t: "); ok {
			model, _, _ = strings.Cut(rest, "\n")
		}
	}
	load := ""
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	return fmt.Sprintf("%d × %s, %s, load average before: %s", runtime.NumCPU(), model, runtime.Version(), load)
}

func (r *report) write(w io.Writer) error {
	_, err := fmt.Fprintf(w, `Taken on %s. %d members and %d Envoys, %d deployments, %d edits of one of them.

| what | figure |
| --- | ---: |
| edit of the file → last acknowledgement, median | %.3f s |
| edit of the file → last acknowledgement, p99 | %.3f s |
| edit of the file → acknowledgement, median of all | %.3f s |
| edit of the file → acknowledgement, p99 of all | %.3f s |
| all members join at once | %.2f s |
| received for the whole policy | %d bytes |
| received for an edit | %d bytes in %d parts |
| CPU of the control plane for an edit, everybody included | %.2f s |
| CPU of the control plane when idle | %.2f %% of a core |
| memory of the control plane for a member | %.1f KB |
| memory of the control plane without members | %.0f MB |
`, r.Machine, r.Members, r.Envoys, r.Deployments, r.Rounds, r.LastMedian, r.LastP99, r.AckMedian, r.AckP99, r.Join,
		r.WholeBytes, r.EditBytes, r.EditParts, r.EditCPU, 100*r.IdleCPU, r.Memory, r.BaseMemory)
	return err
}
