package policies

import (
	"fmt"
	"maps"
	"slices"

	"wye/policies/policyv1"
	"wye/predict"
	"wye/router"
)

type compileOptions struct {
	address func(backend string) (addr string, plaintext bool)
}

// CompileOption changes what Compile makes of a policy.
type CompileOption func(*compileOptions)

// WithBackendAddress sends every backend, by name, to another address, such as
// a fake provider on the loopback interface. For plaintext the backend's TLS,
// proxy, credential and secret headers are dropped, so that no key leaves the process. An empty
// address keeps the policy's. The policy's hash stays what it is.
func WithBackendAddress(address func(backend string) (addr string, plaintext bool)) CompileOption {
	return func(o *compileOptions) { o.address = address }
}

// Compile makes the snapshot that serves the policy. An error means that the
// checks let something pass that the router refuses.
func (p *Policy) Compile(opts ...CompileOption) (*router.Snapshot, error) {
	var o compileOptions
	for _, opt := range opts {
		opt(&o)
	}
	config := router.Config{
		Hash: p.hash, Default: p.document.GetDefaultDeployment(), Usage: compileUsage(p.document.GetUsage()),
	}
	index := make(map[string]router.ModelIndex)
	for i, m := range p.document.GetCatalog() {
		index[m.GetName()] = router.ModelIndex(i)
		config.Models = append(config.Models, compileModel(m))
	}
	for _, b := range p.document.GetBackends() {
		backend := compileBackend(b, index[b.GetModel()])
		if o.address != nil {
			redirect(&backend, o.address)
		}
		config.Backends = append(config.Backends, backend)
	}
	scorers := newScorerFactory(p.document.GetCatalog(), config.Models)
	for _, d := range p.document.GetDeployments() {
		deployment := compileDeployment(d, index)
		deployment.Scorer, deployment.Single = scorers.scorer(
			p.predictors[d.GetPredictor()], deployment.Subset, deployment.Bands, inZone(&deployment, config.Backends))
		config.Deployments = append(config.Deployments, deployment)
	}
	for i, m := range p.document.GetCatalog() {
		_, config.Models[i].Prior = resolve(p.newestPredictor(), m)
	}
	snapshot, err := router.NewSnapshot(config)
	if err != nil {
		return nil, fmt.Errorf("compile policy %s: %w", p.hash, err)
	}
	return snapshot, nil
}

func compileUsage(u *policyv1.Usage) router.Usage {
	return router.Usage{Off: !accounts(u), CallerHeader: u.GetCallerHeader()}
}

// inZone reports of a model whether a backend may serve it for d.
func inZone(d *router.Deployment, backends []router.Backend) func(router.ModelIndex) bool {
	return func(m router.ModelIndex) bool {
		return slices.ContainsFunc(backends, func(b router.Backend) bool {
			return b.Model == m && router.ZoneAllows(d.Zone, b.Zone)
		})
	}
}

func compileModel(m *policyv1.Model) router.Model {
	out := router.Model{
		Name:          m.GetName(),
		ServedAs:      m.GetServedAs(),
		Publisher:     m.GetPublisher(),
		ContextWindow: int(m.GetContextWindow()),
		MaxInput:      int(m.GetMaxInputTokens()),
		MaxOutput:     int(m.GetMaxOutputTokens()),
		Price: router.Price{
			Input:       m.GetPrice().GetInput(),
			CachedInput: m.GetPrice().GetCachedInput(),
			Output:      m.GetPrice().GetOutput(),
		},
		Parameters: router.Parameters{
			Drop:           m.GetParameters().GetDrop(),
			MaxTokensField: m.GetParameters().GetMaxTokensField(),
		},
	}
	efforts := m.GetParameters().GetReasoningEffort()
	for _, from := range slices.Sorted(maps.Keys(efforts)) {
		out.Parameters.ReasoningEffort = append(out.Parameters.ReasoningEffort, [2]string{from, efforts[from]})
	}
	if long := m.GetPrice().GetLongContext(); long != nil {
		out.Price.LongContextTokens = int(long.GetAboveTokens())
		out.Price.LongContextInput = long.GetInput()
		out.Price.LongContextOutput = long.GetOutput()
	}
	for _, c := range m.GetCapabilities() {
		// The schema's names are the router's; "none" is no capability there.
		if capability, ok := router.ParseCapability(c.String()); ok {
			out.Capabilities |= capability
		}
	}
	return out
}

