package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"wye/envoy"
	"wye/internal/fakeprovider"
	"wye/internal/sidecar"
)

// Config is what a stack needs.
type Config struct {
	// Sidecar is the sidecar's configuration. ADS and ExtProc are overwritten
	// with sockets in a temporary folder.
	Sidecar sidecar.Config
	// FakeProviders puts a fake provider in the place of every backend, and
	// Pace is how long a fast one takes for a token; 0: no time.
	FakeProviders bool
	Pace          time.Duration
	// EnvoyLog receives what Envoy prints; nil: nobody.
	EnvoyLog io.Writer
	// Progress is told what is going on.
	Progress func(message string)
}

// Stack is the running system.
type Stack struct {
	Sidecar   *sidecar.Sidecar
	Envoy     *envoy.Process
	URL       string // of the listener
	providers *providers
	dir       string
}

// How long the parts may take to stop.
const (
	drainTime   = 10 * time.Second
	stopTimeout = 30 * time.Second
)

// Start brings everything up and returns once the listener takes requests. ctx
// bounds the start alone. On an error, whatever had started is stopped.
func Start(ctx context.Context, c Config) (_ *Stack, err error) {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	binary, err := envoy.Find(ctx, envoy.FindOptions{Progress: c.Progress})
	if err != nil {
		return nil, err
	}
	s := &Stack{providers: &providers{pace: c.Pace}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "wye-"); err != nil {
		return nil, fmt.Errorf("make a folder for sockets: %w", err)
	}
	c.Sidecar.ADS = "unix:" + filepath.Join(s.dir, "ads.sock")
	c.Sidecar.ExtProc = "unix:" + filepath.Join(s.dir, "extproc.sock")
	if c.FakeProviders {
		c.Sidecar.Redirect = s.providers.redirect
	}
	c.Progress("starting wye")
	if s.Sidecar, err = sidecar.Start(ctx, c.Sidecar); err != nil {
		return nil, err
	}
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapConfig{NodeID: "wye-" + strconv.Itoa(os.Getpid()), ADS: c.Sidecar.ADS})
	if err != nil {
		return nil, err
	}
	c.Progress("starting envoy " + binary.Version + " from " + binary.Source)
	s.Envoy, err = envoy.Start(ctx, envoy.RunOptions{
		Binary: binary.Path, Bootstrap: bootstrap, Log: c.EnvoyLog, DrainTime: drainTime,
	})
	if err != nil {
		return nil, err
	}
	address, err := s.Envoy.ListenerAddress(ctx, envoy.ListenerName)
	if err != nil {
		return nil, err
	}
	if s.URL, err = urlOf(address); err != nil {
		return nil, err
	}
	return s, nil
}

// urlOf is where a client on this machine finds the listener.
func urlOf(a envoy.Address) (string, error) {
	if !a.IP.IsValid() {
		return "", fmt.Errorf("the listener is at %+v, which has no URL", a)
	}
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(a.Port))), nil
}

// Fault makes the fake provider of a backend fail as f says, and reports
// whether there is one.
func (s *Stack) Fault(backend string, f fakeprovider.Fault) bool {
	return s.providers.fault(backend, f)
}

// Failed delivers the reason when a part ends that should have gone on. It
// blocks until then or until ctx ends, when it returns nil.
func (s *Stack) Failed(ctx context.Context) error {
	select {
	case err := <-s.Sidecar.Failed():
		return err
	case <-s.Envoy.Exited():
		return fmt.Errorf("envoy ended: %s", s.Envoy.LogTail())
	case <-ctx.Done():
		return nil
	}
}

// Stop ends the parts so that no request fails that was under way: Envoy first,
// which finishes its requests, then Wye, then the fake providers.
func (s *Stack) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	if s.Envoy != nil {
		errs = append(errs, s.Envoy.Stop(ctx))
	}
	if s.Sidecar != nil {
		errs = append(errs, s.Sidecar.Shutdown(ctx, 0))
	}
	errs = append(errs, s.providers.close())
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
