package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"wye/control"
	"wye/internal/mtls"
	"wye/internal/sidecar"
	"wye/policies"
	"wye/xds"
)

// Config is what a control plane needs. Addresses are host:port, where port 0
// picks a free one, or unix:/path.
type Config struct {
	Version string // of Wye, for metrics
	Policy  string // file, or directory with PolicyName in it; watched
	Listen  string // where members, and Envoys, connect
	Admin   string // where the admin page listens; empty: nowhere
	// TLS, unless nil, is asked for where Listen is a TCP address.
	TLS *mtls.Files
	// ExtProc, unless empty, is where every Envoy finds its own Wye, and has Envoys
	// served at Listen, too, with EnvoyListen as the address of their listener.
	ExtProc     string
	EnvoyListen string
	// Settled, unless nil, is called when an edit has reached the members, which
	// touches much memory that serving does not.
	Settled func()
	Logger  zerolog.Logger
}

// ControlPlane is a running control plane. Make one with Start, end it with
// Shutdown.
type ControlPlane struct {
	config  Config
	source  source
	members *control.Server
	envoys  *xds.Server // nil: none are served
	grpc    *grpc.Server
	admin   *http.Server

	addresses Addresses
	life      context.Context // ends with Shutdown
	stop      context.CancelFunc
	running   sync.WaitGroup
	failed    chan error

	mu     sync.Mutex
	status Status
}

// Addresses is where a control plane listens, with the ports that were picked.
type Addresses struct{ ADS, Admin string }

// Start reads the policy, listens and returns. A policy with faults is an error
// that lists them.
func Start(ctx context.Context, c Config) (_ *ControlPlane, err error) {
	p := &ControlPlane{config: c, failed: make(chan error, 2)}
	p.life, p.stop = context.WithCancel(context.Background())
	var opened []net.Listener
	defer func() {
		if err != nil {
			p.stop()
			for _, l := range opened {
				err = errors.Join(err, l.Close())
			}
			if p.envoys != nil {
				p.envoys.Close()
			}
		}
	}()
	if p.source, err = newSource(c.Policy); err != nil {
		return nil, err
	}
	ads, err := sidecar.Listen(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("control plane: %w", err)
	}
	opened = append(opened, ads)
	p.addresses.ADS = addressOf(ads)
	var admin net.Listener
	if c.Admin != "" {
		if admin, err = sidecar.Listen(c.Admin); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
		opened = append(opened, admin)
		p.addresses.Admin = addressOf(admin)
	}
	secure, identify, err := sidecar.Secure(c.TLS, ads, c.Logger)
	if err != nil {
		return nil, err
	}
	members := control.ServerConfig{Logger: c.Logger, Identify: identify}
	if c.ExtProc != "" {
		p.envoys = xds.NewServer(xds.Config{Logger: c.Logger, Identify: identify})
		members.Envoys = p.envoys.Service()
	}
	p.members = control.NewServer(members)
	first, err := p.source.read()
	if err != nil {
		return nil, err
	}
	if _, err := p.apply(ctx, first); err != nil {
		return nil, err
	}
	p.grpc = grpc.NewServer(serverOptions(secure)...)
	p.members.Register(p.grpc)
	p.serve("control plane", func() error { return p.grpc.Serve(ads) })
	if admin != nil {
		p.admin = p.newAdmin()
		p.serve("admin", func() error {
			if err := p.admin.Serve(admin); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	p.running.Go(func() {
		p.source.watch(p.life, first, func(now []byte) time.Duration {
			again, _ := p.apply(p.life, now) // it has logged and kept the reason
			return again
		}, p.refuse)
	})
	return p, nil
}

// Options of the gRPC server: many connections, each of which says little.
const (
	streamsPerConnection = 16
	bufferSize           = 4 << 10 // bytes; gRPC's own 32 KiB would be most of a member's memory
	ping                 = 15 * time.Second
	pingTimeout          = 5 * time.Second
)

func serverOptions(secure credentials.TransportCredentials) []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.MaxConcurrentStreams(streamsPerConnection),
		grpc.ReadBufferSize(bufferSize), grpc.WriteBufferSize(bufferSize),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 100 * time.Millisecond, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: ping, Timeout: pingTimeout}),
	}
	if secure != nil {
		options = append(options, grpc.Creds(secure))
	}
	return options
}

