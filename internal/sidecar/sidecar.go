package sidecar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"wye/affinity"
	"wye/control"
	"wye/envoy"
	"wye/extproc"
	"wye/internal/mtls"
	"wye/internal/otlp"
	"wye/internal/telemetry"
	"wye/limits"
	"wye/policies"
	"wye/router"
	"wye/usage"
	"wye/xds"
)

// Config is what a sidecar needs. Addresses are host:port, where port 0 picks a
// free one, or unix:/path.
type Config struct {
	// Settled, unless nil, is called after each step of bringing an edited policy
	// into force, which touches much memory that serving does not. What one step
	// leaves behind must not add to what the next one takes.
	Settled    func()
	Version    string // of Wye, for metrics
	PolicyFile string // watched; empty: the embedded default policy
	// Control, unless nil, is where the policy comes from in place of a file.
	Control *Control
	Listen  string // where Envoy takes client requests
	ExtProc string // where Wye's ext_proc server listens
	ADS     string // where Wye's xDS server listens
	Admin   string // where the admin page listens; empty: nowhere
	// Zone, unless empty or "global", leaves of every policy only what may be
	// used in this data zone; see router.Snapshot.InZone.
	Zone string
	// TLS, unless nil, is asked for on the ext_proc and ADS servers where they listen
	// at TCP addresses: clients must present a certificate, and an Envoy is sent
	// what its identity's data zone has; see package mtls. A Unix socket is
	// protected by its file's permissions.
	TLS *mtls.Files
	// Grace is how long Envoys keep what a new policy no longer has; see
	// xds.Config. Zero is its default.
	Grace time.Duration
	// MaxInflightBytes bounds the request bodies held together, RequestTimeout
	// the arrival of one; see extproc.Config and xds.Options. Zero is the default.
	MaxInflightBytes int
	RequestTimeout   time.Duration
	// AffinityEntries is how many turns of conversations are remembered; 0:
	// affinity.DefaultEntries.
	AffinityEntries int
	// LimitedCallers is how many callers limits tell apart; 0: limits.DefaultCallers.
	LimitedCallers int
	// BudgetFile keeps what deployments with a budget have spent over a restart;
	// empty: nothing does.
	BudgetFile string
	// RotateInterval is how often the key files and CA bundles that the policy
	// names are read. Zero: DefaultRotateInterval.
	RotateInterval time.Duration
	// Redirect, unless nil, is called with each policy before it is compiled
	// and returns the address that stands in for each backend's.
	Redirect func(*policies.Policy) (address func(backend string) (addr string, plaintext bool), err error)
	// Observe, unless nil, is told of decisions besides the metrics.
	Observe func(*extproc.Event)
	// DecisionLog says where each request is recorded; LogPrompts adds what the
	// predictor read of the prompt.
	DecisionLog usage.LogConfig
	LogPrompts  bool
	// OTLP says where spans and metrics of each request are sent, if anywhere.
	OTLP   otlp.Config
	Logger zerolog.Logger
}

// Sidecar is a running Wye: ext_proc server, xDS server, policy watch and admin
// page. Make one with Start, end it with Shutdown.
type Sidecar struct {
	config   Config
	router   *router.Router
	extproc  *extproc.Server
	ads      *xds.Server
	adsGRPC  *grpc.Server
	admin    *http.Server
	reload   *reloader
	usage    *accounts
	control  *control.Client // nil: the policy comes from a file
	spending spendingFile
	staged   *xds.Resources // what stage offered last and Envoy took; stage's own

	addresses  Addresses
	extprocTLS bool // the ext_proc server asks for TLS
	started    time.Time
	stopWatch  context.CancelFunc
	running    sync.WaitGroup
	failed     chan error // the first failure of a server

	mu       sync.Mutex
	draining bool
}

// Addresses is where a sidecar listens, with the ports that were picked.
type Addresses struct{ ExtProc, ADS, Admin string }

