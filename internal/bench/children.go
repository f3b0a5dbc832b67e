package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"

	"wye/internal/bench/processor"
)

// processorCommand is the hidden command under which the program starts itself
// to be a reference processor.
const processorCommand = "processor"

// serveProcessor is that command: it serves until standard input closes, which
// happens when the benchmark ends in whatever way.
func serveProcessor(kind, socket string, stdin io.Reader) error {
	lis, err := net.Listen("unix", socket)
	if err != nil {
		return fmt.Errorf("processor: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	return processor.Serve(ctx, lis, processor.Kind(kind))
}

// child is a process that ends when its standard input closes.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

func startProcessor(ctx context.Context, kind processor.Kind, socket string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start processor: %w", err)
	}
	cmd := exec.Command(self, processorCommand, string(kind), socket)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start processor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start processor: %w", err)
	}
	c := &child{cmd: cmd, stdin: stdin}
	if err := dialable(ctx, "unix", socket); err != nil {
		return nil, errors.Join(fmt.Errorf("start processor %s: %w", kind, err), c.stop())
	}
	return c, nil
}

func (c *child) stop() error { return errors.Join(c.stdin.Close(), c.cmd.Wait()) }

// dialable waits until something accepts connections there.
func dialable(ctx context.Context, network, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := net.Dial(network, addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
