package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config is one measurement.
type Config struct {
	Addr    string // host:port of the listener
	Request []byte // one whole HTTP/1.1 keep-alive request
	Clients int    // connections, each with one request in flight
	// Warmup is driven like the rest and not counted.
	Warmup   time.Duration
	Duration time.Duration
	// OnMeasure, when set, is called once at the start and once at the end of
	// the counted time, for counters that must cover the same requests.
	OnMeasure func(start bool)
}

// Result counts the responses that arrived in the counted time.
type Result struct {
	Elapsed   time.Duration
	Latencies []time.Duration // of each good response, ascending
	Failed    int             // responses with a status other than 200, and broken connections
	FirstErr  error           // what the first failure was
}

// PerSecond is the rate of good responses.
func (r Result) PerSecond() float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(len(r.Latencies)) / r.Elapsed.Seconds()
}

// Quantile returns the latency below which a share q (0 to 1) of the good
// responses stayed, and 0 when there was none.
func (r Result) Quantile(q float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	i := int(q * float64(len(r.Latencies)))
	return r.Latencies[min(max(i, 0), len(r.Latencies)-1)]
}

// ErrConfig says that a Config cannot be run.
var ErrConfig = errors.New("load needs an address, a request, a client and a duration")

// responseTimeout bounds one exchange, so that a hung target is a failure and
// no hang.
const responseTimeout = 30 * time.Second

// Run drives the load and returns when its time is over or ctx is done; a
// context that ends early is an error.
func Run(ctx context.Context, c Config) (Result, error) {
	if c.Addr == "" || len(c.Request) == 0 || c.Clients < 1 || c.Duration <= 0 {
		return Result{}, ErrConfig
	}
	// phase: 0 warm-up, 1 counted, 2 over.
	var phase atomic.Int32
	clients := make([]client, c.Clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { clients[i].loop(&phase, c) })
	}
	stop := func() { phase.Store(2); wg.Wait() }

	if err := sleep(ctx, c.Warmup); err != nil {
		stop()
		return Result{}, err
	}
	if c.OnMeasure != nil {
		c.OnMeasure(true)
	}
	begin := time.Now()
	phase.Store(1)
	err := sleep(ctx, c.Duration)
	phase.Store(2)
	elapsed := time.Since(begin)
	if c.OnMeasure != nil {
		c.OnMeasure(false)
	}
	stop()
	if err != nil {
		return Result{}, err
	}
	return merge(clients, elapsed), nil
}

func merge(clients []client, elapsed time.Duration) Result {
	out := Result{Elapsed: elapsed}
	for i := range clients {
		out.Latencies = append(out.Latencies, clients[i].latencies...)
		out.Failed += clients[i].failed
		if out.FirstErr == nil {
			out.FirstErr = clients[i].firstErr
		}
	}
	slices.Sort(out.Latencies)
	return out
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("load stopped early: %w", ctx.Err())
	case <-t.C:
		return nil
	}
}

// client is one connection's loop. Its fields belong to the loop until Run has
// waited for it.
type client struct {
	conn      net.Conn
	r         *bufio.Reader
	latencies []time.Duration
	failed    int
	firstErr  error
}

func (c *client) loop(phase *atomic.Int32, cfg Config) {
	defer c.hangUp()
	for phase.Load() < 2 {
		begin := time.Now()
		err := c.exchange(cfg)
		took := time.Since(begin)
		// What ended in the counted time counts as a response; a failure always
		// does, so that none is lost at the edges.
		switch {
		case err != nil:
			c.failed++
			if c.firstErr == nil {
				c.firstErr = err
			}
			c.hangUp()
			time.Sleep(time.Millisecond) // no storm of connects against a dead target
		case phase.Load() == 1:
			c.latencies = append(c.latencies, took)
		}
	}
}

func (c *client) exchange(cfg Config) error {
	if c.conn == nil {
		conn, err := net.DialTimeout("tcp", cfg.Addr, responseTimeout)
		if err != nil {
			return err
		}
		c.conn = conn
		if c.r == nil {
			c.r = bufio.NewReaderSize(conn, 32<<10)
		} else {
			c.r.Reset(conn)
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(responseTimeout)); err != nil {
		return err
	}
	if _, err := c.conn.Write(cfg.Request); err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	status, _, err := readResponse(c.r)
	if err != nil {
		return err
	}
	if status != 200 {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is buffered on our side
		c.conn = nil
	}
}
