package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

// fleet is the members and Envoys, in children.
type fleet struct {
	mu       sync.Mutex
	heard    map[string][]acknowledgement // by policy
	children []*child
}

type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	read  chan struct{} // closed when its output has ended
}

// perChild bounds the members of one process.
const perChild = 250

// start starts count members, or Envoys, at a control plane.
func (f *fleet) start(address, kind string, count int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for first := 0; first < count; first += perChild {
		n := min(perChild, count-first)
		cmd := exec.Command(self, simulateCommand, address, kind, strconv.Itoa(first), strconv.Itoa(n))
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		c := &child{cmd: cmd, stdin: stdin, read: make(chan struct{})}
		f.children = append(f.children, c)
		go f.listen(c, stdout)
	}
	return nil
}

func (f *fleet) listen(c *child, stdout io.Reader) {
	defer close(c.read)
	scanner := bufio.NewScanner(stdout)
	for scanner.Scan() {
		var a acknowledgement
		if json.Unmarshal(scanner.Bytes(), &a) != nil {
			continue // the count of those that are heard tells
		}
		f.mu.Lock()
		f.heard[a.Policy] = append(f.heard[a.Policy], a)
		f.mu.Unlock()
	}
}

// wait returns what n members say of a policy that nobody had before.
func (f *fleet) wait(ctx context.Context, n int, known map[string]bool) ([]acknowledgement, error) {
	for {
		policy, all := "", []acknowledgement(nil)
		f.mu.Lock()
		for p, heard := range f.heard {
			if !known[p] && len(heard) >= n {
				policy, all = p, heard
			}
		}
		f.mu.Unlock()
		if all != nil {
			known[policy] = true
			return all, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("not every member has acknowledged: %w", ctx.Err())
		}
	}
}

// stop ends the children.
func (f *fleet) stop() error {
	var errs []error
	for _, c := range f.children {
		errs = append(errs, c.stdin.Close())
		<-c.read
		errs = append(errs, c.cmd.Wait())
	}
	return errors.Join(errs...)
}
