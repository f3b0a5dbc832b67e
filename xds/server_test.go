package xds_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"

	"wye/xds"
)

// Only what changed travels, clusters before routes, and a publication is over
// when the last member has acknowledged.
func TestStageWaitsForEveryMember(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{Grace: 50 * time.Millisecond})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	first := s.Published()
	members := []*member{connect(t, conn, "one"), connect(t, conn, "two")}
	for _, m := range members {
		m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
		m.ack(m.receive(resourcev3.ClusterType))
		m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.RouteType, ResourceNamesSubscribe: []string{"wye"}})
		m.ack(m.receive(resourcev3.RouteType))
		m.quiet()
	}
	result := stage(t.Context(), t, s, dnsPolicy(t, "a", "b"))
	for i, m := range members {
		r := m.receive(resourcev3.ClusterType)
		if got := names(r); len(got) != 2 || !strings.HasPrefix(got[0], "wye/fallback/b/") || !strings.HasPrefix(got[1], "wye/first/b/") || len(r.GetRemovedResources()) != 0 {
			t.Errorf("%s got %q, removed %q", m.id, got, r.GetRemovedResources())
		}
		m.quiet()
		pendingResult(t, result)
		if i == 0 {
			m.ack(r)
			continue
		}
		m.ack(r)
	}
	for _, m := range members {
		r := m.receive(resourcev3.RouteType)
		pendingResult(t, result)
		m.ack(r)
	}
	if err := done(t, result); err != nil {
		t.Fatal(err)
	}
	want := s.Published()
	for _, n := range s.Nodes() {
		if n.Acked[resourcev3.ClusterType] != want.Version(resourcev3.ClusterType) || n.Cluster != "test" || !n.Delta {
			t.Errorf("node %+v", n)
		}
	}
	if first.Version(resourcev3.ClusterType) == want.Version(resourcev3.ClusterType) {
		t.Error("the version of the clusters did not change")
	}
	// The deployment route of the first policy has its own name in the second,
	// so nothing else is withdrawn.
	if c := s.Counters(); c.Streams != 2 || c.Publications != 2 || c.Acks < 8 || c.Nacks != 0 || c.Failures != 0 {
		t.Errorf("counters %+v", c)
	}
}

// What the new policy lacks stays for the grace, then goes: routes first.
func TestRetire(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{Grace: 300 * time.Millisecond})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	m := connect(t, conn, "one")
	m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
	m.ack(m.receive(resourcev3.ClusterType))
	m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.RouteType, ResourceNamesSubscribe: []string{"wye"}})
	m.ack(m.receive(resourcev3.RouteType))
	result := stage(t.Context(), t, s, dnsPolicy(t, "b"))
	m.ack(m.receive(resourcev3.ClusterType))
	routes := m.receive(resourcev3.RouteType)
	if text := routes.GetResources()[0].GetResource().String(); !strings.Contains(text, "deployment/d-a") || !strings.Contains(text, "deployment/d-b") {
		t.Errorf("staged routes %s", text)
	}
	m.ack(routes)
	if err := done(t, result); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	routes = m.receive(resourcev3.RouteType)
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("withdrawn after %v", took)
	}
	if text := routes.GetResources()[0].GetResource().String(); strings.Contains(text, "deployment/d-a") || !strings.Contains(text, "deployment/d-b") {
		t.Errorf("routes after the grace: %s", text)
	}
	m.quiet()
	m.ack(routes)
	clusters := m.receive(resourcev3.ClusterType)
	if removed := clusters.GetRemovedResources(); len(removed) != 2 || len(clusters.GetResources()) != 0 {
		t.Errorf("removed %q, set %q", removed, names(clusters))
	}
	m.ack(clusters)
	m.quiet()
}

