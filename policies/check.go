package policies

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"wye/policies/policyv1"
	"wye/predict"
	"wye/router"
)

// checker finds what the schema's rules cannot see: one part of a policy that
// contradicts another, the catalog or the predictors. It runs on documents that
// have faults already, so it takes nothing for granted.
type checker struct {
	*outline
	document *policyv1.Policy
	embedded map[string]*policyv1.Model
	today    time.Time

	predictors map[string]*predict.Predictor
	newest     string   // version that serves deployments which pin none
	versions   []string // of the predictors, as given

	models     map[string]*policyv1.Model // embedded catalog and policy, merged
	modelNames []string                   // sorted
	zones      map[string][]string        // model → zones of its backends, each once, in order
}

func newChecker(o *outline, document *policyv1.Policy, embedded map[string]*policyv1.Model, opts *options) *checker {
	c := &checker{
		outline: o, document: document, embedded: embedded, today: opts.today,
		predictors: make(map[string]*predict.Predictor),
		models:     maps.Clone(embedded),
		zones:      make(map[string][]string),
	}
	for i, p := range opts.predictors {
		if i == 0 {
			c.newest = p.Version()
		}
		c.predictors[p.Version()] = p
		c.versions = append(c.versions, p.Version())
	}
	return c
}

// run checks everything that can be judged. Where a whole list could not be
// read, a check across lists would only repeat that fault in other words.
func (c *checker) run() {
	whole := true
	for _, f := range c.report.Faults {
		if !strings.Contains(f.Path, ".") && f.Severity == SeverityError {
			whole = false
		}
	}
	c.checkCatalog()
	if !whole {
		return
	}
	c.checkBackends()
	c.checkNames()
	for i, d := range c.document.GetDeployments() {
		c.checkDeployment(fmt.Sprintf("deployments[%d]", i), d)
	}
}

func (c *checker) checkCatalog() {
	first := make(map[string]string)
	for i, entry := range c.document.GetCatalog() {
		path := fmt.Sprintf("catalog[%d]", i)
		name := entry.GetName()
		if name == "" {
			continue // a fault of the schema
		}
		if other, ok := first[name]; ok {
			c.errorf(path+".name", "model %s is stated twice, first in %s", quote(name), other)
			continue
		}
		first[name] = path
		base := c.embedded[name]
		merged := override(base, entry)
		c.models[name] = merged
		if base == nil {
			c.checkNewModel(path, merged)
		}
		c.checkPrice(path, merged)
		c.checkRetirement(path, merged)
		c.checkAbility(path+".ability", merged.GetAbility())
		c.checkCalibration(path+".ability", merged.GetAbility())
	}
	c.modelNames = slices.Sorted(maps.Keys(c.models))
}

// checkNewModel demands of a model that the embedded catalog does not know what
// no decision can do without.
func (c *checker) checkNewModel(path string, m *policyv1.Model) {
	var missing []string
	if m.GetPrice() == nil || m.GetPrice().Input == nil {
		missing = append(missing, "price.input")
	}
	if m.GetPrice() == nil || m.GetPrice().Output == nil {
		missing = append(missing, "price.output")
	}
	if m.GetContextWindow() == 0 {
		missing = append(missing, "context_window")
	}
	if len(missing) == 0 {
		return
	}
	if c.report.full() {
		return
	}
	c.errorf(path, "model %s is not in the embedded catalog, so it needs %s%s", quote(m.GetName()),
		strings.Join(missing, " and "), suggestion(m.GetName(), slices.Sorted(maps.Keys(c.embedded))))
}

func (c *checker) checkPrice(path string, m *policyv1.Model) {
	p := m.GetPrice()
	if p == nil || p.CachedInput == nil || p.Input == nil || p.GetCachedInput() <= p.GetInput() {
		return
	}
	if c.faulty(path + ".price") {
		return
	}
	c.warnf(path+".price", "cached_input %v is above input %v", p.GetCachedInput(), p.GetInput())
}

