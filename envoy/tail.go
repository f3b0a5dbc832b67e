package envoy

import (
	"io"
	"sync"
)

// tail keeps the end of what is written to it, and passes all of it on.
type tail struct {
	next io.Writer // nil: nowhere

	mu   sync.Mutex
	kept []byte
}

// tailBytes bounds what a tail keeps.
const tailBytes = 64 << 10

// Write never fails: a log that cannot be passed on must not stop Envoy.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	if t.next != nil {
		_, _ = t.next.Write(b)
	}
	return len(b), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
