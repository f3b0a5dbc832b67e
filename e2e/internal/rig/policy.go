package rig

import (
	_ "embed"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
)

//go:embed policy.yaml.tmpl
var policyText string

var policyTemplate = template.Must(template.New("policy").Parse(policyText))

// Backend is one backend of a Policy.
type Backend struct {
	Name, Model, Address, Zone        string
	SendAs, PathPrefix, CredentialEnv string // optional
	Protocol, APIs                    string // optional; APIs as in YAML
	FirstToken                        string // optional: a duration
	Translate                         bool
}

// Policy is the test policy with what the tests vary. The zero value of every
// field but Backends means the default.
type Policy struct {
	Backends         []Backend
	AutoMode         string   // mode of deployment auto; default balanced
	LargeOutputPrice string   // of model large; default 8
	PerTryTimeout    string   // of deployment any-order; default 2s
	ExtraDeployments []string // names of deployments to add
	Unaccounted      bool     // no usage
}

// YAML renders the policy.
func (p Policy) YAML(t testing.TB) string {
	t.Helper()
	for field, value := range map[*string]string{&p.AutoMode: "balanced", &p.LargeOutputPrice: "8", &p.PerTryTimeout: "2s"} {
		if *field == "" {
			*field = value
		}
	}
	var b strings.Builder
	if err := policyTemplate.Execute(&b, p); err != nil {
		t.Fatalf("render policy: %v", err)
	}
	return b.String()
}

// Replace returns the policy with other backends in the place of those of the
// same names, and with those that it does not have added.
func (p Policy) Replace(backends ...Backend) Policy {
	p.Backends = slices.Clone(p.Backends)
	for _, b := range backends {
		i := slices.IndexFunc(p.Backends, func(old Backend) bool { return old.Name == b.Name })
		if i < 0 {
			p.Backends = append(p.Backends, b)
			continue
		}
		p.Backends[i] = b
	}
	return p
}

// Write renders the policy to a file of its own and returns the path.
func (p Policy) Write(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	WriteFile(t, path, p.YAML(t))
	return path
}

// WriteFile puts text in place of path as careful programs do: beside it, then
// renamed.
func WriteFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