func (p *ControlPlane) serve(what string, serve func() error) {
	p.running.Go(func() {
		if err := serve(); err != nil {
			p.failed <- fmt.Errorf("%s: %w", what, err)
		}
	})
}

// stageTimeout bounds how long an edit waits for the Envoys, stageRetry how long
// one that failed for want of it waits to be tried again, retireTimeout how long
// the Envoys keep what only the old policy had for members that do not answer.
const (
	stageTimeout  = 10 * time.Second
	stageRetry    = 5 * time.Second
	retireTimeout = 30 * time.Second
)

// apply hands out what the file says: to the Envoys first, so that no member
// names a cluster that its Envoy has not got.
func (p *ControlPlane) apply(ctx context.Context, now []byte) (again time.Duration, err error) {
	releases, err := p.releases(now)
	if err != nil {
		p.refuse(err)
		return 0, err
	}
	retire, err := p.stage(ctx, releases)
	if err == nil {
		err = p.members.Publish(releases...)
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			again = stageRetry
		}
		p.refuse(err)
		return again, err
	}
	p.accept(releases)
	p.running.Go(func() { p.settle(retire) })
	return 0, nil
}

// settle is what can wait until the members have what was handed out.
func (p *ControlPlane) settle(retire func()) {
	ctx, cancel := context.WithTimeout(p.life, retireTimeout)
	defer cancel()
	_ = p.members.Await(ctx) // whoever has not answered by then is not waited for
	if retire != nil {
		retire()
	}
	if p.config.Settled != nil {
		p.config.Settled()
	}
}

// releases are what the file says.
func (p *ControlPlane) releases(now []byte) ([]control.Release, error) {
	policy, err := p.parse(p.source.policyPath(), now)
	if err != nil {
		return nil, err
	}
	return []control.Release{{Policy: policy}}, nil
}

func (p *ControlPlane) parse(name string, text []byte) (*policies.Policy, error) {
	policy, err := policies.Parse(name, text)
	if err != nil {
		return nil, err
	}
	for _, w := range policy.Warnings() {
		p.config.Logger.Warn().Msg(w.String())
	}
	return policy, nil
}

// stage offers the Envoys what they need for the releases.
func (p *ControlPlane) stage(ctx context.Context, releases []control.Release) (retire func(), err error) {
	if p.envoys == nil {
		return nil, nil
	}
	snapshot, err := releases[len(releases)-1].Policy.Compile()
	if err != nil {
		return nil, err
	}
	resources, err := xds.Build(snapshot, xds.Options{Listen: p.config.EnvoyListen, ExtProc: p.config.ExtProc})
	if err != nil {
		return nil, err
	}
	for _, w := range resources.Warnings {
		p.config.Logger.Warn().Msg(w)
	}
	ctx, cancel := context.WithTimeout(ctx, stageTimeout)
	defer cancel()
	staged, err := p.envoys.Stage(ctx, resources)
	if err != nil {
		return nil, err
	}
	return staged.Retire, nil
}

// Addresses returns where the control plane listens.
func (p *ControlPlane) Addresses() Addresses { return p.addresses }

// Failed delivers the failure of a server that should have gone on.
func (p *ControlPlane) Failed() <-chan error { return p.failed }

// Shutdown ends all streams. Members and Envoys keep what they have.
func (p *ControlPlane) Shutdown() error {
	p.stop()
	p.members.Close()
	if p.envoys != nil {
		p.envoys.Close()
	}
	p.grpc.Stop()
	var err error
	if p.admin != nil {
		err = p.admin.Close()
	}
	p.running.Wait()
	return err
}

func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}