// One refusal is enough: it is reported in the member's words, and everybody
// gets back what was before.
func TestStageRefused(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	before := s.Published()
	good, bad := connect(t, conn, "good"), connect(t, conn, "bad")
	for _, m := range []*member{good, bad} {
		m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
		m.ack(m.receive(resourcev3.ClusterType))
	}
	result := stage(t.Context(), t, s, dnsPolicy(t, "b"))
	good.ack(good.receive(resourcev3.ClusterType))
	bad.nack(bad.receive(resourcev3.ClusterType), "no such filter")
	err := done(t, result)
	var rejection *xds.Rejection
	if !errors.As(err, &rejection) || rejection.NodeID != "bad" || rejection.Message != "no such filter" || rejection.TypeURL != resourcev3.ClusterType {
		t.Fatalf("error %v", err)
	}
	if want := "stage resources: envoy bad refuses envoy.config.cluster.v3.Cluster: no such filter"; err.Error() != want {
		t.Errorf("error %q, want %q", err, want)
	}
	for _, m := range []*member{good, bad} {
		r := m.receive(resourcev3.ClusterType)
		if len(r.GetRemovedResources()) != 2 || len(r.GetResources()) != 0 {
			t.Errorf("%s: removed %q, set %q", m.id, r.GetRemovedResources(), names(r))
		}
		m.ack(r)
	}
	if s.Published() != before {
		t.Error("what was before is not restored")
	}
	if c := s.Counters(); c.Nacks != 1 || c.Failures != 1 || c.Publications != 1 {
		t.Errorf("counters %+v", c)
	}
	// The next one is not held against the member.
	result = stage(t.Context(), t, s, dnsPolicy(t, "c"))
	good.ack(good.receive(resourcev3.ClusterType))
	bad.ack(bad.receive(resourcev3.ClusterType))
	if err := done(t, result); err != nil {
		t.Error(err)
	}
	for _, n := range s.Nodes() {
		if (n.Rejected != nil) != (n.ID == "bad") {
			t.Errorf("node %s: rejected %v", n.ID, n.Rejected)
		}
	}
}

// A member that says nothing fails the publication when its time is over, and
// what was before is restored; one that goes away is not waited for.
func TestStageTimesOut(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	before := s.Published()
	m := connect(t, conn, "silent")
	m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
	m.ack(m.receive(resourcev3.ClusterType))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := done(t, stage(ctx, t, s, dnsPolicy(t, "b")))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), `"silent"`) {
		t.Errorf("error %v", err)
	}
	if s.Published() != before {
		t.Error("what was before is not restored")
	}
	result := stage(t.Context(), t, s, dnsPolicy(t, "c"))
	pendingResult(t, result)
	// Another publication waits its turn, and no longer than it is told to.
	if err := done(t, stage(ctx, t, s, dnsPolicy(t, "d"))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if err := m.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if err := done(t, result); err != nil {
		t.Error(err)
	}
	if n := s.Nodes(); len(n) != 0 {
		t.Errorf("nodes %+v", n)
	}
}

// An Envoy that lacks the bootstrap's protection is pointed out, once.
func TestForeignBootstrap(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, conn := serveXDS(t, xds.Config{Logger: zerolog.New(zerolog.SyncWriter(&log))})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	m := connect(t, conn, "foreign")
	m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
	m.ack(m.receive(resourcev3.ClusterType))
	m.quiet()
	if n := s.Nodes(); len(n) != 1 || n[0].Bootstrap {
		t.Errorf("nodes %+v", n)
	}
	s.Close()
	for len(s.Nodes()) > 0 {
		time.Sleep(time.Millisecond)
	}
	if n := strings.Count(log.String(), "not started with wye's bootstrap"); n != 1 || !strings.Contains(log.String(), `"node":"foreign"`) {
		t.Errorf("log %s", log.String())
	}
}

