package xds_test

import (
	"strings"
	"testing"

	"wye/envoy"
	"wye/xds"
)

// No request of a golden policy can leave its zone.
func TestProofOfGoldenPolicies(t *testing.T) {
	t.Parallel()
	for name, g := range goldenPolicies() {
		s := snapshot(t, g.config)
		r, err := xds.Build(s, g.options)
		if err != nil {
			t.Fatal(err)
		}
		p, err := xds.Prove(s, r, envoy.Full)
		if err != nil || !p.OK() {
			t.Errorf("%s: %v\n%s", name, err, p)
		}
		if name != "zones" {
			continue
		}
		want := `On an Envoy that has every zone, whatever the ext_proc server says,
  any (zone global) reaches eu: a-eu; us: a-us, b-us
  eu (zone eu) reaches eu: a-eu; refused: us: a-us, b-us
  mars (zone mars) reaches no backend
On an Envoy of zone eu, which has eu: a-eu,
  any (zone global) reaches eu: a-eu
  eu (zone eu) reaches eu: a-eu
On an Envoy of zone mars, which has no backend,
  any (zone global) reaches no backend
  mars (zone mars) reaches no backend
On an Envoy of zone us, which has us: a-us, b-us,
  any (zone global) reaches us: a-us, b-us
`
		if got := p.String(); got != want {
			t.Errorf("the proof reads\n%swant\n%s", got, want)
		}
	}
}

// The resources of one policy prove nothing for another.
func TestProofOfAnotherPolicy(t *testing.T) {
	t.Parallel()
	g := goldenPolicies()["zones"]
	g.config.Hash = "p1"
	s := snapshot(t, g.config)
	other := goldenPolicies()["full"]
	r, err := xds.Build(snapshot(t, other.config), other.options)
	if err != nil {
		t.Fatal(err)
	}
	p, err := xds.Prove(s, r, envoy.Full)
	if err != nil {
		t.Fatal(err)
	}
	if p.Policy != "p1" || p.OK() || !strings.Contains(p.String(), "no backend of the policy") {
		t.Errorf("%s", p)
	}
}