func compileBackend(b *policyv1.Backend, model router.ModelIndex) router.Backend {
	out := router.Backend{
		Name:       b.GetName(),
		Model:      model,
		SendAs:     b.GetSendAs(),
		Address:    b.GetAddress(),
		Protocol:   compileProtocol(b.GetProtocol()),
		Zone:       b.GetZone(),
		Weight:     b.GetWeight(),
		PathPrefix: b.GetPathPrefix(),
		FirstToken: b.GetFirstToken().GetTimeout().AsDuration(),
	}
	apis := b.GetApis()
	if b.GetProtocol() == policyv1.Protocol_anthropic {
		apis = statedAPIs(b)
	}
	if out.Translate = translates(b); b.Translate != nil {
		out.Translate = b.GetTranslate()
	}
	out.Effort = b.GetEffort()
	for _, effort := range slices.Sorted(maps.Keys(b.GetThinking())) {
		out.Thinking = append(out.Thinking, router.Thinking{Effort: effort, Tokens: int(b.GetThinking()[effort])})
	}
	for _, a := range apis {
		// The schema's names are the router's.
		api, ok := router.ParseAPI(a.String())
		if !ok {
			panic(fmt.Sprintf("API %v passed the schema's rules", a))
		}
		out.APIs = out.APIs.With(api)
	}
	if t := b.GetTls(); t != nil {
		out.TLS = &router.TLS{ServerName: t.GetServerName(), CAFile: t.GetCaFile()}
	}
	if c := b.GetCredential(); c != nil {
		out.Credential = &router.Credential{Env: c.GetEnv(), File: c.GetFile(), Header: c.GetHeader(), Prefix: c.GetPrefix()}
	}
	for _, h := range b.GetHeaders() {
		out.Headers = append(out.Headers, router.Header{Name: h.GetName(), Value: h.GetValue(), Env: h.GetEnv(), File: h.GetFile()})
	}
	out.Proxy = b.GetProxy()
	return out
}

func compileProtocol(p policyv1.Protocol) router.Protocol {
	switch p {
	case policyv1.Protocol_openai:
		return router.ProtocolOpenAI
	case policyv1.Protocol_anthropic:
		return router.ProtocolAnthropic
	case policyv1.Protocol_azure_openai:
		return router.ProtocolAzureOpenAI
	case policyv1.Protocol_gemini:
		return router.ProtocolGemini
	case policyv1.Protocol_bedrock:
		return router.ProtocolBedrock
	}
	panic(fmt.Sprintf("protocol %v passed the schema's rules", p))
}

// redirect applies WithBackendAddress to b.
func redirect(b *router.Backend, address func(string) (string, bool)) {
	addr, plaintext := address(b.Name)
	if addr == "" {
		return
	}
	b.Address = addr
	if plaintext {
		b.TLS, b.Credential, b.Proxy = nil, nil, ""
		b.Headers = slices.DeleteFunc(b.Headers, func(h router.Header) bool { return h.Secret() })
	}
}

func compileDeployment(d *policyv1.Deployment, index map[string]router.ModelIndex) router.Deployment {
	out := router.Deployment{
		Name:        d.GetName(),
		Aliases:     d.GetAliases(),
		Mode:        compileMode(d.GetMode()),
		Zone:        d.GetZone(),
		NamedModels: d.GetNamedModels(),
		Bands:       router.Bands{Balanced: d.GetBands().GetBalanced(), Cost: d.GetBands().GetCost()},
		MaxCost:     d.GetLimits().GetMaxCostUsd(),
		PerMinute: router.PerMinute{
			Requests: int(d.GetLimits().GetRequestsPerMinute()), Tokens: int(d.GetLimits().GetTokensPerMinute()),
		},
		Callers:       compileCallers(d.GetLimits().GetCallers()),
		MaxAttempts:   int(d.GetLimits().GetMaxAttempts()),
		MaxBodyBytes:  int(d.GetLimits().GetMaxBodyBytes()),
		Timeout:       d.GetLimits().GetTimeout().AsDuration(),
		PerTryTimeout: d.GetLimits().GetPerTryTimeout().AsDuration(),
		Affinity: router.Affinity{
			Strategy: compileStrategy(d.GetAffinity().GetStrategy()), Idle: d.GetAffinity().GetIdle().AsDuration(),
		},
	}
	if a := d.GetAgentTools(); a != nil {
		out.AgentTools = router.AgentTools{Types: a.GetTypes(), Publishers: a.GetPublishers()}
	}
	if b := d.GetBudget(); b != nil {
		out.Budget = router.Budget{USDPerDay: b.GetUsdPerDay(), Balanced: b.GetBalancedFrom(), Cost: b.GetCostFrom()}
	}
	for _, m := range d.GetAllowedModes().GetModes() {
		out.AllowedModes = out.AllowedModes.With(compileMode(m))
	}
	for _, name := range d.GetSubset() {
		out.Subset = append(out.Subset, index[name])
	}
	return out
}

func compileCallers(l *policyv1.CallerLimits) router.CallerLimits {
	if l == nil {
		return router.CallerLimits{}
	}
	return router.CallerLimits{
		Header:    l.GetHeader(),
		PerMinute: router.PerMinute{Requests: int(l.GetRequestsPerMinute()), Tokens: int(l.GetTokensPerMinute())},
		MustName:  l.GetUnnamed() == policyv1.CallerLimits_refused,
	}
}

func compileMode(m policyv1.Mode) router.Mode {
	// The schema's names are the router's.
	mode, ok := router.ParseMode(m.String())
	if !ok {
		panic(fmt.Sprintf("mode %v passed the schema's rules", m))
	}
	return mode
}

func compileStrategy(s policyv1.Affinity_Strategy) router.Strategy {
	// The schema's names are the router's.
	strategy, ok := router.ParseStrategy(s.String())
	if !ok {
		panic(fmt.Sprintf("affinity strategy %v passed the schema's rules", s))
	}
	return strategy
}

// newestPredictor is the one that serves deployments which pin none.
func (p *Policy) newestPredictor() *predict.Predictor { return p.predictors[p.newest] }
