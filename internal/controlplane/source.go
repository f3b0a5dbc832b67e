package controlplane

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// PolicyName is the file of a directory that the policy is read from.
const PolicyName = "policy.yaml"

// pollInterval is how often the file is looked at; see docs/adr/0006. Reading it
// whole is the cheapest way not to be misled by its time.
const pollInterval = 100 * time.Millisecond

// source is the file, or the directory with it, that says what the fleet is to
// have.
type source struct {
	path      string
	directory bool
}

func newSource(path string) (source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return source{}, fmt.Errorf("read policy: %w", err)
	}
	return source{path: path, directory: info.IsDir()}, nil
}

func (s source) policyPath() string {
	if s.directory {
		return filepath.Join(s.path, PolicyName)
	}
	return s.path
}

func (s source) read() ([]byte, error) {
	text, err := os.ReadFile(s.policyPath())
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return text, nil
}

// watch calls apply with what differs from known and has stayed the same for two
// looks, and fault when the file cannot be read, once per kind of error. When
// apply returns a time, it is called again with the same content then.
func (s source) watch(ctx context.Context, known []byte, apply func([]byte) (again time.Duration), fault func(error)) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	seen, lastFault := known, ""
	var retry time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, err := s.read()
		if err != nil {
			if err.Error() != lastFault {
				lastFault = err.Error()
				fault(err)
			}
			continue
		}
		lastFault = ""
		settled := bytes.Equal(now, seen)
		seen = now
		due := !retry.IsZero() && time.Now().After(retry)
		if !settled || bytes.Equal(now, known) && !due {
			continue
		}
		known, retry = now, time.Time{}
		if again := apply(now); again > 0 {
			retry = time.Now().Add(again)
		}
	}
}
