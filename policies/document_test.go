package policies_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"wye/policies"
	"wye/policies/policyv1"
)

const twoZones = `
usage: {}
default_deployment: us-chat
backends:
  - {name: eu-nano, model: gpt-4.1-nano, address: "eu.example:443", zone: eu, tls: {}}
  - {name: us-nano, model: gpt-4.1-nano, address: "us.example:443", zone: us, tls: {}}
  - {name: us-large, model: gpt-4.1, address: "us.example:443", zone: us, tls: {}}
deployments:
  - {name: us-chat, zone: us, subset: [gpt-4.1, gpt-4.1-nano]}
  - {name: anywhere, mode: cost, subset: [gpt-4.1, gpt-4.1-nano]}
  - {name: large, subset: [gpt-4.1]}
`

// A complete document is the same policy when it is checked again, and is not
// changed by that.
func TestFromDocument(t *testing.T) {
	t.Parallel()
	p := parse(t, twoZones)
	sent := p.Document()
	before := proto.CloneOf(sent)
	again, err := policies.FromDocument("sent", sent)
	if err != nil {
		t.Fatal(err)
	}
	if again.Hash() != p.Hash() || policies.DocumentHash(sent) != p.Hash() || !proto.Equal(sent, before) {
		t.Errorf("hash %s, want %s", again.Hash(), p.Hash())
	}
	if _, err := again.Compile(); err != nil {
		t.Error(err)
	}
	a, b := policies.DocumentDigest(sent), policies.DocumentDigest(&policyv1.Policy{})
	if a == b {
		t.Error("two documents have one digest")
	}
	for name, spoil := range map[string]func(*policyv1.Policy){
		"a predictor that there is not": func(d *policyv1.Policy) { d.Deployments[0].Predictor = new("v999") },
		"no deployments":                func(d *policyv1.Policy) { d.Deployments = nil },
		"a model without backends":      func(d *policyv1.Policy) { d.Backends = d.Backends[:2] },
		"a file of the reader's":        func(d *policyv1.Policy) { d.Catalog[0].Ability.CalibrationFile = new("/etc/passwd") },
	} {
		d := proto.CloneOf(sent)
		spoil(d)
		if _, err := policies.FromDocument("sent", d); err == nil || !strings.HasPrefix(err.Error(), "sent:") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestPolicyInZone(t *testing.T) {
	t.Parallel()
	p := parse(t, twoZones)
	for _, zone := range []string{"", "global"} {
		if whole, err := p.InZone(zone); err != nil || whole != p {
			t.Errorf("zone %q: %v, %v", zone, whole, err)
		}
	}
	eu, err := p.InZone("eu")
	if err != nil {
		t.Fatal(err)
	}
	d := eu.Document()
	if len(d.GetBackends()) != 1 || d.GetBackends()[0].GetName() != "eu-nano" || len(d.GetCatalog()) != 1 ||
		len(d.GetDeployments()) != 1 || d.GetDeployments()[0].GetName() != "anywhere" || len(d.GetDeployments()[0].GetSubset()) != 1 ||
		d.GetDefaultDeployment() != "" || d.GetUsage() == nil {
		t.Errorf("the part of eu is %v", d)
	}
	if strings.Contains(d.String(), "us-") || strings.Contains(d.String(), "us.example") {
		t.Errorf("the part of eu names us: %v", d)
	}
	us, err := p.InZone("us")
	if err != nil {
		t.Fatal(err)
	}
	if us.Document().GetDefaultDeployment() != "us-chat" || len(us.Document().GetDeployments()) != 3 || us.Hash() == eu.Hash() {
		t.Errorf("the part of us is %v", us.Document())
	}
	if _, err := p.InZone("mars"); !errors.Is(err, policies.ErrNothingInZone) {
		t.Errorf("error %v", err)
	}
	if snapshot, err := eu.Compile(); err != nil || len(snapshot.Backends) != 1 {
		t.Errorf("snapshot %v, %v", snapshot, err)
	}
}
