package sidecar

import (
	"bytes"
	"context"
	"os"
	"time"
)

// watchInterval is how often the policy file is looked at. Polling, because it
// sees a Kubernetes ConfigMap's symlink swap, a network file system and an
// editor's rename alike (docs/adr).
const watchInterval = 100 * time.Millisecond

// racy is the age below which a file's modification time proves nothing: two
// writes within one tick of the file system's clock share it.
const racy = 2 * time.Second

// watcher reads a file when it changed.
type watcher struct {
	path string
	info os.FileInfo // of the last read
	last []byte      // content that was last handed out
	seen []byte      // content of the last read, not yet known to be whole
}

// poll returns the file's content when it differs from what was last handed
// out and has stayed the same for two polls, so that a half-written file is not
// taken for a policy. err reports an unreadable file.
func (w *watcher) poll(now time.Time) (content []byte, changed bool, err error) {
	info, err := os.Stat(w.path)
	if err != nil {
		w.info = nil
		return nil, false, err
	}
	if w.seen == nil && w.info != nil && os.SameFile(info, w.info) && info.Size() == w.info.Size() &&
		info.ModTime().Equal(w.info.ModTime()) && now.Sub(info.ModTime()) > racy {
		return nil, false, nil
	}
	content, err = os.ReadFile(w.path)
	if err != nil {
		w.info = nil
		return nil, false, err
	}
	w.info = info
	switch {
	case bytes.Equal(content, w.last):
		w.seen = nil
		return nil, false, nil
	case w.seen == nil || !bytes.Equal(content, w.seen):
		w.seen = content
		return nil, false, nil
	}
	w.last, w.seen = content, nil
	return content, true, nil
}

// watch calls apply whenever the content of path changed and settled, and
// fault when the file cannot be read, once per kind of error. known is the
// content that is in force. When apply returns a time, it is called again with
// the same content then, unless the file changes before. watch returns when
// ctx ends.
func watch(ctx context.Context, path string, known []byte, apply func([]byte) (again time.Duration), fault func(error)) {
	w := watcher{path: path, last: known}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var retry time.Time
	lastFault := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		content, changed, err := w.poll(now)
		if err != nil {
			if err.Error() != lastFault {
				lastFault = err.Error()
				fault(err)
			}
			continue
		}
		lastFault = ""
		if !changed && !retry.IsZero() && now.After(retry) {
			content, changed = w.last, true
		}
		if !changed {
			continue
		}
		retry = time.Time{}
		if again := apply(content); again > 0 {
			retry = time.Now().Add(again)
		}
	}
}