func (c *checker) checkRetirement(path string, m *policyv1.Model) {
	if m.Retires == nil || len(m.GetRetires()) != len(time.DateOnly) {
		return // absent, or a fault of the schema
	}
	if _, err := time.Parse(time.DateOnly, m.GetRetires()); err != nil {
		c.errorf(path+".retires", "%s is not a day of the calendar", quote(m.GetRetires()))
	}
}

// checkAbility makes sure that every predictor which may be asked knows the
// names.
func (c *checker) checkAbility(path string, a *policyv1.Ability) {
	for _, ref := range []struct {
		field, name string
	}{{"trained_as", a.GetTrainedAs()}, {"like", a.GetLike()}} {
		if ref.name == "" {
			continue
		}
		for _, version := range c.versions {
			p := c.predictors[version]
			if _, ok := p.Model(ref.name); !ok {
				if c.report.full() {
					return
				}
				c.errorf(path+"."+ref.field, "predictor %s was not trained on %s%s",
					version, quote(ref.name), suggestion(ref.name, p.Models()))
				break
			}
		}
	}
}

func (c *checker) checkBackends() {
	names := make(map[string]string)
	places := make(map[string]string)
	for i, b := range c.document.GetBackends() {
		path := fmt.Sprintf("backends[%d]", i)
		if other, ok := names[b.GetName()]; ok && b.GetName() != "" {
			c.errorf(path+".name", "backend %s is stated twice, first in %s", quote(b.GetName()), other)
		} else {
			names[b.GetName()] = path
		}
		zone := zoneOf(b.GetZone())
		place := fmt.Sprintf("%v %q %q %q %q %q", b.GetProtocol(), b.GetModel(), b.GetAddress(), zone, b.GetPathPrefix(), b.GetSendAs())
		if other, ok := places[place]; ok {
			c.warnf(path, "the same model at the same address and in the same zone as %s", other)
		} else {
			places[place] = path
		}
		c.checkCredential(path, b)
		if _, port, err := net.SplitHostPort(b.GetAddress()); err == nil && port == "0" {
			c.errorf(path+".address", "%s has port 0, at which nothing can listen", quote(b.GetAddress()))
		}
		c.checkHeaders(path, b)
		if b.GetProxy() != "" && b.GetTls() == nil {
			c.errorf(path+".proxy", "a proxy passes on what is encrypted; the backend has no tls")
		}
		c.checkTranslate(path, b)
		model := b.GetModel()
		if model == "" {
			continue
		}
		if c.models[model] == nil && !c.report.full() {
			c.errorf(path+".model", "%s", unknown("model", model, c.modelNames))
		}
		if !slices.Contains(c.zones[model], zone) {
			c.zones[model] = append(c.zones[model], zone)
		}
	}
}

// checkTranslate refuses translations that there is nothing to do for.
func (c *checker) checkTranslate(path string, b *policyv1.Backend) {
	apis := statedAPIs(b)
	chat, messages := slices.Contains(apis, policyv1.Api_chat_completions), slices.Contains(apis, policyv1.Api_messages)
	if b.GetTranslate() && chat == messages {
		c.errorf(path+".translate", "only between chat_completions and messages is anything translated, for a place that speaks one of the two")
	}
	will := translates(b)
	if b.Translate != nil {
		will = b.GetTranslate()
	}
	if len(b.GetThinking()) > 0 && !will {
		c.errorf(path+".thinking", "it is for a place that translates")
	}
	if b.GetEffort() && (!will || len(b.GetThinking()) > 0) {
		c.errorf(path+".effort", "it is for a place that translates and has no thinking")
	}
}

// checkCredential warns of a key that would cross a network in the clear.
func (c *checker) checkCredential(path string, b *policyv1.Backend) {
	if b.GetCredential() == nil || b.GetTls() != nil {
		return
	}
	if addr, err := netip.ParseAddrPort(b.GetAddress()); err == nil && addr.Addr().IsLoopback() {
		return
	}
	c.warnf(path+".credential", "the key is sent in plain text: the backend has no tls")
}

// zoneOf is the zone that z stands for; empty is global.
func zoneOf(z string) string {
	if z == "" {
		return router.ZoneGlobal
	}
	return z
}
