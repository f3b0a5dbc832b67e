package xds

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"wye/envoy"
	"wye/router"
)

// Options is what Build needs to know beside the policy. Listen and ExtProc
// are required.
type Options struct {
	// Listen is the address at which Envoy takes client requests: an IP address
	// and a port, where 0 picks a free one, or unix:/path.
	Listen string
	// ExtProc is the address of the ext_proc server: host:port or unix:/path.
	ExtProc string
	// ExtProcTLS says that the ext_proc server takes TLS alone, with certificates
	// on both sides: Envoy's bootstrap has them, see envoy.IdentitySecret.
	ExtProcTLS bool
	// Secret resolves a credential to the key. Default: ReadSecret. An error is
	// no fault of the policy: see Resources.Warnings.
	Secret func(router.Credential) (string, error)
	// ReadFile reads the CA bundles of backends. Default: os.ReadFile.
	ReadFile func(name string) ([]byte, error)
	// ConnectTimeout bounds the connection to a backend, TLS included.
	// DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// RequestTimeout bounds the arrival of a whole request, so that nobody holds
	// memory by sending slowly. DefaultRequestTimeout.
	RequestTimeout time.Duration
}

// The defaults of Options and of a deployment that sets no bound.
const (
	DefaultConnectTimeout = 3 * time.Second
	DefaultRequestTimeout = time.Minute
	DefaultMaxBodyBytes   = 16 << 20
)

// ReadSecret reads a credential from its environment variable or file; white
// space around it is not part of the key.
func ReadSecret(c router.Credential) (string, error) {
	var key string
	switch {
	case c.Env != "":
		key = os.Getenv(c.Env)
	case c.File != "":
		b, err := os.ReadFile(c.File)
		if err != nil {
			return "", err
		}
		key = string(b)
	default:
		return "", errors.New("it names neither an environment variable nor a file")
	}
	if key = strings.TrimSpace(key); key == "" {
		return "", errors.New("it is empty")
	}
	return key, nil
}

// builder holds what the parts of one Build share.
type builder struct {
	snapshot *router.Snapshot
	options  Options
	view     view
	extProc  envoy.Address
	// credentialHeaders are the request headers that may carry a key, client's
	// or ours, lower case and sorted; none when Wye has no key to keep apart.
	// keptHeaders are those and all that backends set beside them.
	credentialHeaders, keptHeaders []string
	// besideTranslating are the backends whose attempts may follow one that
	// translates, by name.
	besideTranslating map[string]bool
	bundles           map[string]string // names of CA secrets by file
	missingKeys       []missingKey
}

// Build renders the Envoy resources of a snapshot. It is pure but for
// Options.Secret and Options.ReadFile: the same input gives the same resources,
// byte for byte. Every resource has passed its protobuf validation rules. The
// error lists every fault. Keys and files are read once, so that all Envoys have
// the same, whichever part of the resources they are sent.
func Build(s *router.Snapshot, o Options) (*Resources, error) {
	if o.Secret == nil {
		o.Secret = ReadSecret
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, DefaultConnectTimeout)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, DefaultRequestTimeout)
	o.Secret, o.ReadFile = readOnce(o.Secret), readOnce(o.ReadFile)
	r, err := build(s, o, view{})
	if err != nil {
		return nil, err
	}
	return r.partsBy(func(v view) (*Resources, error) { return build(s.InZone(v.zone), o, v) }), nil
}

// readOnce remembers what read has returned.
func readOnce[K comparable, V any](read func(K) (V, error)) func(K) (V, error) {
	type result struct {
		value V
		err   error
	}
	var mu sync.Mutex
	seen := make(map[K]result)
	return func(key K) (V, error) {
		mu.Lock()
		defer mu.Unlock()
		r, ok := seen[key]
		if !ok {
			r.value, r.err = read(key)
			seen[key] = r
		}
		return r.value, r.err
	}
}

// build renders what the view shows of the policy; s is the view's part of it.
func build(s *router.Snapshot, o Options, v view) (*Resources, error) {
	b := &builder{
		snapshot: s, options: o, view: v,
		credentialHeaders: credentialHeaders(s), besideTranslating: besideTranslating(s),
		bundles: make(map[string]string),
	}
	b.keptHeaders = keptHeaders(s, b.credentialHeaders)
	var errs []error
	listen, err := envoy.ParseAddress(o.Listen)
	if err == nil && listen.Path == "" && !listen.IP.IsValid() {
		err = fmt.Errorf("%q: the host must be an IP address", o.Listen)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("listen address: %w", err))
	}
	if b.extProc, err = envoy.ParseAddress(o.ExtProc); err != nil {
		errs = append(errs, fmt.Errorf("ext_proc address: %w", err))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	r := newResources()
	errs = append(errs,
		r.add(envoy.ListenerName, b.listener(listen)),
		r.add(envoy.RouteName, b.routes()),
		r.add(envoy.ExtProcCluster, b.extProcCluster()),
		r.add(envoy.ExhaustedCluster, b.exhaustedCluster()))
	for i := range s.Backends {
		if err := b.addBackend(r, &s.Backends[i]); err != nil {
			errs = append(errs, fmt.Errorf("backend %q: %w", s.Backends[i].Name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	r.Warnings = b.warnings()
	r.Grace = grace(s)
	return r, nil
}

// grace is the latest start of an attempt after its request's decision under s,
// and DefaultGrace for all that lies between.
func grace(s *router.Snapshot) time.Duration {
	var latest time.Duration
	for i := range s.Deployments {
		d := &s.Deployments[i]
		perTry := cmp.Or(d.PerTryTimeout, d.Timeout)
		last := time.Duration(max(d.MaxAttempts-1, 0)) * perTry
		if d.Timeout > 0 {
			last = min(last, d.Timeout)
		}
		latest = max(latest, last)
	}
	return latest + DefaultGrace
}

// credentialHeaders lists every header that a key travels in under s, and those
// in which clients of model APIs send theirs. It is empty when no backend has a
// credential.
func credentialHeaders(s *router.Snapshot) []string {
	var headers []string
	for i := range s.Backends {
		if c := s.Backends[i].Credential; c != nil {
			headers = append(headers, strings.ToLower(c.Header))
		}
	}
	if len(headers) == 0 {
		return nil
	}
	headers = append(headers, "authorization", "api-key", "x-api-key")
	slices.Sort(headers)
	return slices.Compact(headers)
}

// keptHeaders adds the headers that backends set to those of credentials.
func keptHeaders(s *router.Snapshot, credentials []string) []string {
	kept := slices.Clone(credentials)
	for i := range s.Backends {
		for _, h := range s.Backends[i].Headers {
			kept = append(kept, h.Name)
		}
	}
	slices.Sort(kept)
	return slices.Compact(kept)
}

// packed wraps a message that is part of a resource. The bytes are
// deterministic, because versions are hashes of them.
func packed(m proto.Message) *anypb.Any {
	a := new(anypb.Any)
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		// Only a string that is not UTF-8 or a missing required field can fail,
		// and validation of the policy leaves neither.
		panic(fmt.Sprintf("pack %s: %v", m.ProtoReflect().Descriptor().FullName(), err))
	}
	return a
}
