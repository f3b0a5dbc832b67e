package control_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"wye/control"
	"wye/policies"
	"wye/policies/policyv1"
)

// follower runs a client and keeps what it applied.
type follower struct {
	client *control.Client

	mu      sync.Mutex
	applied []string // hashes
	refuse  error    // what Apply says
	again   time.Duration
}

func (f *follower) apply(_ context.Context, d *policyv1.Policy) (time.Duration, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.again, f.refuse
	}
	p, err := policies.FromDocument("sent", d)
	if err != nil {
		return 0, err
	}
	f.applied = append(f.applied, p.Hash())
	return 0, nil
}

func (f *follower) set(refuse error, again time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse, f.again = refuse, again
}

func (f *follower) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.applied) == 0 {
		return ""
	}
	return f.applied[len(f.applied)-1]
}

// follow runs a client until the test ends. addresses may be of servers that are
// not there.
func follow(t *testing.T, keep *control.LastGood, inForce *policyv1.Policy, addresses ...string) *follower {
	t.Helper()
	f := &follower{}
	client, err := control.NewClient(control.ClientConfig{
		Dial: func(attempt int) (*grpc.ClientConn, error) {
			return grpc.NewClient("passthrough:///"+addresses[attempt%len(addresses)], grpc.WithTransportCredentials(insecure.NewCredentials()))
		},
		Node:  control.Node{ID: "member", Version: "v1", Labels: map[string]string{"ring": "0"}},
		Apply: f.apply, Keep: keep, MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond,
	}, inForce)
	if err != nil {
		t.Fatal(err)
	}
	f.client = client
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		client.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

func lastGood(t *testing.T, dir, zone string) *control.LastGood {
	t.Helper()
	l, err := control.NewLastGood(dir, zone)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A client brings what it is sent into force, says so, keeps it, says why not
// where it cannot, and goes on with what it had.
func TestClientFollows(t *testing.T) {
	t.Parallel()
	s := control.NewServer(control.ServerConfig{})
	keep := lastGood(t, filepath.Join(t.TempDir(), "new", "state"), "")
	f := follow(t, keep, nil, listen(t, s))
	first := parse(t, policyText(3, 1))
	publish(t, s, control.Release{Policy: first})
	eventually(t, "in force", func() bool { return len(s.Members()) == 1 && only(t, s).State == control.StateCurrent })
	if m := only(t, s); m.Version != "v1" || m.Labels["ring"] != "0" || m.Zone != "global" || f.last() != first.Hash() {
		t.Errorf("member %+v applied %q", m, f.last())
	}
	f.set(errors.New("not with me"), 0)
	second := parse(t, policyText(3, 2))
	publish(t, s, control.Release{Policy: second})
	eventually(t, "refused", func() bool { return only(t, s).State == control.StateRefused })
	if m := only(t, s); m.Reason != "not with me" || m.Acknowledged != first.Hash() {
		t.Errorf("member %+v", m)
	}
	if st := f.client.Status(); !st.Connected || st.Policy != first.Hash() || st.Fault != "not with me" || st.Nacks != 1 || st.Kept != first.Hash() {
		t.Errorf("status %+v", st)
	}
	f.set(nil, 0)
	third := parse(t, policyText(4, 1))
	publish(t, s, control.Release{Policy: third})
	eventually(t, "in force", func() bool { return only(t, s).State == control.StateCurrent })
	if f.last() != third.Hash() {
		t.Errorf("in force %s", f.last())
	}
	kept, err := keep.Load()
	if err != nil || policies.DocumentHash(kept) != third.Hash() {
		t.Errorf("kept %v, %v", kept, err)
	}
}

// What may work later is tried again, without anybody's edit.
func TestClientTriesAgain(t *testing.T) {
	t.Parallel()
	s := control.NewServer(control.ServerConfig{})
	publish(t, s, control.Release{Policy: parse(t, policyText(1, 1))})
	f := follow(t, nil, nil, listen(t, s))
	f.set(errors.New("an envoy is slow"), 5*time.Millisecond)
	eventually(t, "refused twice", func() bool { return s.Counters().Nacks >= 2 })
	f.set(nil, 0)
	eventually(t, "in force", func() bool { return len(s.Members()) == 1 && only(t, s).State == control.StateCurrent })
}

// A client begins with what it kept, and of two control planes either will do: the
// second resumes where the first ended.
func TestClientResumesElsewhere(t *testing.T) {
	t.Parallel()
	p := parse(t, policyText(200, 1))
	first, second := control.NewServer(control.ServerConfig{}), control.NewServer(control.ServerConfig{})
	publish(t, first, control.Release{Policy: p})
	publish(t, second, control.Release{Policy: parse(t, policyText(200, 1))})
	f := follow(t, nil, p.Document(), "127.0.0.1:1", listen(t, first), listen(t, second))
	eventually(t, "connected", func() bool { return len(first.Members()) == 1 && only(t, first).State == control.StateCurrent })
	first.Close()
	eventually(t, "connected to the other", func() bool { return len(second.Members()) == 1 && only(t, second).State == control.StateCurrent })
	if f.last() != "" {
		t.Errorf("applied %s, which was in force", f.last())
	}
	if a, b := first.Counters().Bytes, second.Counters().Bytes; a > 200 || b > 200 {
		t.Errorf("sent %d and %d bytes for nothing new", a, b)
	}
	edited := parse(t, policyText(200, 2))
	publish(t, second, control.Release{Policy: edited})
	eventually(t, "edited", func() bool { return f.last() == edited.Hash() })
}

// A policy that leaves the member nothing is refused; it serves on.
func TestClientRefusesNothing(t *testing.T) {
	t.Parallel()
	s := control.NewServer(control.ServerConfig{Identify: func(context.Context) (string, error) { return "mars", nil }})
	publish(t, s, control.Release{Policy: parse(t, policyText(1, 1))})
	f := follow(t, nil, parse(t, policyText(1, 2)).Document(), listen(t, s))
	eventually(t, "refused", func() bool { return len(s.Members()) == 1 && only(t, s).State == control.StateRefused })
	if st := f.client.Status(); !strings.Contains(st.Fault, "no deployment") || f.last() != "" {
		t.Errorf("status %+v", st)
	}
}

// liar is a control plane that sends parts of two policies.
type liar struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	first, second *control.Set
	reasons       chan string
}

// DeltaAggregatedResources implements the service.
func (l *liar) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	for range 2 {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		if r.GetErrorDetail() != nil {
			l.reasons <- r.GetErrorDetail().GetMessage()
			return status.Error(codes.Unavailable, "enough")
		}
		mixed := &discoveryv3.DeltaDiscoveryResponse{Nonce: "1", SystemVersionInfo: l.second.Hash, Resources: control.Mix(l.first, l.second)}
		if err := s.Send(mixed); err != nil {
			return err
		}
	}
	return nil
}

