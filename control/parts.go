package control

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"wye/policies"
	"wye/policies/policyv1"
)

// TypeURL is the type of the resources that a policy travels as. Each is a
// wye.policy.v1.Policy with one part of the policy in it: one deployment, one
// backend, one model, the order of them all as names alone, or the rest.
const TypeURL = "type.googleapis.com/wye.policy.v1.Policy"

// Names of resources; a deployment, backend or model has its own name behind its
// prefix.
const (
	nameHead         = "head"
	nameOrder        = "order"
	prefixModel      = "model/"
	prefixBackend    = "backend/"
	prefixDeployment = "deployment/"
)

// Set is one policy, or a zone's part of one, ready to be sent. It is immutable.
// An empty Set is that of a zone for which the policy has nothing.
type Set struct {
	// Hash is the policy's; empty for an empty set.
	Hash     string
	document *policyv1.Policy
	parts    map[string]*discoveryv3.Resource
	names    []string // sorted
}

// Document returns what the set says, nil for an empty one. It must not be
// changed.
func (s *Set) Document() *policyv1.Policy { return s.document }

// NewSet cuts a complete document, such as policies.Policy.Document returns, into
// parts. A part's version names its content, so that equal policies have equal
// sets whoever makes them.
func NewSet(document *policyv1.Policy) (*Set, error) {
	s := &Set{document: document, Hash: policies.DocumentHash(document), parts: make(map[string]*discoveryv3.Resource)}
	head := &policyv1.Policy{}
	proto.Merge(head, withoutLists(document))
	order := &policyv1.Policy{}
	all := map[string]*policyv1.Policy{nameHead: head, nameOrder: order}
	for _, m := range document.GetCatalog() {
		order.Catalog = append(order.Catalog, &policyv1.Model{Name: m.GetName()})
		all[prefixModel+m.GetName()] = &policyv1.Policy{Catalog: []*policyv1.Model{m}}
	}
	for _, b := range document.GetBackends() {
		order.Backends = append(order.Backends, &policyv1.Backend{Name: b.GetName()})
		all[prefixBackend+b.GetName()] = &policyv1.Policy{Backends: []*policyv1.Backend{b}}
	}
	for _, d := range document.GetDeployments() {
		order.Deployments = append(order.Deployments, &policyv1.Deployment{Name: d.GetName()})
		all[prefixDeployment+d.GetName()] = &policyv1.Policy{Deployments: []*policyv1.Deployment{d}}
	}
	for name, part := range all {
		value, err := proto.MarshalOptions{Deterministic: true}.Marshal(part)
		if err != nil {
			return nil, fmt.Errorf("marshal %s: %w", name, err)
		}
		s.parts[name] = &discoveryv3.Resource{
			Name: name, Version: versionOf(value), Resource: &anypb.Any{TypeUrl: TypeURL, Value: value},
		}
	}
	s.names = sortedKeys(s.parts)
	return s, nil
}

// withoutLists is a shallow copy of a document without its three lists.
func withoutLists(document *policyv1.Policy) *policyv1.Policy {
	rest := &policyv1.Policy{}
	document.ProtoReflect().Range(copyExcept(rest, "catalog", "backends", "deployments"))
	return rest
}

// versionBytes of a part's digest are its version: parts of one name that differ
// must never share it.
const versionBytes = 12

func versionOf(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:versionBytes])
}

// errIncomplete is a set of parts that is no policy.
var errIncomplete = errors.New("the parts are not one policy")

// join puts parts together again, by name, and checks that they are those of the
// policy with the hash: neither one too few nor one of another version.
func join(parts map[string][]byte, hash string) (*policyv1.Policy, error) {
	order, err := partOf(parts, nameOrder)
	if err != nil {
		return nil, err
	}
	document, err := partOf(parts, nameHead)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(parts))
	for _, m := range order.GetCatalog() {
		names = append(names, prefixModel+m.GetName())
	}
	for _, b := range order.GetBackends() {
		names = append(names, prefixBackend+b.GetName())
	}
	for _, d := range order.GetDeployments() {
		names = append(names, prefixDeployment+d.GetName())
	}
	if len(names)+2 != len(parts) {
		return nil, fmt.Errorf("%w: there are %d and should be %d", errIncomplete, len(parts), len(names)+2)
	}
	for _, name := range names {
		part, err := partOf(parts, name)
		if err != nil {
			return nil, err
		}
		proto.Merge(document, part)
	}
	if got := policies.DocumentHash(document); got != hash {
		return nil, fmt.Errorf("%w: they make %s, not %s", errIncomplete, got, hash)
	}
	return document, nil
}

// partOf reads one part. What its name promises is not looked at: the hash of
// the whole settles it.
func partOf(parts map[string][]byte, name string) (*policyv1.Policy, error) {
	value, ok := parts[name]
	if !ok {
		return nil, fmt.Errorf("%w: %q is missing", errIncomplete, shorten(name))
	}
	part := &policyv1.Policy{}
	if err := proto.Unmarshal(value, part); err != nil {
		return nil, fmt.Errorf("read %q: %w", shorten(name), err)
	}
	return part, nil
}

// shorten bounds what somebody else wrote before it is repeated.
func shorten(s string) string {
	const most = 500
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
