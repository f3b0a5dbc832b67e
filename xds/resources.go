package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
)

const secretType = resourcev3.SecretType

// Types lists the type URLs of the resources that Build makes, in the order in
// which additions are published: nothing refers to what is not there yet.
var Types = []string{
	secretType, resourcev3.ClusterType, resourcev3.EndpointType, resourcev3.ListenerType, resourcev3.RouteType,
}

// Resources is a set of Envoy resources by type URL and name. It is immutable
// once built.
type Resources struct {
	// Warnings say what an operator should look at although the resources can
	// be published, such as a credential that could not be read.
	Warnings []string
	// Grace is how long after their retirement a request that was decided
	// under them may still begin an attempt, with a margin; zero where Build
	// did not make them.
	Grace time.Duration

	byType map[string]map[string]resource
	parts  *views // what Envoys of a zone are sent
}

// resource is one message with the hash of its content.
type resource struct {
	message types.Resource
	version string
}

// validator is a message with generated validation rules.
type validator interface {
	proto.Message
	ValidateAll() error
}

func newResources() *Resources {
	r := &Resources{byType: make(map[string]map[string]resource)}
	for _, t := range Types {
		r.byType[t] = make(map[string]resource)
	}
	return r
}

// add validates m and adds it under the name by which Envoy asks for it.
func (r *Resources) add(name string, m validator) error {
	if err := validate(m); err != nil {
		return fmt.Errorf("resource %s: %w", name, err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("resource %s: %w", name, err)
	}
	typeURL := resourcev3.APITypePrefix + string(m.ProtoReflect().Descriptor().FullName())
	if _, dup := r.byType[typeURL][name]; dup {
		return fmt.Errorf("resource %s: there are two of that name", name)
	}
	r.byType[typeURL][name] = resource{message: m, version: contentVersion(b)}
	return nil
}

// validate applies the generated rules to m and to every message that is packed
// into it, which the rules themselves do not look into.
func validate(m validator) error {
	errs := []error{m.ValidateAll()}
	err := protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		at := p.Index(-1)
		if at.Step.Kind() != protopath.AnyExpandStep {
			return nil
		}
		if inner, ok := at.Value.Message().Interface().(validator); ok {
			errs = append(errs, inner.ValidateAll())
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// Names returns the names of the resources of a type, sorted.
func (r *Resources) Names(typeURL string) []string {
	return slices.Sorted(maps.Keys(r.byType[typeURL]))
}

// Resource returns a resource, nil when there is none. The caller must not
// change it.
func (r *Resources) Resource(typeURL, name string) proto.Message {
	if m := r.byType[typeURL][name].message; m != nil {
		return m
	}
	return nil
}

// Version is a hash of all resources of a type.
func (r *Resources) Version(typeURL string) string { return hashVersions(r.versions(typeURL)) }

// versions returns the version of every resource of a type by name.
func (r *Resources) versions(typeURL string) map[string]string {
	v := make(map[string]string, len(r.byType[typeURL]))
	for name, res := range r.byType[typeURL] {
		v[name] = res.version
	}
	return v
}

// sameVersions reports whether byName are the versions of all resources of a
// type.
func (r *Resources) sameVersions(typeURL string, byName map[string]string) bool {
	return len(r.byType[typeURL]) == len(byName) && r.contains(typeURL, byName)
}

// contains reports whether every version in byName is that of a resource.
func (r *Resources) contains(typeURL string, byName map[string]string) bool {
	for name, v := range byName {
		if res, ok := r.byType[typeURL][name]; !ok || res.version != v {
			return false
		}
	}
	return true
}

// contentVersion is the version of a resource, from its deterministic encoding.
// It is what go-control-plane puts on the wire for delta xDS, whatever versions
// its cache is given.
func contentVersion(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// hashVersions condenses the versions of all resources of a type into one.
func hashVersions(byName map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		fmt.Fprintf(h, "%q %s\n", name, byName[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// sharing is r with the messages of o where they are the same, so that policies
// that follow each other, of which several are kept, do not have them twice.
func (r *Resources) sharing(o *Resources) *Resources {
	c := &Resources{Warnings: r.Warnings, Grace: r.Grace, parts: r.parts, byType: make(map[string]map[string]resource, len(r.byType))}
	for t, resources := range r.byType {
		c.byType[t] = make(map[string]resource, len(resources))
		for name, res := range resources {
			had, ok := o.byType[t][name]
			switch routes, isRoutes := res.message.(*routev3.RouteConfiguration); {
			case ok && had.version == res.version:
				res = had
			case ok && isRoutes:
				res.message = sharingRoutes(routes, had.message.(*routev3.RouteConfiguration))
			}
			c.byType[t][name] = res
		}
	}
	return c
}

// Equal reports whether r and o have the same resources.
func (r *Resources) Equal(o *Resources) bool {
	return !slices.ContainsFunc(Types, func(t string) bool { return !r.sameVersions(t, o.versions(t)) })
}

// with returns a copy of r in which the given types are those of o.
func (r *Resources) with(o *Resources, typeURLs ...string) *Resources {
	c := &Resources{Warnings: r.Warnings, Grace: r.Grace, byType: maps.Clone(r.byType)}
	for _, t := range typeURLs {
		c.byType[t] = o.byType[t]
	}
	return c.partsBy(func(v view) (*Resources, error) {
		own, err := r.of(v)
		if err != nil {
			return nil, err
		}
		other, err := o.of(v)
		if err != nil {
			return nil, err
		}
		return own.with(other, typeURLs...), nil
	})
}