// A member that comes back with what it has is sent nothing again, and one that
// asks for a type that nobody knows is told that there is nothing.
func TestResumeAndUnknownTypes(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	m := connect(t, conn, "one")
	m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
	r := m.receive(resourcev3.ClusterType)
	m.ack(r)
	has := map[string]string{}
	for _, res := range r.GetResources() {
		has[res.GetName()] = res.GetVersion()
	}
	again := connect(t, conn, "again")
	again.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType, InitialResourceVersions: has})
	if r := again.receive(resourcev3.ClusterType); len(r.GetResources()) != 0 || len(r.GetRemovedResources()) != 0 {
		t.Errorf("sent again: %q", names(r))
	} else {
		again.ack(r)
	}
	if err := done(t, stage(t.Context(), t, s, dnsPolicy(t, "a"))); err != nil {
		t.Error(err)
	}
	const unknown = "type.googleapis.com/wye.nothing.v1.Nothing"
	again.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: unknown})
	if r := again.receive(unknown); len(r.GetResources()) != 0 {
		t.Errorf("got %v", r)
	} else {
		again.nack(r, "what is that?")
	}
	// A refusal of what nobody publishes stops nothing.
	if err := done(t, stage(t.Context(), t, s, dnsPolicy(t, "a"))); err != nil {
		t.Error(err)
	}
	const short = "x"
	again.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: short})
	again.nack(again.receive(short), "no")
	for s.Counters().Nacks < 2 {
		time.Sleep(time.Millisecond)
	}
	for _, n := range s.Nodes() {
		if n.Rejected != nil && n.Rejected.Error() != "envoy again refuses x: no" {
			t.Errorf("rejection %q", n.Rejected)
		}
	}
}

// Over state-of-the-world xDS a refusal must not make the server send the same
// again and again.
func TestStateOfTheWorldRefusal(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{})
	if err := s.Publish(t.Context(), dnsPolicy(t, "a")); err != nil {
		t.Fatal(err)
	}
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(r *discoveryv3.DiscoveryRequest) {
		t.Helper()
		r.Node, r.TypeUrl = &corev3.Node{Id: "old"}, resourcev3.ClusterType
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	send(&discoveryv3.DiscoveryRequest{})
	r, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if r.GetVersionInfo() != s.Published().Version(resourcev3.ClusterType) || len(r.GetResources()) != 4 {
		t.Errorf("version %s with %d resources", r.GetVersionInfo(), len(r.GetResources()))
	}
	send(&discoveryv3.DiscoveryRequest{VersionInfo: r.GetVersionInfo(), ResponseNonce: r.GetNonce()})
	good := r.GetVersionInfo()
	result := stage(t.Context(), t, s, dnsPolicy(t, "b"))
	if r, err = stream.Recv(); err != nil {
		t.Fatal(err)
	}
	send(&discoveryv3.DiscoveryRequest{VersionInfo: good, ResponseNonce: r.GetNonce(), ErrorDetail: &statusv1.Status{Message: "no"}})
	var rejection *xds.Rejection
	if err := done(t, result); !errors.As(err, &rejection) || rejection.Message != "no" {
		t.Errorf("error %v", err)
	}
	if r, err = stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if r.GetVersionInfo() != good {
		t.Errorf("restored %s, want %s", r.GetVersionInfo(), good)
	}
	send(&discoveryv3.DiscoveryRequest{VersionInfo: good, ResponseNonce: r.GetNonce()})
	if diff := cmp.Diff(uint64(1), s.Counters().Nacks); diff != "" {
		t.Error(diff)
	}
}

// Without an Envoy there is nobody to wait for, and a closed server lets go of
// its streams.
func TestPublishAlone(t *testing.T) {
	t.Parallel()
	s, conn := serveXDS(t, xds.Config{})
	if s.Published() != nil {
		t.Error("something is published already")
	}
	for _, model := range []string{"a", "b", "c"} {
		if err := s.Publish(t.Context(), dnsPolicy(t, model)); err != nil {
			t.Fatal(err)
		}
	}
	m := connect(t, conn, "late")
	m.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.ClusterType})
	if got := names(m.receive(resourcev3.ClusterType)); len(got) != 8 {
		t.Errorf("got %q, want those of three policies and the two that all have", got)
	}
	s.Close()
	for len(s.Nodes()) > 0 {
		time.Sleep(time.Millisecond)
	}
}
