package usage

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"
)

// blocked is a writer that waits, then does as it is told.
type blocked struct {
	release chan struct{}
	err     error
	mu      sync.Mutex
	bytes.Buffer
}

func (b *blocked) Write(p []byte) (int, error) {
	<-b.release
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return 0, b.err
	}
	return b.Buffer.Write(p)
}

// A writer that hangs holds nobody up: what does not fit is dropped and counted.
func TestLogNeverBlocks(t *testing.T) {
	t.Parallel()
	out := &blocked{release: make(chan struct{})}
	l := newLog(out, LogConfig{Queue: 4})
	for range 100 {
		l.Add(&Record{Decision: "x"})
	}
	if c := l.Counts(); c.Dropped < 90 || c.Written != 0 {
		t.Errorf("counts %+v", c)
	}
	close(out.release)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := l.Counts()
	if c.Written+c.Dropped != 100 || c.Failed != 0 || int64(strings.Count(out.String(), "\n")) != c.Written {
		t.Errorf("counts %+v of %q", c, out.String())
	}
	l.Add(&Record{})
	if n := l.Counts().Dropped; n != c.Dropped+1 {
		t.Errorf("a record after Close is not counted as dropped: %d", n)
	}
	if err := l.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// A full disk is reported once, counted, and ends when there is room again.
func TestLogSurvivesErrors(t *testing.T) {
	t.Parallel()
	out := &blocked{release: make(chan struct{}), err: errors.New("no space left")}
	close(out.release)
	var said bytes.Buffer
	l := newLog(out, LogConfig{Logger: zerolog.New(&said)})
	for range 3 {
		l.Add(&Record{Decision: "lost"})
		for before := l.Counts(); l.Counts() == before; {
		}
	}
	out.mu.Lock()
	out.err = nil
	out.mu.Unlock()
	l.Add(&Record{Decision: "kept"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c := l.Counts(); c.Failed != 3 || c.Written != 1 || !strings.Contains(out.String(), "kept") || strings.Contains(out.String(), "lost") {
		t.Errorf("counts %+v of %q", c, out.String())
	}
	if n := strings.Count(said.String(), "no space left"); n != 1 {
		t.Errorf("said %d times: %s", n, said.String())
	}
}

func TestLogFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "decisions.log")
	l, err := OpenLog(LogConfig{Path: path, MaxSizeMB: 1, MaxFiles: 1, Queue: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 1000)
	for range 3500 {
		l.Add(&Record{Decision: "<d>", Details: long})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c := l.Counts(); c.Written != 3500 {
		t.Errorf("counts %+v", c)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Errorf("%d files, want the newest and one that was set aside", len(files))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r Record
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if err := json.Unmarshal(line, &r); err != nil || r.Decision != "<d>" || !bytes.Contains(line, []byte("<d>")) {
		t.Errorf("%v: %.100s", err, line)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := OpenLog(LogConfig{Path: filepath.Join(dir, "no", "folder")}); err == nil {
		t.Error("a folder that is not there is no error")
	}
}
