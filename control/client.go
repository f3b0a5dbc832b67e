package control

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/rs/zerolog"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"wye/policies/policyv1"
)

// ClientConfig is what a Client needs.
type ClientConfig struct {
	// Dial opens a connection to the next of the control planes, which are all the
	// same to a member; it is called again after each stream that ended.
	Dial func(attempt int) (*grpc.ClientConn, error)
	Node Node
	// Apply brings a policy into force or says why not. Where trying again may
	// help, again says after what time.
	Apply func(ctx context.Context, document *policyv1.Policy) (again time.Duration, err error)
	// Keep, unless nil, keeps the policies that came into force.
	Keep   *LastGood
	Logger zerolog.Logger
	// MinBackoff and MaxBackoff bound the time between two attempts to reach a
	// control plane. Zero: DefaultMinBackoff, DefaultMaxBackoff.
	MinBackoff, MaxBackoff time.Duration
}

// The bounds of the time between two attempts. The first is about what a restart
// takes, the second keeps thousands of members from keeping a control plane down.
const (
	DefaultMinBackoff = 100 * time.Millisecond
	DefaultMaxBackoff = 5 * time.Second
)

// Client follows a control plane. Make one with NewClient and call Run.
type Client struct {
	config ClientConfig
	parts  map[string][]byte // of the policy in force; Run's own
	hash   string            // of that
	logged string            // the last connection fault that was

	mu     sync.Mutex
	status ClientStatus
}

// ClientStatus is how a member stands to its control plane.
type ClientStatus struct {
	Connected    bool      `json:"connected"`
	Since        time.Time `json:"since,omitzero"`  // of the last change of Connected
	Policy       string    `json:"policy"`          // in force, of those from the control plane
	Fault        string    `json:"fault,omitempty"` // why the newest one is not, or there is no connection
	Acks         uint64    `json:"acknowledged"`
	Nacks        uint64    `json:"refused"`
	Kept         string    `json:"kept,omitempty"`       // policy on disk
	KeepFault    string    `json:"keep_fault,omitempty"` // why the newest one is not there
	KeepFailures uint64    `json:"keep_failures"`
}

// NewClient returns a client. inForce, unless nil, is the policy that is in force
// already, as Keep has loaded it.
func NewClient(c ClientConfig, inForce *policyv1.Policy) (*Client, error) {
	if c.MinBackoff == 0 {
		c.MinBackoff = DefaultMinBackoff
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = DefaultMaxBackoff
	}
	client := &Client{config: c, parts: map[string][]byte{}}
	if inForce == nil {
		return client, nil
	}
	set, err := NewSet(inForce)
	if err != nil {
		return nil, err
	}
	for name, part := range set.parts {
		client.parts[name] = part.GetResource().GetValue()
	}
	client.hash, client.status.Policy, client.status.Kept = set.Hash, set.Hash, set.Hash
	return client, nil
}

// Status returns how things stand.
func (c *Client) Status() ClientStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

func (c *Client) note(f func(*ClientStatus)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.status)
}