// Start brings the policy into force, listens and returns. ctx bounds the start
// alone. A policy with faults is an error that lists them; see policies.Parse.
func Start(ctx context.Context, c Config) (_ *Sidecar, err error) {
	s := &Sidecar{config: c, router: new(router.Router), started: time.Now(), failed: make(chan error, 3)}
	var opened []net.Listener
	defer func() {
		if err != nil {
			for _, l := range opened {
				err = errors.Join(err, l.Close())
			}
			if s.ads != nil {
				s.ads.Close()
			}
			if s.usage != nil {
				err = errors.Join(err, s.usage.close(ctx))
			}
		}
	}()
	listen := func(what, address string) (net.Listener, error) {
		l, err := Listen(address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		opened = append(opened, l)
		return l, nil
	}
	extprocListener, err := listen("ext_proc", c.ExtProc)
	if err != nil {
		return nil, err
	}
	adsListener, err := listen("ads", c.ADS)
	if err != nil {
		return nil, err
	}
	s.addresses = Addresses{ExtProc: addressOf(extprocListener), ADS: addressOf(adsListener)}
	var adminListener net.Listener
	if c.Admin != "" {
		if adminListener, err = listen("admin", c.Admin); err != nil {
			return nil, err
		}
		s.addresses.Admin = addressOf(adminListener)
	}

	secure, err := newSecurity(c.TLS, c.Logger)
	if err != nil {
		return nil, err
	}
	s.extprocTLS = secure.of(extprocListener) != nil
	adsCredentials := secure.of(adsListener)
	adsConfig := xds.Config{Logger: c.Logger, Grace: c.Grace}
	if adsCredentials != nil {
		adsConfig.Identify = identify
	}
	s.ads = xds.NewServer(adsConfig)
	limiter := limits.NewSized(cmp.Or(c.LimitedCallers, limits.DefaultCallers), nil)
	spending := limits.NewSpending(nil)
	s.spending = spendingFile{path: c.BudgetFile, spending: spending, log: c.Logger}
	if err := s.spending.load(); err != nil {
		return nil, err
	}
	conversations := affinity.New(cmp.Or(c.AffinityEntries, affinity.DefaultEntries), nil)
	if s.usage, err = newAccounts(ctx, c, corrector(conversations), refunder(limiter, s.Snapshot), settler(spending)); err != nil {
		return nil, err
	}
	s.reload = &reloader{router: s.router, compile: s.compile, stage: s.stage, inForce: s.usage.sink.Policy, log: c.Logger}
	content, err := s.firstPolicy(ctx)
	if err != nil {
		return nil, err
	}

	metrics := telemetry.New(c.Version, telemetry.Sources{
		Policy: func() (string, int, int) {
			st := s.reload.status()
			return st.Hash, st.Reloads, st.Failures
		},
		PolicyAge: func() time.Duration { return time.Since(s.reload.status().LoadedAt) },
		XDS:       s.ads.Counters, Callers: limiter.CallerCounts,
		Budgets: func() []telemetry.Budget { return budgets(s.Snapshot(), spending) },
	})
	s.usage.measure(metrics)
	if s.control != nil {
		metrics.Member(s.control.Status)
	}
	observer := s.usage.observe(metrics.Observer())
	s.extproc = extproc.New(extproc.Config{
		Router: s.router, Logger: c.Logger, Observer: observe(observer, c.Observe),
		MaxInflightBytes: c.MaxInflightBytes, Hold: true, Credentials: secure.of(extprocListener),
		Services: []func(grpc.ServiceRegistrar){s.usage.service.Register},
		Affinity: conversations, Limits: limiter, Spending: spending,
	})
	adsOptions := []grpc.ServerOption{
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 100 * time.Millisecond, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 5 * time.Second, Timeout: 5 * time.Second}),
	}
	if adsCredentials != nil {
		adsOptions = append(adsOptions, grpc.Creds(adsCredentials))
	}
	s.adsGRPC = grpc.NewServer(adsOptions...)
	s.ads.Register(s.adsGRPC)

	s.serve("ext_proc", func() error { return s.extproc.Serve(extprocListener) })
	s.serve("ads", func() error { return s.adsGRPC.Serve(adsListener) })
	if adminListener != nil {
		s.admin = newAdmin(s, metrics.Registry)
		s.serve("admin", func() error {
			if err := s.admin.Serve(adminListener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	watchCtx, stop := context.WithCancel(context.Background())
	s.stopWatch = stop
	s.running.Go(func() { s.welcome(watchCtx) })
	s.running.Go(func() { s.spending.run(watchCtx) })
	rotate := rotation{reload: s.reload}
	s.running.Go(func() { rotate.run(watchCtx, cmp.Or(c.RotateInterval, DefaultRotateInterval)) })
	switch {
	case s.control != nil:
		s.running.Go(func() { s.control.Run(watchCtx) })
	case c.PolicyFile != "":
		s.running.Go(func() { s.watch(watchCtx, content) })
	}
	return s, nil
}

// firstPolicy brings into force what there is to begin with, and returns its
// text if that is the policy file's.
func (s *Sidecar) firstPolicy(ctx context.Context) (content []byte, err error) {
	switch {
	case s.config.Control != nil:
		s.control, err = s.newControl(ctx)
		return nil, err
	case s.config.PolicyFile == "":
		content = policies.DefaultYAML()
	default:
		if content, err = os.ReadFile(s.config.PolicyFile); err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
	}
	_, err = s.reload.apply(ctx, content)
	return content, err
}

// returnTimeout is how long requests wait for the Envoys of a former run to
// come back; the bootstrap has them try every second at the latest. A new Envoy
// ends the wait, since it sends nothing before it is up to date.
const returnTimeout = 2 * time.Second

// welcome has requests decided once the Envoys know what decisions will name:
// an Envoy serves on while Wye is away, and sends the first request before it
// has asked for the clusters of a policy that was edited meanwhile.
func (s *Sidecar) welcome(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, returnTimeout)
	defer cancel()
	if err := s.ads.AwaitReturn(ctx); err != nil {
		s.config.Logger.Debug().Msg("no envoy has come back")
	}
	s.extproc.Release()
}

func (s *Sidecar) serve(what string, serve func() error) {
	s.running.Go(func() {
		if err := serve(); err != nil {
			s.failed <- fmt.Errorf("%s: %w", what, err)
		}
	})
}

func (s *Sidecar) watch(ctx context.Context, content []byte) {
	watch(ctx, s.config.PolicyFile, content, func(b []byte) time.Duration {
		again, _ := s.reload.apply(ctx, b) // it has logged and kept the reason
		s.settle()
		return again
	}, func(err error) {
		_ = s.reload.refuse(fmt.Errorf("read policy: %w", err)) // likewise
	})
}

// observe adds a second observer of decisions.
func observe(o extproc.Observer, also func(*extproc.Event)) extproc.Observer {
	if also == nil {
		return o
	}
	first := o.Decision
	o.Decision = func(e *extproc.Event) {
		first(e)
		also(e)
	}
	return o
}

// compile is the first half of a reload: from a document to a snapshot.
func (s *Sidecar) compile(content []byte) (*router.Snapshot, error) {
	name := s.config.PolicyFile
	if name == "" {
		name = policies.DefaultName
	}
	p, err := policies.Parse(name, content)
	if err != nil {
		return nil, err
	}
	return s.compileParsed(p)
}

func (s *Sidecar) compileParsed(p *policies.Policy) (*router.Snapshot, error) {
	for _, w := range p.Warnings() {
		s.config.Logger.Warn().Msg(w.String())
	}
	snapshot, err := s.compilePolicy(p)
	if err != nil {
		return nil, err
	}
	part := snapshot.InZone(s.config.Zone)
	if part != snapshot && len(part.Backends) == 0 {
		return nil, fmt.Errorf("no backend of the policy is in zone %q", s.config.Zone)
	}
	return part, nil
}

func (s *Sidecar) compilePolicy(p *policies.Policy) (*router.Snapshot, error) {
	if s.config.Redirect == nil {
		return p.Compile()
	}
	address, err := s.config.Redirect(p)
	if err != nil {
		return nil, fmt.Errorf("redirect backends: %w", err)
	}
	return p.Compile(policies.WithBackendAddress(address))
}

// stage is the second half: from a snapshot to what every Envoy has taken.
func (s *Sidecar) stage(ctx context.Context, snapshot *router.Snapshot) (func(), error) {
	s.settle()
	resources, err := xds.Build(snapshot, xds.Options{
		Listen: s.config.Listen, ExtProc: s.addresses.ExtProc, RequestTimeout: s.config.RequestTimeout,
		ExtProcTLS: s.extprocTLS,
	})
	if err != nil {
		return nil, err
	}
	for _, w := range resources.Warnings {
		s.config.Logger.Warn().Msg(w)
	}
	if s.staged != nil && resources.Equal(s.staged) && s.Snapshot().Hash == snapshot.Hash {
		return nil, nil
	}
	s.settle()
	staged, err := s.ads.Stage(ctx, resources)
	if err != nil {
		return nil, err
	}
	s.staged = staged.Resources()
	return staged.Retire, nil
}

// settle is called after each step of an edit. The start, which has nothing to
// serve yet, takes no time for it.
func (s *Sidecar) settle() {
	if s.config.Settled != nil && s.Snapshot() != nil {
		s.config.Settled()
	}
}

// Addresses returns where the sidecar listens.
func (s *Sidecar) Addresses() Addresses { return s.addresses }

// Usage returns what the requests so far came to.
func (s *Sidecar) Usage() usage.Summary { return s.usage.ledger.Summary() }

// Snapshot returns the policy in force.
func (s *Sidecar) Snapshot() *router.Snapshot { return s.router.Snapshot() }

// Failed delivers the failure of a server that should have gone on.
func (s *Sidecar) Failed() <-chan error { return s.failed }

// Shutdown stops in an order that fails no request: it reports not ready and
// goes on for delay, while whatever balances load or stops Envoy takes notice;
// then it finishes the open streams and stops. When ctx ends, the rest is cut
// off.
func (s *Sidecar) Shutdown(ctx context.Context, delay time.Duration) error {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	s.stopWatch()
	errs := []error{s.extproc.Drain(ctx, 0), s.usage.close(ctx)}
	s.ads.Close()
	s.adsGRPC.Stop()
	if s.admin != nil {
		errs = append(errs, s.admin.Close())
	}
	s.running.Wait()
	errs = append(errs, s.spending.save())
	return errors.Join(errs...)
}

// Listen opens a listener for host:port or unix:/path. A socket file that a
// process left behind is replaced; one that answers is not.
func Listen(address string) (net.Listener, error) {
	a, err := envoy.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	network, at := a.Network()
	l, err := net.Listen(network, at)
	if err == nil || network != "unix" {
		return l, err
	}
	if c, dialErr := net.Dial(network, at); dialErr == nil {
		return nil, errors.Join(err, c.Close())
	}
	if info, statErr := os.Stat(at); statErr != nil || info.Mode()&os.ModeSocket == 0 {
		return nil, err
	}
	if err := os.Remove(at); err != nil {
		return nil, err
	}
	return net.Listen(network, at)
}

// addressOf is the listener's address as Listen takes it.
func addressOf(l net.Listener) string {
	if l.Addr().Network() == "unix" {
		return "unix:" + l.Addr().String()
	}
	return l.Addr().String()
}
