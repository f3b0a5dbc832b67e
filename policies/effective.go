package policies

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"wye/policies/policyv1"
	"wye/router"
)

// The defaults of a deployment's limits; the schema documents them.
const (
	defaultMaxBodyBytes  = 16 << 20
	defaultTimeout       = 600 * time.Second
	defaultPerTryTimeout = 60 * time.Second
)

// defaultFirstToken is how long a response's first token may take. Reasoning
// models are silent while they think.
const defaultFirstToken = 30 * time.Second

// The bands of a deployment that states none.
const (
	defaultBalancedBand = 0.015
	defaultCostBand     = 0.055
)

// The shares of a budget that states none.
const (
	defaultBalancedFrom = 0.8
	defaultCostFrom     = 0.95
)

// effective returns the checked document with everything spelt out that it
// leaves to the catalog and to defaults, and without what changes no decision.
// It is the content that the hash names and that is compiled.
func (c *checker) effective() *policyv1.Policy {
	e := &policyv1.Policy{
		DefaultDeployment: c.document.GetDefaultDeployment(), Usage: effectiveUsage(c.document.GetUsage()),
	}
	referred := make(map[string]bool)
	for _, b := range c.document.GetBackends() {
		referred[b.GetModel()] = true
		e.Backends = append(e.Backends, effectiveBackend(b))
	}
	for _, d := range c.document.GetDeployments() {
		for _, m := range d.GetSubset() {
			referred[m] = true
		}
		e.Deployments = append(e.Deployments, c.effectiveDeployment(d))
	}
	for _, name := range slices.Sorted(maps.Keys(referred)) {
		e.Catalog = append(e.Catalog, effectiveModel(c.models[name]))
	}
	return e
}

// accounts reports whether a policy with u has its usage accounted for.
func accounts(u *policyv1.Usage) bool { return u != nil && (u.Enabled == nil || u.GetEnabled()) }

// effectiveUsage is nil for a policy without accounting.
func effectiveUsage(u *policyv1.Usage) *policyv1.Usage {
	if !accounts(u) {
		return nil
	}
	return &policyv1.Usage{CallerHeader: u.GetCallerHeader()}
}

func effectiveModel(m *policyv1.Model) *policyv1.Model {
	e := proto.CloneOf(m)
	e.Source = nil
	if e.ServedAs == nil {
		e.ServedAs = new(e.GetName())
	}
	if e.GetPrice().CachedInput == nil {
		e.Price.CachedInput = new(e.GetPrice().GetInput())
	}
	if long := e.GetPrice().GetLongContext(); long != nil {
		if long.Input == nil {
			long.Input = new(e.GetPrice().GetInput())
		}
		if long.Output == nil {
			long.Output = new(e.GetPrice().GetOutput())
		}
	}
	if len(e.GetCapabilities()) == 0 {
		e.Capabilities = []policyv1.Capability{policyv1.Capability_none}
	}
	slices.Sort(e.Capabilities)
	// Present even when empty, so that the document stays complete when it is
	// laid over a catalog again.
	if e.Parameters == nil {
		e.Parameters = &policyv1.Parameters{}
	}
	slices.Sort(e.Parameters.Drop)
	if e.Ability == nil {
		e.Ability = &policyv1.Ability{}
	}
	return e
}

// defaultAPIs are the APIs of a backend that states none.
var defaultAPIs = map[policyv1.Protocol][]policyv1.Api{
	policyv1.Protocol_openai:       {policyv1.Api_chat_completions},
	policyv1.Protocol_anthropic:    {policyv1.Api_messages, policyv1.Api_count_tokens},
	policyv1.Protocol_azure_openai: {policyv1.Api_chat_completions},
	policyv1.Protocol_gemini:       {policyv1.Api_chat_completions},
	policyv1.Protocol_bedrock:      {policyv1.Api_chat_completions},
}

// defaultPrefixes are the path prefixes of backends that state none.
var defaultPrefixes = map[policyv1.Protocol]string{
	policyv1.Protocol_azure_openai: "/openai",
	policyv1.Protocol_gemini:       "/v1beta/openai",
	policyv1.Protocol_bedrock:      "/openai",
}

// defaultHeaders are the headers of credentials that state none, where it is not
// Authorization.
var defaultHeaders = map[policyv1.Protocol]string{
	policyv1.Protocol_anthropic:    "X-Api-Key",
	policyv1.Protocol_azure_openai: "Api-Key",
}

// translates is whether a backend that does not say so serves clients of an API
// that it does not speak.
func translates(b *policyv1.Backend) bool {
	apis := statedAPIs(b)
	return slices.Contains(apis, policyv1.Api_messages) && !slices.Contains(apis, policyv1.Api_chat_completions)
}

// statedAPIs are the APIs that a backend speaks.
func statedAPIs(b *policyv1.Backend) []policyv1.Api {
	if apis := b.GetApis(); len(apis) > 0 {
		return apis
	}
	return defaultAPIs[b.GetProtocol()]
}

