package router_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/router"
)

// zonesOf is a policy of two zones and what belongs to none.
func zonesOf(t *testing.T) *router.Snapshot {
	t.Helper()
	deployment := func(name, zone string, aliases ...string) router.Deployment {
		return router.Deployment{
			Name: name, Zone: zone, Aliases: aliases, Mode: router.ModeCost, AllowedModes: allModes,
			Subset: []router.ModelIndex{0, 1}, MaxAttempts: 4, Scorer: scores(1, 1),
		}
	}
	s, err := router.NewSnapshot(router.Config{
		Hash:   "p",
		Models: []router.Model{{Name: "a"}, {Name: "b"}},
		Backends: []router.Backend{
			{Name: "a-us", Model: 0, Zone: "us"},
			{Name: "a-eu", Model: 0, Zone: "eu"},
			{Name: "a-any", Model: 0},
			{Name: "b-us", Model: 1, Zone: "us"},
			{Name: "a-eu-2", Model: 0, Zone: "eu"},
		},
		Deployments: []router.Deployment{
			deployment("us-chat", "us"), deployment("auto", "", "model-router"), deployment("eu-chat", "eu", "chat-eu"), deployment("mars", "mars"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// content is what a snapshot has: its names, and for each deployment the
// backends of each subset model.
func content(s *router.Snapshot) map[string][][]string {
	m := map[string][][]string{"": {s.Names()}}
	for i := range s.Deployments {
		d := &s.Deployments[i]
		for j := range d.Subset {
			names := []string{}
			for _, b := range d.Backends(j) {
				names = append(names, s.Backends[b].Name)
			}
			m[d.Name] = append(m[d.Name], names)
		}
	}
	return m
}

func TestInZone(t *testing.T) {
	t.Parallel()
	s := zonesOf(t)
	for _, tt := range []struct {
		zone     string
		backends []string
		want     map[string][][]string
	}{
		{"eu", []string{"a-eu", "a-eu-2"}, map[string][][]string{
			"": {{"auto", "chat-eu", "eu-chat", "model-router"}}, "auto": {{"a-eu", "a-eu-2"}, {}}, "eu-chat": {{"a-eu", "a-eu-2"}, {}},
		}},
		{"us", []string{"a-us", "b-us"}, map[string][][]string{
			"": {{"auto", "model-router", "us-chat"}}, "auto": {{"a-us"}, {"b-us"}}, "us-chat": {{"a-us"}, {"b-us"}},
		}},
		{"mars", nil, map[string][][]string{
			"": {{"auto", "mars", "model-router"}}, "auto": {{}, {}}, "mars": {{}, {}},
		}},
		{"venus", nil, map[string][][]string{"": {{"auto", "model-router"}}, "auto": {{}, {}}}},
	} {
		z := s.InZone(tt.zone)
		if diff := cmp.Diff(tt.want, content(z)); diff != "" {
			t.Errorf("%s: %s", tt.zone, diff)
		}
		var backends []string
		for i := range z.Backends {
			backends = append(backends, z.Backends[i].Name)
			if z.Backends[i].Hash == "" {
				t.Errorf("%s: backend %s has lost its hash", tt.zone, z.Backends[i].Name)
			}
		}
		if diff := cmp.Diff(tt.backends, backends); diff != "" {
			t.Errorf("%s: %s", tt.zone, diff)
		}
		if z.Hash != s.Hash || z.Deployment([]byte("auto")) != &z.Deployments[0] && z.Deployment([]byte("auto")) != &z.Deployments[1] {
			t.Errorf("%s: hash %q, deployment auto is not the part's own", tt.zone, z.Hash)
		}
		// A part has nothing of other zones, whoever asks.
		if z.InZone(tt.zone) != z && tt.zone != "venus" || len(z.InZone("eu").Backends) > 0 && tt.zone != "eu" {
			t.Errorf("%s: its own parts are not within it", tt.zone)
		}
	}
	if s.InZone("") != s || s.InZone(router.ZoneGlobal) != s || !s.Zoned() {
		t.Error("the whole is not the whole")
	}
	if newSnapshot(t, func(c *router.Config) {
		for i := range c.Backends {
			c.Backends[i].Zone = ""
		}
		for i := range c.Deployments {
			c.Deployments[i].Zone = "global"
		}
	}).Zoned() {
		t.Error("a policy without zones is zoned")
	}
}

// What routes in a part of the policy chooses only from it.
func TestRouteInZone(t *testing.T) {
	t.Parallel()
	s := zonesOf(t)
	var d router.Decision
	if err := s.InZone("eu").Route(&router.Request{Deployment: []byte("auto")}, &d); err != nil {
		t.Fatal(err)
	}
	for _, step := range d.Chain {
		if z := d.Snapshot.Backends[step.Backend].Zone; z != "eu" {
			t.Errorf("a step in %s", z)
		}
	}
	if err := s.InZone("eu").Route(&router.Request{Deployment: []byte("us-chat")}, &d); err == nil || err.Kind != router.ErrUnknownDeployment {
		t.Errorf("another zone's deployment: %v", err)
	}
	if err := s.InZone("venus").Route(&router.Request{Deployment: []byte("auto")}, &d); err == nil || err.Kind != router.ErrNoCandidate {
		t.Errorf("no backend in the zone: %v", err)
	}
}

// Names of models go with their deployments, and no message tells of others.
func TestNamesInZone(t *testing.T) {
	t.Parallel()
	deployment := func(name, zone string) router.Deployment {
		return router.Deployment{
			Name: name, Zone: zone, Mode: router.ModeCost, AllowedModes: allModes, NamedModels: true,
			Subset: []router.ModelIndex{0}, MaxAttempts: 1, Scorer: scores(1),
		}
	}
	s, err := router.NewSnapshot(router.Config{
		Models:      []router.Model{{Name: "a"}},
		Backends:    []router.Backend{{Name: "a-us", Zone: "us"}, {Name: "a-eu", Zone: "eu"}},
		Deployments: []router.Deployment{deployment("eu-1", "eu"), deployment("eu-2", "eu"), deployment("us-1", "us")},
		Default:     "",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"eu-1", "eu-1/a", "eu-2", "eu-2/a"}, s.InZone("eu").Names()); diff != "" {
		t.Error(diff)
	}
	var d router.Decision
	for _, tt := range []struct{ zone, model, want string }{
		{"eu", "a", `the model "a" is offered by several deployments; name one of eu-1/a, eu-2/a`},
		{"us", "a", `the model "a" is offered by several deployments; name one of us-1/a`},
		{"mars", "a", `the deployment "a" does not exist`},
		{"eu", "us-1/a", `the deployment "us-1/a" does not exist`},
	} {
		if err := s.InZone(tt.zone).Route(&router.Request{Deployment: []byte(tt.model)}, &d); err == nil || err.Message != tt.want {
			t.Errorf("%s in %s: %v", tt.model, tt.zone, err)
		}
	}
	if err := s.InZone("us").Route(&router.Request{Deployment: []byte("us-1/a")}, &d); err != nil || d.Snapshot.Backends[d.Chain[0].Backend].Name != "a-us" {
		t.Errorf("us-1/a in us: %v", err)
	}
}
