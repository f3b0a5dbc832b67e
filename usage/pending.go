package usage

import (
	"bytes"
	"sync"
	"time"

	"wye/router"
)

// maxID is the longest decision id that is kept.
const maxID = 32

type id [maxID]byte

// makeID returns the id that b spells; ok is false when it does not fit.
func makeID[S ~string | ~[]byte](b S) (v id, ok bool) {
	if len(b) == 0 || len(b) > maxID {
		return v, false
	}
	copy(v[:], b)
	return v, true
}

// decided is what was known of a request when it was decided or refused. It is
// reused.
type decided struct {
	id         id
	at         time.Time
	older      *decided // in the order of arrival; among the free ones, the next
	newer      *decided
	snapshot   *router.Snapshot
	deployment *router.Deployment // nil: it was refused before that was known
	mode       router.Mode
	rate       float64
	candidates []router.Candidate
	ranked     int
	chain      []router.Step

	request router.Request // Text has no views unless text is kept
	named   []byte         // what request.Deployment is a view of
	text    []byte         // what the views of request.Text are of
	body    int            // bytes
	elapsed time.Duration
}

// set copies what it is told; nothing of req or d is kept.
func (p *decided) set(v id, at time.Time, s *router.Snapshot, req *router.Request, d *router.Decision, keepText bool) {
	p.id, p.at = v, at
	p.snapshot, p.deployment, p.mode, p.rate, p.ranked = s, d.Deployment, d.Mode, d.Rate, d.Ranked
	if d.Snapshot != nil {
		p.snapshot = d.Snapshot
	}
	p.candidates = append(p.candidates[:0], d.Candidates...)
	p.chain = append(p.chain[:0], d.Chain...)
	p.request = *req
	p.named = p.named[:0]
	if d.Deployment != nil { // else it is anything a client may write
		p.named = append(p.named, req.Deployment...)
	}
	p.request.Deployment = p.named
	p.request.ToolTypes = nil
	for _, name := range req.ToolTypes { // few requests have any
		p.request.ToolTypes = append(p.request.ToolTypes, bytes.Clone(name))
	}
	p.text = p.text[:0]
	if !keepText {
		t := &p.request.Text
		t.System, t.User, t.History, t.Tools = nil, nil, nil, nil
		return
	}
	t := req.Text
	need := len(t.System) + len(t.User) + len(t.History) + len(t.Tools)
	if cap(p.text) < need {
		p.text = make([]byte, 0, need)
	}
	keep := func(part []byte) []byte {
		start := len(p.text)
		p.text = append(p.text, part...)
		return p.text[start:len(p.text):len(p.text)]
	}
	p.request.Text.System, p.request.Text.User = keep(t.System), keep(t.User)
	p.request.Text.History, p.request.Text.Tools = keep(t.History), keep(t.Tools)
}

// release drops what must not be held on to.
func (p *decided) release() {
	p.snapshot, p.deployment, p.request = nil, nil, router.Request{}
}

// pending holds decided requests until their end is known. It is bounded in
// number and in age; what it gives up is counted. It is safe for concurrent use,
// and put allocates nothing once it has grown.
type pending struct {
	limit    int
	keepText bool

	mu      sync.Mutex
	maxAge  time.Duration
	byID    map[id]*decided
	oldest  *decided
	newest  *decided
	free    *decided
	crowded int64 // given up for want of room
	expired int64 // given up because their end was not reported in time
}

func newPending(limit int, keepText bool) *pending {
	return &pending{limit: limit, keepText: keepText, byID: make(map[id]*decided)}
}

// put notes a request. A second one of the same id replaces the first.
func (t *pending) put(v id, at time.Time, s *router.Snapshot, req *router.Request, d *router.Decision, body int, elapsed time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(at)
	if old := t.byID[v]; old != nil {
		t.drop(old)
	}
	if len(t.byID) >= t.limit {
		t.crowded++
		t.drop(t.oldest)
	}
	p := t.free
	if p == nil {
		p = new(decided)
	} else {
		t.free = p.older
	}
	p.set(v, at, s, req, d, t.keepText)
	p.body, p.elapsed = body, elapsed
	p.older, p.newer = t.newest, nil
	if t.newest != nil {
		t.newest.newer = p
	} else {
		t.oldest = p
	}
	t.newest = p
	t.byID[v] = p
}

// take removes a request and passes it to use; false: it is not there. use must
// not keep it.
func (t *pending) take(v id, use func(*decided)) bool {
	t.mu.Lock()
	p := t.byID[v]
	if p == nil {
		t.mu.Unlock()
		return false
	}
	t.unlink(p)
	t.mu.Unlock()
	use(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recycle(p)
	return true
}

// expire gives up what is too old. The caller holds t.mu.
func (t *pending) expire(now time.Time) {
	for t.maxAge > 0 && t.oldest != nil && now.Sub(t.oldest.at) > t.maxAge {
		t.expired++
		t.drop(t.oldest)
	}
}

func (t *pending) drop(p *decided) {
	t.unlink(p)
	t.recycle(p)
}

func (t *pending) unlink(p *decided) {
	delete(t.byID, p.id)
	if p.older != nil {
		p.older.newer = p.newer
	} else {
		t.oldest = p.newer
	}
	if p.newer != nil {
		p.newer.older = p.older
	} else {
		t.newest = p.older
	}
	p.older, p.newer = nil, nil
}

func (t *pending) recycle(p *decided) {
	p.release()
	p.older = t.free
	t.free = p
}

// setMaxAge changes for how long requests are kept.
func (t *pending) setMaxAge(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.maxAge = d
}

// counts returns how many requests are held and how many were given up, after
// giving up what is too old at now.
func (t *pending) counts(now time.Time) (held int, crowded, expired int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	return len(t.byID), t.crowded, t.expired
}
