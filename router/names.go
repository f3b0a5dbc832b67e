package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// NameAuto is what clients put into model that leave the deployment to the
// policy, where it has a default one.
const NameAuto = "auto"

// target is what a client's model field means.
type target struct {
	deployment *Deployment // nil: one of several
	// only is the model that was named; empty for the name of a deployment.
	only Members
	// names are the unambiguous names of a model that several deployments offer.
	names []string
}

// name fills s.byName: with the deployments and their aliases, with NameAuto, and
// with the models that clients may name. It returns every name that would mean
// two things.
func (s *Snapshot) name(byDefault string) (errs []error) {
	claim := func(name string, t target) {
		if other, taken := s.byName[name]; taken {
			errs = append(errs, fmt.Errorf("name %q is taken by deployment %q", name, other.deployment.Name))
			return
		}
		s.byName[name] = t
	}
	for i := range s.Deployments {
		d := &s.Deployments[i]
		for _, name := range append([]string{d.Name}, d.Aliases...) {
			claim(name, target{deployment: d})
		}
	}
	standard := s.Deployment([]byte(byDefault))
	if byDefault != "" && standard == nil {
		errs = append(errs, fmt.Errorf("there is no default deployment %q", byDefault))
	}
	if standard != nil && s.Deployment([]byte(NameAuto)) != standard {
		claim(NameAuto, target{deployment: standard})
	}
	offers := make(map[string][]target) // by model
	for i := range s.Deployments {
		d := &s.Deployments[i]
		for j, index := range d.Subset {
			if !d.NamedModels || int(index) >= len(s.Models) {
				continue
			}
			model := s.Models[index].Name
			t := target{deployment: d, only: Members(0).With(j)}
			claim(QualifiedName(d.Name, model), t)
			offers[model] = append(offers[model], t)
		}
	}
	for _, model := range slices.Sorted(maps.Keys(offers)) {
		all := offers[model]
		i := slices.IndexFunc(all, func(t target) bool { return t.deployment == standard })
		switch {
		case i >= 0:
			claim(model, all[i])
		case len(all) == 1:
			claim(model, all[0])
		default:
			several := target{}
			for _, t := range all {
				several.names = append(several.names, QualifiedName(t.deployment.Name, model))
			}
			claim(model, several)
		}
	}
	return errs
}

// QualifiedName is the name of a model that one deployment offers.
func QualifiedName(deployment, model string) string { return deployment + "/" + model }

// Deployment looks a deployment up by name or alias, or by a model that it lets
// clients name; nil when there is none, or more than one.
func (s *Snapshot) Deployment(name []byte) *Deployment { return s.byName[string(name)].deployment }

// unknown is the error about a model field that means no deployment.
func (t *target) unknown(name []byte) *Error {
	if len(t.names) > 0 {
		return errorf(ErrUnknownDeployment, "the model %q is offered by several deployments; name one of %s",
			clip(name, 128), strings.Join(t.names, ", "))
	}
	return errorf(ErrUnknownDeployment, "the deployment %q does not exist", clip(name, 128))
}

// Names returns everything that clients may put into model, sorted: deployment
// names and aliases, NameAuto where there is a default deployment, and models that
// may be named.
func (s *Snapshot) Names() []string {
	names := make([]string, 0, len(s.byName))
	for n, t := range s.byName {
		if t.deployment != nil {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}