// Run follows the control plane until ctx ends. Whatever happens to the
// connection, the policy in force stays.
func (c *Client) Run(ctx context.Context) {
	wait := c.config.MinBackoff
	for attempt := 0; ctx.Err() == nil; attempt++ {
		worked, again, err := c.session(ctx, attempt)
		c.disconnected(ctx, err)
		if worked {
			wait = c.config.MinBackoff
		}
		pause := wait/2 + rand.N(wait) //nolint:gosec // spreads members over time, no secret
		if again > 0 {
			pause = again
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait = min(2*wait, c.config.MaxBackoff)
	}
}

func (c *Client) disconnected(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	c.note(func(s *ClientStatus) {
		if s.Connected || s.Since.IsZero() {
			s.Connected, s.Since = false, time.Now()
		}
		if err != nil {
			s.Fault = err.Error()
		}
	})
	if err != nil && err.Error() != c.logged {
		c.logged = err.Error()
		c.config.Logger.Warn().Err(err).Str("in_force", c.hash).Msg("no control plane")
	}
}

// maxResponse bounds one response: more than any policy that passes the schema
// needs.
const maxResponse = 64 << 20

// session is one stream. worked is set if the control plane has answered, again
// if it is to be asked once more after a time of the member's own choosing.
func (c *Client) session(ctx context.Context, attempt int) (worked bool, again time.Duration, err error) {
	conn, err := c.config.Dial(attempt)
	if err != nil {
		return false, 0, err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).
		DeltaAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(maxResponse))
	if err != nil {
		return false, 0, err
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{
		Node: c.config.Node.message(), TypeUrl: TypeURL, InitialResourceVersions: c.versions(),
	}); err != nil {
		return false, 0, errors.Join(err, lastError(stream))
	}
	for {
		r, err := stream.Recv()
		if err != nil {
			return worked, 0, err
		}
		if !worked {
			worked, c.logged = true, ""
			c.note(func(s *ClientStatus) { s.Connected, s.Since, s.Fault = true, time.Now(), "" })
			c.config.Logger.Info().Str("policy", r.GetSystemVersionInfo()).Msg("control plane connected")
		}
		answer := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: TypeURL, ResponseNonce: r.GetNonce()}
		again, err = c.take(ctx, r)
		if err != nil {
			answer.ErrorDetail = &rpcstatus.Status{Code: int32(codes.InvalidArgument), Message: shorten(err.Error())}
		}
		if err := stream.Send(answer); err != nil {
			return worked, 0, lastError(stream)
		}
		if errors.Is(err, errIncomplete) {
			// What the server thinks that this member has is not so: begin anew.
			c.parts, again = map[string][]byte{}, c.config.MaxBackoff
		}
		if again > 0 {
			return worked, again, stream.CloseSend()
		}
	}
}

// lastError is what a stream that cannot be sent on has ended with.
func lastError(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

func (c *Client) versions() map[string]string {
	v := make(map[string]string, len(c.parts))
	for name, value := range c.parts {
		v[name] = versionOf(value)
	}
	return v
}

// errNothing refuses a policy that leaves this member nothing to serve.
var errNothing = errors.New("the policy has no deployment with a backend in this member's zone")

// take brings what a response makes of the policy into force.
func (c *Client) take(ctx context.Context, r *discoveryv3.DeltaDiscoveryResponse) (again time.Duration, err error) {
	defer func() {
		c.note(func(s *ClientStatus) {
			if err != nil {
				s.Nacks, s.Fault = s.Nacks+1, err.Error()
				return
			}
			s.Acks, s.Fault, s.Policy = s.Acks+1, "", c.hash
		})
		if err != nil {
			c.config.Logger.Error().Err(err).Str("policy", r.GetSystemVersionInfo()).Str("in_force", c.hash).
				Msg("the control plane's policy is refused")
		}
	}()
	parts := maps.Clone(c.parts)
	for _, res := range r.GetResources() {
		parts[res.GetName()] = res.GetResource().GetValue()
	}
	for _, name := range r.GetRemovedResources() {
		delete(parts, name)
	}
	if len(parts) == 0 && r.GetSystemVersionInfo() == "" {
		return 0, errNothing
	}
	document, err := join(parts, r.GetSystemVersionInfo())
	if err != nil {
		return 0, err
	}
	if r.GetSystemVersionInfo() == c.hash {
		c.parts = parts
		return 0, nil // it is in force
	}
	if again, err = c.config.Apply(ctx, document); err != nil {
		return again, err
	}
	c.parts, c.hash = parts, r.GetSystemVersionInfo()
	c.keep(document)
	return 0, nil
}

// keep puts the policy in force on disk. The member serves on if it cannot.
func (c *Client) keep(document *policyv1.Policy) {
	if c.config.Keep == nil {
		return
	}
	err := c.config.Keep.Save(document)
	c.note(func(s *ClientStatus) {
		if err != nil {
			s.KeepFault, s.KeepFailures = err.Error(), s.KeepFailures+1
			return
		}
		s.KeepFault, s.Kept = "", c.hash
	})
	if err != nil {
		c.config.Logger.Warn().Err(err).Str("policy", c.hash).Msg("the policy is in force and not kept: a start without the control plane would use an older one")
	}
}
