package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"wye/internal/bench/report"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == processorCommand {
		if err := serveProcessor(os.Args[2], os.Args[3], os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	rounds      int
	seconds     float64
	warmup      float64
	concurrency int
	seed        uint64
	short       bool
	wye         string
	workload    string
	jsonPath    string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 7, "how often every variant is measured, at least 5 for a figure to publish")
	flags.Float64Var(&o.seconds, "seconds", 3, "length of one sample")
	flags.Float64Var(&o.warmup, "warmup", 0.5, "load before each sample that is not counted, in seconds")
	flags.IntVar(&o.concurrency, "concurrency", 1, "Envoy's worker threads, the same for every variant")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the order of the variants")
	flags.BoolVar(&o.short, "short", false, "one brief round: proves that every variant answers, measures nothing")
	flags.StringVar(&o.wye, "wye", "bin/wye", "the binary to measure")
	flags.StringVar(&o.workload, "workload", "", "measure only the workloads whose name contains this")
	flags.StringVar(&o.jsonPath, "json", "", "also write the report and all samples to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.short {
		o.rounds, o.seconds, o.warmup = 1, 0.5, 0
	}
	if o.rounds < 1 || o.seconds <= 0 || o.warmup < 0 || o.concurrency < 1 {
		return errors.New("rounds, seconds and concurrency must be positive, warmup must not be negative")
	}
	chosen := slices.DeleteFunc(slices.Clone(workloads), func(w workload) bool { return !strings.Contains(w.name, o.workload) })
	if len(chosen) == 0 {
		return fmt.Errorf("no workload is called %q", o.workload)
	}
	return o.bench(ctx, chosen, stdout, stderr)
}

func (o *options) bench(ctx context.Context, workloads []workload, stdout, stderr io.Writer) (err error) {
	machine := describeMachine()
	s, err := setUp(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	machine.Envoy, machine.Wye = s.envoyVersion, s.wyeVersion
	seconds := func(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }
	suite := suite{
		workloads: workloads, rounds: o.rounds, warmup: seconds(o.warmup), duration: seconds(o.seconds),
		random:   rand.New(rand.NewPCG(o.seed, 0)),
		progress: func(format string, a ...any) { fmt.Fprintf(stderr, format+"\n", a...) },
	}
	if err := suite.verify(s.variants); err != nil {
		return err
	}
	samples, err := suite.run(ctx, s.variants)
	if err != nil {
		return err
	}
	names := make([]string, len(workloads))
	for i, w := range workloads {
		names[i] = w.name
	}
	r := report.Report{Machine: machine, Rounds: o.rounds, Seconds: o.seconds, Samples: samples}
	r.Rows, r.Ratios = report.Summarise(samples, names, variantNames, pairs)
	if o.jsonPath != "" {
		if err := writeJSON(o.jsonPath, r); err != nil {
			return err
		}
	}
	return r.WriteMarkdown(stdout)
}

func writeJSON(path string, r report.Report) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