func effectiveBackend(b *policyv1.Backend) *policyv1.Backend {
	e := proto.CloneOf(b)
	if e.GetZone() == "" {
		e.Zone = router.ZoneGlobal
	}
	if e.Weight == nil {
		e.Weight = new(uint32(1))
	}
	if e.SendAs == nil {
		e.SendAs = new(e.GetModel())
	}
	if e.GetPathPrefix() == "" {
		e.PathPrefix = defaultPrefixes[e.GetProtocol()]
	}
	if f := e.FirstToken; f != nil && f.Timeout == nil {
		f.Timeout = durationpb.New(defaultFirstToken)
	}
	slices.Sort(e.Apis)
	for _, h := range e.Headers {
		h.Name = strings.ToLower(h.GetName())
	}
	slices.SortStableFunc(e.Headers, func(a, b *policyv1.Header) int { return strings.Compare(a.GetName(), b.GetName()) })
	if e.GetTranslate() == translates(e) {
		e.Translate = nil
	}
	if slices.Equal(e.GetApis(), defaultAPIs[e.GetProtocol()]) {
		e.Apis = nil
	}
	if cred := e.Credential; cred != nil {
		if cred.GetHeader() == "" {
			cred.Header = "Authorization"
			if h := defaultHeaders[e.GetProtocol()]; h != "" {
				cred.Header = h
			}
		}
		cred.Header = textproto.CanonicalMIMEHeaderKey(cred.GetHeader())
		if cred.Prefix == nil {
			cred.Prefix = new("")
			if cred.GetHeader() == "Authorization" {
				cred.Prefix = new("Bearer ")
			}
		}
	}
	return e
}

func (c *checker) effectiveDeployment(d *policyv1.Deployment) *policyv1.Deployment {
	e := proto.CloneOf(d)
	if e.GetMode() == policyv1.Mode_MODE_UNSPECIFIED {
		e.Mode = policyv1.Mode_balanced
	}
	if e.AllowedModes == nil {
		e.AllowedModes = &policyv1.AllowedModes{Modes: []policyv1.Mode{
			policyv1.Mode_quality, policyv1.Mode_balanced, policyv1.Mode_cost,
		}}
	} else if !slices.Contains(e.GetAllowedModes().GetModes(), e.GetMode()) {
		e.AllowedModes.Modes = append(e.AllowedModes.Modes, e.GetMode())
	}
	slices.Sort(e.AllowedModes.Modes)
	slices.Sort(e.Aliases)
	if a := e.AgentTools; a != nil {
		slices.Sort(a.Types)
		slices.Sort(a.Publishers)
		if len(a.GetPublishers()) == 1 && a.GetPublishers()[0] == router.PublisherOpenAI {
			a.Publishers = nil
		}
		if len(a.GetTypes())+len(a.GetPublishers()) == 0 {
			e.AgentTools = nil // as if it were not there
		}
	}
	if e.GetZone() == "" {
		e.Zone = router.ZoneGlobal
	}
	if e.Predictor == nil {
		e.Predictor = new(c.newest)
	}
	e.Limits = c.limits(d)
	e.Bands = &policyv1.Bands{Balanced: new(defaultBalancedBand), Cost: new(defaultCostBand)}
	proto.Merge(e.Bands, c.document.GetDefaults().GetBands())
	proto.Merge(e.Bands, d.GetBands())
	e.Affinity = c.affinity(d)
	if d.GetBudget() != nil {
		e.Budget = effectiveBudget(d.GetBudget())
	}
	return e
}

func effectiveBudget(b *policyv1.Budget) *policyv1.Budget {
	e := &policyv1.Budget{BalancedFrom: new(defaultBalancedFrom), CostFrom: new(defaultCostFrom)}
	proto.Merge(e, b)
	return e
}

// affinity is d's own, else the policy's default, else the program's.
func (c *checker) affinity(d *policyv1.Deployment) *policyv1.Affinity {
	a := &policyv1.Affinity{Strategy: policyv1.Affinity_adaptive, Idle: durationpb.New(router.DefaultIdle)}
	for _, over := range []*policyv1.Affinity{c.document.GetDefaults().GetAffinity(), d.GetAffinity()} {
		if s := over.GetStrategy(); s != policyv1.Affinity_STRATEGY_UNSPECIFIED {
			a.Strategy = s
		}
		if over.GetIdle() != nil {
			a.Idle = proto.CloneOf(over.GetIdle())
		}
	}
	return a
}

// limits are d's own, else the policy's defaults, else the program's.
func (c *checker) limits(d *policyv1.Deployment) *policyv1.Limits {
	l := &policyv1.Limits{
		MaxBodyBytes:  new(uint32(defaultMaxBodyBytes)),
		MaxAttempts:   new(uint32(router.DefaultMaxChain)),
		Timeout:       durationpb.New(defaultTimeout),
		PerTryTimeout: durationpb.New(defaultPerTryTimeout),
	}
	for _, over := range []*policyv1.Limits{c.document.GetDefaults().GetLimits(), d.GetLimits()} {
		// A duration is one figure, not seconds and nanoseconds to be merged.
		if over.GetTimeout() != nil {
			l.Timeout = nil
		}
		if over.GetPerTryTimeout() != nil {
			l.PerTryTimeout = nil
		}
		proto.Merge(l, over)
	}
	if c := l.GetCallers(); c != nil && c.GetUnnamed() == policyv1.CallerLimits_UNNAMED_UNSPECIFIED {
		c.Unnamed = policyv1.CallerLimits_shared
	}
	return l
}
