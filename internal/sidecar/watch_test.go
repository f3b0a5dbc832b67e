package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// polls runs n polls and returns what they handed out.
func polls(t *testing.T, w *watcher, n int) []string {
	t.Helper()
	var got []string
	for range n {
		content, changed, err := w.poll(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if changed {
			got = append(got, string(content))
		}
	}
	return got
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatcherPoll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, "one")
	w := &watcher{path: path, last: []byte("one")}
	if got := polls(t, w, 3); got != nil {
		t.Errorf("unchanged file: %q", got)
	}

	write(t, path, "tw")
	if got := polls(t, w, 1); got != nil {
		t.Errorf("a file that may be half-written was handed out: %q", got)
	}
	write(t, path, "two")
	if diff := cmp.Diff([]string{"two"}, polls(t, w, 4)); diff != "" {
		t.Errorf("after a write (-want +got):\n%s", diff)
	}

	// Same size and, on a coarse clock, the same time.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "owt")
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"owt"}, polls(t, w, 3)); diff != "" {
		t.Errorf("same size and time (-want +got):\n%s", diff)
	}

	// A change that is taken back before it settles never happened.
	write(t, path, "six")
	polls(t, w, 1)
	write(t, path, "owt")
	if got := polls(t, w, 3); got != nil {
		t.Errorf("a change taken back was handed out: %q", got)
	}
}

func TestWatcherFollowsSymlinkSwap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "v1"), "first")
	write(t, filepath.Join(dir, "v2"), "other")
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"v1", "v2"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "policy.yaml")
	if err := os.Symlink("v1", link); err != nil {
		t.Fatal(err)
	}
	w := &watcher{path: link, last: []byte("first")}
	polls(t, w, 2)
	if err := os.Symlink("v2", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"other"}, polls(t, w, 3)); diff != "" {
		t.Errorf("after the swap (-want +got):\n%s", diff)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, path, "one")
	ctx, cancel := context.WithCancel(t.Context())
	applied, faults := make(chan string, 100), make(chan error, 100)
	done := make(chan struct{})
	attempts := 0
	go func() {
		defer close(done)
		watch(ctx, path, []byte("one"), func(b []byte) time.Duration {
			applied <- string(b)
			attempts++
			if attempts == 1 {
				return time.Millisecond // as if Envoy had not answered
			}
			return 0
		}, func(err error) { faults <- err })
	}()
	receive := func(want string) {
		t.Helper()
		select {
		case got := <-applied:
			if got != want {
				t.Errorf("applied %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q was not applied", want)
		}
	}
	write(t, path, "two")
	receive("two")
	receive("two") // the retry
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-faults:
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("fault %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a missing file is not reported")
	}
	write(t, path, "three")
	receive("three")
	cancel()
	<-done
	if len(faults) > 0 {
		t.Errorf("the same fault was reported again: %v", <-faults)
	}
}
