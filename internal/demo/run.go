package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"wye/router"
)

// Record is what the router decided, kept by decision id.
type Record struct {
	Model   string  // first choice, by its catalog name
	Quality float64 // predicted for the first choice
	Cost    float64 // expected for the first choice, in US dollars
}

// NewRecord keeps what the demo shows of d.
func NewRecord(d *router.Decision) Record {
	first := d.Candidates[0]
	return Record{
		Model:   d.Snapshot.Models[first.Model].Name,
		Quality: float64(first.Estimate.Quality),
		Cost:    first.Cost,
	}
}

// Config says where and what the demo sends.
type Config struct {
	URL        string // of the listener, e.g. http://127.0.0.1:10000
	Deployment string
	Client     *http.Client
	Parallel   int
	// Lookup returns the record of a decision id.
	Lookup func(id string) (Record, bool)
	// Progress is called after each answer, from one goroutine at a time.
	Progress func(done, total int)
}

// Outcome is an answer beside the decision that led to it.
type Outcome struct {
	Answer
	Record
}

// Run sends every prompt in every mode and returns the outcomes in the order
// of prompts, then router.Modes. It fails when any request did, with all of
// the failures.
func Run(ctx context.Context, c Config, prompts []Prompt) ([]Outcome, error) {
	outcomes := make([]Outcome, len(prompts)*len(router.Modes))
	errs := make([]error, len(outcomes))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range max(c.Parallel, 1) {
		wg.Go(func() {
			for i := range next {
				p, mode := &prompts[i/len(router.Modes)], router.Modes[i%len(router.Modes)]
				outcomes[i], errs[i] = c.one(ctx, p, mode)
				mu.Lock()
				done++
				if c.Progress != nil {
					c.Progress(done, len(outcomes))
				}
				mu.Unlock()
			}
		})
	}
	for i := range outcomes {
		next <- i
	}
	close(next)
	wg.Wait()
	return outcomes, errors.Join(errs...)
}

func (c *Config) one(ctx context.Context, p *Prompt, mode router.Mode) (Outcome, error) {
	answer, err := send(ctx, c.Client, c.URL, p, c.Deployment, mode.String())
	if err != nil {
		return Outcome{}, err
	}
	record, ok := c.Lookup(answer.Decision)
	if !ok {
		return Outcome{}, fmt.Errorf("%s (%v): no record of decision %q", p.Name, mode, answer.Decision)
	}
	return Outcome{Answer: answer, Record: record}, nil
}
