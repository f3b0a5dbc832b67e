package control_test

import (
	"context"
	"errors"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"

	"wye/control"
)

// An edit of one deployment among 500 costs what it changes, and a member that
// comes back with what it has is sent nothing.
func TestEditSendsWhatChanged(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{})
	publish(t, s, control.Release{Policy: parse(t, policyText(500, 3))})
	d := connect(t, conn, node("one", ""))
	d.send(&discoveryv3.DeltaDiscoveryRequest{})
	whole := d.receive()
	has := holds{}.take(whole)
	d.ack(whole)
	edited := parse(t, policyText(500, 2))
	publish(t, s, control.Release{Policy: edited})
	change := d.receive()
	if n := len(change.GetResources()); n != 1 || change.GetResources()[0].GetName() != "deployment/d250" || len(change.GetRemovedResources()) != 0 {
		t.Errorf("%d resources, %q removed", n, change.GetRemovedResources())
	}
	if change.GetSystemVersionInfo() != edited.Hash() {
		t.Errorf("version %s, want %s", change.GetSystemVersionInfo(), edited.Hash())
	}
	if one, all := proto.Size(change), proto.Size(whole); one > 400 || one*100 > all {
		t.Errorf("one edit takes %d bytes of %d", one, all)
	}
	d.ack(change)
	eventually(t, "acknowledged", func() bool { return only(t, s).State == control.StateCurrent })
	back := connect(t, conn, node("back", ""))
	back.send(&discoveryv3.DeltaDiscoveryRequest{InitialResourceVersions: has.take(change)})
	r := back.receive()
	if len(r.GetResources())+len(r.GetRemovedResources()) != 0 || r.GetSystemVersionInfo() != edited.Hash() {
		t.Errorf("a member that is up to date is sent %v", r)
	}
	back.ack(r)
	// One that has what there is no longer, and something old, is told.
	has["deployment/d250"], has["deployment/bygone"] = "old", "1"
	late := connect(t, conn, node("late", ""))
	late.send(&discoveryv3.DeltaDiscoveryRequest{InitialResourceVersions: has})
	r = late.receive()
	if len(r.GetResources()) != 1 || len(r.GetRemovedResources()) != 1 || r.GetRemovedResources()[0] != "deployment/bygone" {
		t.Errorf("a member that is behind is sent %v", r)
	}
}

// A refusal is reported at once, the same is not offered again, and what comes
// next starts from what the member has.
func TestRefusal(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{})
	first, second := parse(t, policyText(2, 4)), parse(t, policyText(2, 3))
	publish(t, s, control.Release{Policy: first})
	d := connect(t, conn, node("one", ""))
	d.send(&discoveryv3.DeltaDiscoveryRequest{})
	d.ack(d.receive())
	eventually(t, "acknowledged", func() bool { return only(t, s).State == control.StateCurrent })
	publish(t, s, control.Release{Policy: second})
	d.nack(d.receive(), "no such predictor")
	eventually(t, "refused", func() bool { return only(t, s).State == control.StateRefused })
	m := only(t, s)
	if m.Wanted != second.Hash() || m.Acknowledged != first.Hash() || m.Refused != second.Hash() || m.Reason != "no such predictor" || m.RefusedAt == nil {
		t.Errorf("member %+v", m)
	}
	if c := s.Counters(); c.Nacks != 1 || c.Acks != 1 {
		t.Errorf("counters %+v", c)
	}
	publish(t, s, control.Release{Policy: second}) // the same again
	d.quiet()
	publish(t, s, control.Release{Policy: first}) // taken back: it has that
	eventually(t, "current", func() bool { return only(t, s).State == control.StateCurrent })
	d.quiet()
	third := parse(t, policyText(3, 3))
	publish(t, s, control.Release{Policy: third})
	r := d.receive()
	if has := (holds{}).take(r); len(has) != 3 { // order, d1 with other limits, d2
		t.Errorf("got %v", has)
	}
	d.ack(r)
	if err := s.Await(t.Context()); err != nil {
		t.Error(err)
	}
}

// A member that does not answer holds nobody up, piles nothing up, and is
// offered the newest when it does.
func TestSlowMember(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{})
	publish(t, s, control.Release{Policy: parse(t, policyText(1, 1))})
	slow, quick := connect(t, conn, node("slow", "")), connect(t, conn, node("quick", ""))
	for _, d := range []*delta{slow, quick} {
		d.send(&discoveryv3.DeltaDiscoveryRequest{})
	}
	unanswered := slow.receive()
	quick.ack(quick.receive())
	var last string
	for attempts := 2; attempts <= 8; attempts++ {
		p := parse(t, policyText(1, attempts))
		publish(t, s, control.Release{Policy: p})
		quick.ack(quick.receive())
		last = p.Hash()
	}
	slow.quiet()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v with a member that has not answered", err)
	}
	slow.ack(unanswered)
	r := slow.receive()
	if r.GetSystemVersionInfo() != last || len(r.GetResources()) != 1 {
		t.Errorf("got %d resources of %s, want the newest, %s", len(r.GetResources()), r.GetSystemVersionInfo(), last)
	}
	slow.ack(r)
	slow.quiet()
}

// Members wait for the first policy, and those that left are shown for a while.
func TestComingAndGoing(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{})
	d := connect(t, conn, node("early", ""))
	d.send(&discoveryv3.DeltaDiscoveryRequest{})
	eventually(t, "it is known", func() bool { return len(s.Members()) == 1 })
	d.quiet()
	if m := only(t, s); m.State != control.StateWaiting || m.Wanted != "" {
		t.Errorf("member %+v before there is a policy", m)
	}
	p := parse(t, policyText(1, 1))
	publish(t, s, control.Release{Policy: p})
	d.ack(d.receive())
	eventually(t, "acknowledged", func() bool { return only(t, s).State == control.StateCurrent })
	if err := d.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has gone", func() bool { return only(t, s).State == control.StateGone })
	if m := only(t, s); m.Acknowledged != p.Hash() || m.GoneAt == nil {
		t.Errorf("member %+v", m)
	}
	again := connect(t, conn, node("early", ""))
	again.send(&discoveryv3.DeltaDiscoveryRequest{})
	again.receive()
	eventually(t, "it is back", func() bool { return only(t, s).State == control.StateWaiting })
	s.Close()
	if err := again.end(); err == nil {
		t.Error("the stream ends without a reason")
	}
}

// Of several releases a member gets the first that wants it.
func TestReleases(t *testing.T) {
	t.Parallel()
	s, conn := serve(t, control.ServerConfig{})
	stable, candidate := parse(t, policyText(1, 1)), parse(t, policyText(1, 2))
	wants := func(n control.Node) bool { return n.ID == "canary" }
	publish(t, s, control.Release{Policy: candidate, Wants: wants}, control.Release{Policy: stable})
	for id, want := range map[string]string{"canary": candidate.Hash(), "other": stable.Hash()} {
		d := connect(t, conn, node(id, ""))
		d.send(&discoveryv3.DeltaDiscoveryRequest{})
		r := d.receive()
		if r.GetSystemVersionInfo() != want {
			t.Errorf("%s got %s, want %s", id, r.GetSystemVersionInfo(), want)
		}
		d.ack(r)
	}
	if err := s.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, s, control.Release{Policy: candidate})
	eventually(t, "only the other is behind", func() bool {
		states := map[string]control.State{}
		for _, m := range s.Members() {
			states[m.ID] = m.State
		}
		return states["canary"] == control.StateCurrent && states["other"] == control.StateWaiting
	})
}
