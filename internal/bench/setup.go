package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"wye/envoy"
	"wye/internal/bench/processor"
)

// stand is everything that a run needs, running.
type stand struct {
	variants     []variant
	envoyVersion string
	wyeVersion   string
	stops        []func() error // run in reverse order
}

// readyTimeout bounds the start of each process.
const readyTimeout = time.Minute

// setUp starts the upstream, the reference processors, their Envoy, Wye and its
// Envoy. What was started is stopped again when something does not start.
func setUp(ctx context.Context, o *options) (s *stand, err error) {
	s = &stand{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	dir, err := os.MkdirTemp("", "wye-bench-")
	if err != nil {
		return s, fmt.Errorf("set up: %w", err)
	}
	s.onStop(func() error { return os.RemoveAll(dir) })
	binary, err := envoy.Find(ctx, envoy.FindOptions{})
	if err != nil {
		return s, err
	}
	s.envoyVersion = binary.Version
	up, err := startUpstream()
	if err != nil {
		return s, err
	}
	s.onStop(up.close)
	if err := s.startBaselines(ctx, o, dir, binary.Path, up.addr); err != nil {
		return s, err
	}
	for _, usage := range []bool{false, true} {
		if err := s.startWye(ctx, o, dir, binary.Path, up.addr, usage); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *stand) onStop(stop func() error) { s.stops = append(s.stops, stop) }

func (s *stand) stop() error {
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	s.stops = nil
	return errors.Join(errs...)
}

func (s *stand) startBaselines(ctx context.Context, o *options, dir, binary, upstream string) error {
	sockets := map[processor.Kind]string{}
	pids := map[string]int{}
	for _, kind := range []processor.Kind{processor.Noop, processor.Rewrite} {
		sockets[kind] = filepath.Join(dir, string(kind))
		c, err := startProcessor(ctx, kind, sockets[kind])
		if err != nil {
			return err
		}
		s.onStop(c.stop)
		pids[string(kind)] = c.cmd.Process.Pid
	}
	bootstrap, err := baselineBootstrap(upstream, sockets)
	if err != nil {
		return err
	}
	proc, err := s.startEnvoy(ctx, o, binary, bootstrap)
	if err != nil {
		return fmt.Errorf("baselines: %w", err)
	}
	for _, b := range baselines {
		addr, err := proc.ListenerAddress(ctx, b.Name)
		if err != nil {
			return fmt.Errorf("baselines: %w", err)
		}
		_, hostPort := addr.Network()
		v := variant{name: b.Variant, addr: hostPort, envoy: proc.PID()}
		v.model = func(got string) bool { return got == deployment }
		if b.Processor != "" {
			v.processor = pids[b.Processor]
		}
		if b.Processor == string(processor.Rewrite) {
			v.model = func(got string) bool { return got == processor.RewrittenModel }
		}
		s.variants = append(s.variants, v)
	}
	return nil
}

func (s *stand) startEnvoy(ctx context.Context, o *options, binary string, bootstrap []byte) (*envoy.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	proc, err := envoy.Start(ctx, envoy.RunOptions{
		Binary: binary, Bootstrap: bootstrap, Concurrency: o.concurrency, DrainTime: time.Second,
	})
	if err != nil {
		return nil, err
	}
	s.onStop(func() error { return proc.Stop(context.Background()) })
	return proc, nil
}
