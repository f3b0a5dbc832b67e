package usage

import "sync"

// How much a names remembers.
const (
	maxInterned      = 4096
	maxInternedBytes = 128
)

// names gives the same string for the same bytes, so that what most entries say
// alike is not copied for each. What is beyond its bounds, because clients chose
// it, is copied. It is safe for concurrent use.
type names struct {
	mu    sync.RWMutex
	known map[string]string
}

func newNames() *names { return &names{known: make(map[string]string)} }

// of returns b as valid UTF-8.
func (n *names) of(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	n.mu.RLock()
	s, ok := n.known[string(b)]
	n.mu.RUnlock()
	if ok {
		return s
	}
	s = clip(string(b), len(b))
	if len(b) > maxInternedBytes {
		return s
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.known) < maxInterned {
		n.known[string(b)] = s
	}
	return s
}