// A mixture of two policies comes into force nowhere.
func TestClientRefusesMixtures(t *testing.T) {
	t.Parallel()
	l := &liar{reasons: make(chan string, 100)}
	var err error
	if l.first, err = control.NewSet(parse(t, policyText(2, 1)).Document()); err != nil {
		t.Fatal(err)
	}
	if l.second, err = control.NewSet(parse(t, policyText(2, 2)).Document()); err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, l)
	f := follow(t, nil, nil, serveGRPC(t, g))
	if reason := <-l.reasons; !strings.Contains(reason, "not one policy") {
		t.Errorf("reason %q", reason)
	}
	if f.last() != "" {
		t.Errorf("in force %s", f.last())
	}
}

// A disk that takes no policy costs the next start, and nothing now.
func TestClientWithoutDisk(t *testing.T) {
	t.Parallel()
	s := control.NewServer(control.ServerConfig{})
	p := parse(t, policyText(1, 1))
	publish(t, s, control.Release{Policy: p})
	dir := filepath.Join(t.TempDir(), "state")
	keep := lastGood(t, dir, "")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	f := follow(t, keep, nil, listen(t, s))
	eventually(t, "in force", func() bool { return f.last() == p.Hash() })
	eventually(t, "told", func() bool { return f.client.Status().KeepFailures == 1 })
	if st := f.client.Status(); st.KeepFault == "" || st.Kept != "" || st.Policy != p.Hash() {
		t.Errorf("status %+v", st)
	}
	eventually(t, "acknowledged", func() bool { return only(t, s).State == control.StateCurrent })
}
