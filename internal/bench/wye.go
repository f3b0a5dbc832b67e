package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/template"

	"wye/envoy"
)

//go:embed policy.yaml.tmpl
var policyText string

var policyTemplate = template.Must(template.New("policy").Parse(policyText))

// models are the policy's.
var models = []string{
	"gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4o", "gpt-4o-mini",
	"DeepSeek-V3.1", "DeepSeek-V3.2", "Llama-4-Maverick-17B-128E-Instruct-FP8",
}

// policy renders the policy with the upstream as every backend.
func policy(upstream string, usage bool) ([]byte, error) {
	type model struct{ Name, Backend string }
	var all []model
	for _, name := range models {
		all = append(all, model{name, strings.ToLower(name)})
	}
	var b bytes.Buffer
	err := policyTemplate.Execute(&b, map[string]any{"Models": all, "Upstream": upstream, "Deployment": deployment, "Usage": usage})
	if err != nil {
		return nil, fmt.Errorf("wye's policy: %w", err)
	}
	return b.Bytes(), nil
}

// startWye starts wye serve and an Envoy of its own, which gets everything from
// it, and adds the variant. usage: its policy accounts for requests.
func (s *stand) startWye(ctx context.Context, o *options, dir, binary, upstream string, usage bool) error {
	name, prefix := wyeName, ""
	if usage {
		name, prefix = usageName, "usage-"
	}
	version, err := exec.CommandContext(ctx, o.wye, "version").Output()
	if err != nil {
		return fmt.Errorf("%s version: %w", o.wye, err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	s.wyeVersion = strings.TrimPrefix(first, "wye ")
	text, err := policy(upstream, usage)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, prefix+"policy.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("wye's policy: %w", err)
	}
	extproc, ads := filepath.Join(dir, prefix+"extproc.sock"), filepath.Join(dir, prefix+"ads.sock")
	cmd := exec.Command(o.wye, "serve", "--policy", file, "--listen", "127.0.0.1:0",
		"--extproc", "unix:"+extproc, "--ads", "unix:"+ads, "--admin", "", "--drain-delay", "0s")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start wye: %w", err)
	}
	s.onStop(func() error {
		err := cmd.Process.Signal(syscall.SIGTERM)
		if waitErr := cmd.Wait(); waitErr != nil {
			err = errors.Join(err, fmt.Errorf("wye serve: %w: %s", waitErr, log.Bytes()))
		}
		return err
	})
	if err := dialable(ctx, "unix", ads); err != nil {
		return fmt.Errorf("wye serve does not listen: %w", err)
	}
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapConfig{NodeID: "bench", ADS: "unix:" + ads})
	if err != nil {
		return err
	}
	proc, err := s.startEnvoy(ctx, o, binary, bootstrap)
	if err != nil {
		return fmt.Errorf("wye: %w", err)
	}
	addr, err := proc.ListenerAddress(ctx, envoy.ListenerName)
	if err != nil {
		return fmt.Errorf("wye: %w", err)
	}
	_, hostPort := addr.Network()
	s.variants = append(s.variants, variant{
		name: name, addr: hostPort, envoy: proc.PID(), processor: cmd.Process.Pid,
		model: func(got string) bool { return slices.Contains(models, got) },
	})
	return nil
}
