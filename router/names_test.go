package router_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/router"
)

// named is newSnapshot with a default deployment, which clients call auto, and
// models that clients may name: of deployment eu, and of others to be added.
func named(t *testing.T, standard string, more ...router.Deployment) *router.Snapshot {
	t.Helper()
	return newSnapshot(t, func(c *router.Config) {
		c.Default = standard
		for i := range c.Deployments {
			c.Deployments[i].NamedModels = c.Deployments[i].Name == "eu"
			if c.Deployments[i].Name == "auto" {
				c.Deployments[i].Name = "main"
			}
		}
		c.Deployments = append(c.Deployments, more...)
	})
}

func other(scorer router.Scorer) router.Deployment {
	return router.Deployment{
		Name: "other", Mode: router.ModeQuality, AllowedModes: allModes, Subset: []router.ModelIndex{1, 0}, MaxAttempts: 2,
		Scorer: scorer, NamedModels: true,
	}
}

// What clients put into model means one deployment, and of it all or one model.
func TestNamedModels(t *testing.T) {
	t.Parallel()
	scorer := scores(0.5, 0.6, 0.7)
	for _, tt := range []struct {
		name, standard, model string
		more                  []router.Deployment
		deployment, chain     string // empty: refused
		message               string
	}{
		{"auto without a default", "", "auto", nil, "", "", `"auto" does not exist`},
		{"auto", "main", "auto", nil, "main", "medium large small", ""},
		{"auto by an alias", "model-router", "auto", nil, "main", "medium large small", ""},
		{"a model by its full name", "", "eu/small", nil, "eu", "small", ""},
		{"a model by its name", "", "small", nil, "eu", "small", ""},
		{"a model beyond the zone", "", "eu/large", nil, "eu", "", "no backend in the zone"},
		{"a deployment that lets nobody", "", "main/small", nil, "", "", `"main/small" does not exist`},
		{"several", "", "small", []router.Deployment{other(scorer)}, "", "", "several deployments; name one of eu/small, other/small"},
		{"several, in full", "", "other/small", []router.Deployment{other(scorer)}, "other", "small", ""},
		{"several, one the default", "other", "small", []router.Deployment{other(scorer)}, "other", "small", ""},
		{"several, none the default", "main", "small", []router.Deployment{other(scorer)}, "", "", "several deployments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := named(t, tt.standard, tt.more...)
			var d router.Decision
			err := s.Route(&router.Request{Deployment: []byte(tt.model), PromptTokens: 10, PromptTokensMax: 10}, &d)
			if tt.message != "" {
				if err == nil || !strings.Contains(err.Message, tt.message) {
					t.Fatalf("error %v, want %q", err, tt.message)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var chain []string
			for _, step := range d.Chain {
				if name := s.Models[step.Model].Name; len(chain) == 0 || chain[len(chain)-1] != name {
					chain = append(chain, name)
				}
			}
			if got := strings.Join(chain, " "); d.Deployment.Name != tt.deployment || got != tt.chain {
				t.Errorf("deployment %s, chain %q", d.Deployment.Name, got)
			}
		})
	}
}

// A named model passes every filter that a routed one passes.
func TestNamedModelsAreFiltered(t *testing.T) {
	t.Parallel()
	s := named(t, "", other(scores(0.5, 0.6, 0.7)))
	for _, tt := range []struct {
		name string
		req  router.Request
		want string
	}{
		{"capability", router.Request{Needs: router.CapVision}, "medium: lacks a capability (vision)"},
		{"output", router.Request{OutputCap: 16_001}, "medium: output cap above"},
		{"context", router.Request{PromptTokens: 200_000, PromptTokensMax: 200_000}, "takes 100000 prompt tokens"},
		{"the request's own restriction", router.Request{Only: router.Members(0).With(1)}, "medium: not among the models that the request allows"},
		{"mode", router.Request{Mode: router.ModeCost}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.req.Deployment = []byte("other/medium")
			var d router.Decision
			err := s.Route(&tt.req, &d)
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Message, tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNamesListed(t *testing.T) {
	t.Parallel()
	got := named(t, "main", other(scores(1, 1, 1))).Names()
	want := []string{"auto", "eu", "eu/large", "eu/medium", "eu/small", "large", "main", "model-router", "other", "other/medium", "other/small"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
