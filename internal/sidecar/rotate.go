package sidecar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"

	"wye/router"
)

// DefaultRotateInterval is how often the files that a policy names are read.
const DefaultRotateInterval = 10 * time.Second

// secretFiles lists the key files and CA bundles that s names, each once.
func secretFiles(s *router.Snapshot) []string {
	var files []string
	for i := range s.Backends {
		b := &s.Backends[i]
		if b.Credential != nil && b.Credential.File != "" {
			files = append(files, b.Credential.File)
		}
		for _, h := range b.Headers {
			if h.File != "" {
				files = append(files, h.File)
			}
		}
		if b.TLS != nil && b.TLS.CAFile != "" {
			files = append(files, b.TLS.CAFile)
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// digest is of the names and the content of files. By content, since what a
// file system says of times and sizes cannot tell two keys written at once.
func digest(files []string) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return sum, err
		}
		if len(bytes.TrimSpace(content)) == 0 {
			return sum, fmt.Errorf("read %s: it is empty", name)
		}
		fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(content))
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// rotation takes up keys and certificates that changed under a policy that did
// not.
type rotation struct {
	reload *reloader
	seen   [sha256.Size]byte // what the Envoys have
	fault  string            // the last one that was reported
}

// run looks every interval until ctx ends.
func (r *rotation) run(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := r.look(ctx)
		if err == nil {
			r.fault = ""
			continue
		}
		if ctx.Err() == nil && err.Error() != r.fault {
			r.fault = err.Error()
			r.reload.log.Error().Err(err).Msg("keys and certificates stay as they are")
		}
	}
}

// settleTime is how long the files must stay as they are to count as whole.
const settleTime = 200 * time.Millisecond

// look has the Envoys given what the files contain now, if that is not what they
// have. While one cannot be read or is being written nothing changes.
func (r *rotation) look(ctx context.Context) error {
	s := r.reload.router.Snapshot()
	if s == nil {
		return nil
	}
	files := secretFiles(s)
	if len(files) == 0 {
		return nil
	}
	sum, err := digest(files)
	if err != nil || sum == r.seen {
		return err
	}
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	if again, err := digest(files); err != nil || again != sum {
		return err
	}
	if err := r.reload.renew(ctx, s); err != nil {
		return err
	}
	r.seen = sum
	return nil
}

// renew stages the policy in force once more, with the keys of now. It does
// nothing if s is no longer in force: whatever replaced it read the keys, too.
func (r *reloader) renew(ctx context.Context, s *router.Snapshot) error {
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.router.Snapshot() != s {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	retire, err := r.stage(ctx, s)
	if err != nil || retire == nil {
		return err
	}
	retire()
	r.log.Info().Str("policy", s.Hash).Msg("keys or certificates have changed")
	return nil
}
