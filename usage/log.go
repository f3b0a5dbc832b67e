package usage

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/DeRuina/timberjack"
	"github.com/rs/zerolog"
)

// LogConfig says where decision records go.
type LogConfig struct {
	// Path is a file, or "stdout"; empty: nowhere.
	Path string
	// MaxSizeMB is the size in megabytes at which a file is set aside, MaxFiles how
	// many of those are kept; 0: all of them.
	MaxSizeMB, MaxFiles int
	// Queue is how many records may wait to be written before more are dropped.
	// DefaultLogQueue.
	Queue  int
	Logger zerolog.Logger
}

// The defaults of a LogConfig.
const (
	DefaultLogQueue     = 4096
	DefaultLogMaxSizeMB = 100
	DefaultLogMaxFiles  = 10
)

// Stdout is the LogConfig.Path of standard output.
const Stdout = "stdout"

// Log writes records as JSON, one a line. It never holds up whoever adds one:
// what cannot be written in time is dropped and counted. It is safe for concurrent
// use.
type Log struct {
	out    io.Writer
	logger zerolog.Logger
	queue  chan *Record
	done   chan struct{}

	mu     sync.RWMutex // held to write while the queue is closed
	closed bool

	written, dropped, failed atomic.Int64
}

// OpenLog opens the log and starts the goroutine that writes it, until Close.
func OpenLog(c LogConfig) (*Log, error) {
	if c.Path == Stdout {
		return newLog(os.Stdout, c), nil
	}
	// Now, so that a folder that is not there is an error at the start.
	f, err := os.OpenFile(c.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return newLog(&timberjack.Logger{Filename: c.Path, MaxSize: c.MaxSizeMB, MaxBackups: c.MaxFiles}, c), nil
}

func newLog(out io.Writer, c LogConfig) *Log {
	if c.Queue <= 0 {
		c.Queue = DefaultLogQueue
	}
	l := &Log{out: out, logger: c.Logger, queue: make(chan *Record, c.Queue), done: make(chan struct{})}
	go l.write()
	return l
}

// Add queues a record, or drops it when the queue is full or the log closed.
func (l *Log) Add(r *Record) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.closed {
		select {
		case l.queue <- r:
			return
		default:
		}
	}
	l.dropped.Add(1)
}

// flushBytes is how much is written at once, at least, while more is waiting.
const flushBytes = 64 << 10

// write ends when the queue is closed and empty. It writes whole lines only,
// because the file may be set aside between two writes.
func (l *Log) write() {
	defer close(l.done)
	var lines bytes.Buffer
	encode := json.NewEncoder(&lines)
	encode.SetEscapeHTML(false)
	pending := int64(0)
	for r := range l.queue {
		err := encode.Encode(r)
		pending++
		if err == nil && len(l.queue) > 0 && lines.Len() < flushBytes {
			continue
		}
		if err == nil {
			_, err = l.out.Write(lines.Bytes())
		}
		if err == nil {
			l.written.Add(pending)
		} else if l.failed.Add(pending) == pending { // the first; a full disk would fill the log, too
			l.logger.Error().Err(err).Msg("the decision log cannot be written")
		}
		lines.Reset()
		pending = 0
	}
}

// Close writes what is queued and closes the file.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	<-l.done
	if f, ok := l.out.(*timberjack.Logger); ok {
		return f.Close()
	}
	return nil
}

// LogCounts is what a Log counts, in records.
type LogCounts struct {
	Written int64
	Dropped int64 // because too many waited
	Failed  int64 // because of an error
}

// Counts returns the counts so far.
func (l *Log) Counts() LogCounts {
	return LogCounts{Written: l.written.Load(), Dropped: l.dropped.Load(), Failed: l.failed.Load()}
}
