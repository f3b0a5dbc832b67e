package policies

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"wye/policies/policyv1"
	"wye/predict"
)

// Policy is a checked policy document, complete with everything it leaves to
// the catalog and to defaults. It is immutable and safe for concurrent use.
type Policy struct {
	document   *policyv1.Policy
	hash       string
	warnings   []Fault
	predictors map[string]*predict.Predictor // by version
	newest     string
}

type options struct {
	predictors []*predict.Predictor
	today      time.Time
}

// Option changes how Load, Parse and Default check a policy.
type Option func(*options)

// WithPredictors names the predictors that deployments may pin, the newest
// first: it serves the deployments that pin none. Default: predict.Default.
func WithPredictors(p ...*predict.Predictor) Option {
	return func(o *options) { o.predictors = p }
}

// WithToday sets the day by which models are retired or not. Default: now.
func WithToday(t time.Time) Option {
	return func(o *options) { o.today = t }
}

// Load reads the policy in the file at path. See Parse for its errors.
func Load(path string, opts ...Option) (*Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	defer f.Close()
	// One byte more than is allowed, so that Parse sees that it is too much.
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return Parse(path, data, opts...)
}

//go:embed default.yaml
var defaultPolicy []byte

// DefaultName is what the faults of the embedded default policy give as file.
const DefaultName = "default policy"

// Default returns the policy that is built into the program.
func Default(opts ...Option) (*Policy, error) {
	return Parse(DefaultName, defaultPolicy, opts...)
}

// DefaultYAML returns the text of the embedded default policy.
func DefaultYAML() []byte { return slices.Clone(defaultPolicy) }

// Parse checks the policy in data, YAML or JSON; file is its name in messages.
// When the document is at fault, the error is a *Report of every fault found,
// warnings included. A policy that has only warnings is returned with them.
func Parse(file string, data []byte, opts ...Option) (*Policy, error) {
	o, err := resolveOptions(opts)
	if err != nil {
		return nil, err
	}
	var report Report
	document := &policyv1.Policy{}
	outline := parse(file, data, document, &report)
	if outline == nil {
		report.sort()
		return nil, &report
	}
	return o.check(outline, document)
}

// Hash names the policy's content in 12 hex digits. Documents that mean the
// same have the same hash, whatever their comments, their key order and the
// defaults they spell out.
func (p *Policy) Hash() string { return p.hash }

// Warnings returns what the operator should look at, sorted by position.
func (p *Policy) Warnings() []Fault { return slices.Clone(p.warnings) }

// Document returns a copy of the complete policy: the models that are referred
// to with all that is known of them, and every default spelt out. Read again,
// it is the same policy.
func (p *Policy) Document() *policyv1.Policy { return proto.CloneOf(p.document) }

// Credential is where the key of some backends comes from.
type Credential struct {
	Env      string   // environment variable, or
	File     string   // file
	Backends []string // the backends that use it, in the policy's order
}

// Credentials lists every key that the policy refers to, in the order of their
// first use. Whether the keys exist depends on where Wye runs, so it is no
// fault of a policy if they do not.
func (p *Policy) Credentials() []Credential {
	var all []Credential
	add := func(c Credential, backend string) {
		i := slices.IndexFunc(all, func(o Credential) bool { return o.Env == c.Env && o.File == c.File })
		if i < 0 {
			i = len(all)
			all = append(all, c)
		}
		if !slices.Contains(all[i].Backends, backend) {
			all[i].Backends = append(all[i].Backends, backend)
		}
	}
	for _, b := range p.document.GetBackends() {
		if b.GetCredential() != nil {
			add(Credential{Env: b.GetCredential().GetEnv(), File: b.GetCredential().GetFile()}, b.GetName())
		}
		for _, h := range b.GetHeaders() {
			if h.GetValue() == "" {
				add(Credential{Env: h.GetEnv(), File: h.GetFile()}, b.GetName())
			}
		}
	}
	return all
}
