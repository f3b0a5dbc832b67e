package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Names of the files of a directory that a policy is read from. The first must
// be there; the other two are there while a candidate is tried on some members.
const (
	PolicyName    = "policy.yaml"
	CandidateName = "candidate.yaml"
	RolloutName   = "rollout.yaml"
)

// pollInterval is how often the files are looked at; see docs/adr/0006. Reading
// them whole is the cheapest way not to be misled by their times.
const pollInterval = 100 * time.Millisecond

// source is the file, or the directory of files, that says what the fleet is to
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

// content is what the files say. Those that are not there are nil.
type content struct{ policy, candidate, rollout []byte }

func (c content) equal(o content) bool {
	return bytes.Equal(c.policy, o.policy) && bytes.Equal(c.candidate, o.candidate) && bytes.Equal(c.rollout, o.rollout)
}

func (s source) policyPath() string {
	if s.directory {
		return filepath.Join(s.path, PolicyName)
	}
	return s.path
}

func (s source) read() (c content, err error) {
	if c.policy, err = os.ReadFile(s.policyPath()); err != nil {
		return c, fmt.Errorf("read policy: %w", err)
	}
	if !s.directory {
		return c, nil
	}
	if c.candidate, err = optional(filepath.Join(s.path, CandidateName)); err != nil {
		return c, fmt.Errorf("read candidate: %w", err)
	}
	if c.rollout, err = optional(filepath.Join(s.path, RolloutName)); err != nil {
		return c, fmt.Errorf("read rollout: %w", err)
	}
	return c, nil
}

func optional(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// watch calls apply with what differs from known and has stayed the same for two
// looks, and fault when the files cannot be read, once per kind of error. When
// apply returns a time, it is called again with the same content then.
func (s source) watch(ctx context.Context, known content, apply func(content) (again time.Duration), fault func(error)) {
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
		settled := now.equal(seen)
		seen = now
		due := !retry.IsZero() && time.Now().After(retry)
		if !settled || now.equal(known) && !due {
			continue
		}
		known, retry = now, time.Time{}
		if again := apply(now); again > 0 {
			retry = time.Now().Add(again)
		}
	}
}
