package policies

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"wye/policies/policyv1"
	"wye/predict"
	"wye/router"
)

// ErrNothingInZone is returned by Policy.InZone where no deployment of the policy
// has a backend in the zone.
var ErrNothingInZone = errors.New("no deployment of the policy has a backend in the zone")

// FromDocument checks a policy that came as a message, such as one that
// Policy.Document returned; name stands for the file in its faults, all of which
// are at 1:1. A document must be complete: it cannot refer to a calibration file,
// which would be one of whoever reads it. The errors are those of Parse.
func FromDocument(name string, document *policyv1.Policy, opts ...Option) (*Policy, error) {
	for _, m := range document.GetCatalog() {
		if m.GetAbility().GetCalibrationFile() != "" {
			return nil, fmt.Errorf("%s: model %q: a calibration_file cannot be sent, its content can", name, m.GetName())
		}
	}
	o, err := resolveOptions(opts)
	if err != nil {
		return nil, err
	}
	outline := &outline{
		file: name, report: &Report{},
		places: map[string]position{"": {1, 1}}, paths: map[position]string{},
	}
	return o.check(outline, proto.CloneOf(document)) // the checks write into it
}

// resolveOptions fills in what opts leave open.
func resolveOptions(opts []Option) (*options, error) {
	o := options{today: time.Now()}
	for _, opt := range opts {
		opt(&o)
	}
	if len(o.predictors) == 0 {
		p, err := predict.Default()
		if err != nil {
			return nil, fmt.Errorf("load the embedded predictor: %w", err)
		}
		o.predictors = []*predict.Predictor{p}
	}
	return &o, nil
}

// check is the second half of Parse: from a document and its outline.
func (o *options) check(outline *outline, document *policyv1.Policy) (*Policy, error) {
	embedded, err := embeddedCatalog()
	if err != nil {
		return nil, err
	}
	if err := outline.validate(document); err != nil {
		return nil, fmt.Errorf("check policy %s: %w", outline.file, err)
	}
	report := outline.report
	check := newChecker(outline, document, embedded, o)
	check.run()
	report.sort()
	if report.Failed() {
		return nil, report
	}
	effective := check.effective()
	return &Policy{
		document:   effective,
		hash:       contentHash(effective),
		warnings:   report.Faults,
		predictors: check.predictors,
		newest:     check.newest,
	}, nil
}

// DocumentHash names what a complete document says, as Policy.Hash does; it
// does not check it.
func DocumentHash(document *policyv1.Policy) string { return contentHash(document) }

// DocumentDigest is the digest of which DocumentHash shows a part.
func DocumentDigest(document *policyv1.Policy) [sha256.Size]byte {
	h := sha256.New()
	encode(h, document.ProtoReflect())
	return [sha256.Size]byte(h.Sum(nil))
}

// InZone returns the part of the policy that may be used in a data zone, as a
// policy of its own: the zone's backends and models, the zone's deployments, and
// of those that any zone may serve what these backends can do. Nothing in it
// names anything else. The zone "global" or none is the whole policy. The error
// is ErrNothingInZone if nothing is left.
func (p *Policy) InZone(zone string) (*Policy, error) {
	if zone == "" || zone == router.ZoneGlobal {
		return p, nil
	}
	part := &policyv1.Policy{}
	served := make(map[string]bool)
	for _, b := range p.document.GetBackends() {
		if b.GetZone() == zone {
			part.Backends = append(part.Backends, b)
			served[b.GetModel()] = true
		}
	}
	for _, d := range p.document.GetDeployments() {
		if d.GetZone() != router.ZoneGlobal && d.GetZone() != zone {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(d.GetSubset()), func(m string) bool { return !served[m] })
		if len(left) == 0 {
			continue
		}
		d = proto.CloneOf(d)
		d.Subset = left
		part.Deployments = append(part.Deployments, d)
	}
	if len(part.GetDeployments()) == 0 {
		return nil, fmt.Errorf("%w %q", ErrNothingInZone, zone)
	}
	for _, m := range p.document.GetCatalog() {
		if served[m.GetName()] {
			part.Catalog = append(part.Catalog, m)
		}
	}
	rest := proto.CloneOf(p.document)
	rest.Backends, rest.Deployments, rest.Catalog = nil, nil, nil
	if !slices.ContainsFunc(part.GetDeployments(), func(d *policyv1.Deployment) bool { return d.GetName() == rest.GetDefaultDeployment() }) {
		rest.DefaultDeployment = ""
	}
	proto.Merge(part, rest)
	predictors := []*predict.Predictor{p.predictors[p.newest]}
	for version, other := range p.predictors {
		if version != p.newest {
			predictors = append(predictors, other)
		}
	}
	return FromDocument("the part of zone "+zone, part, WithPredictors(predictors...))
}
