package policies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"wye/policies/policyv1"
	"wye/router"
)

// checkNames makes sure that a client's model field means one thing: no
// deployment answers to another's name, and none hides a model.
func (c *checker) checkNames() {
	owner := make(map[string]string) // name or alias → the path that claims it
	claim := func(path, name string) {
		if name == "" {
			return
		}
		if c.models[name] != nil {
			c.errorf(path, "%s is the name of a model in the catalog", quote(name))
		}
		if other, ok := owner[name]; ok {
			c.errorf(path, "the name %s is taken by %s", quote(name), other)
			return
		}
		owner[name] = path
	}
	for i, d := range c.document.GetDeployments() {
		claim(fmt.Sprintf("deployments[%d].name", i), d.GetName())
	}
	for i, d := range c.document.GetDeployments() {
		for j, alias := range d.GetAliases() {
			claim(fmt.Sprintf("deployments[%d].aliases[%d]", i, j), alias)
		}
	}
	c.checkDefault(owner)
	c.checkNamedModels(owner)
}

// checkDefault makes sure that auto means the default deployment and nothing
// else. owner has the paths of the names that are taken.
func (c *checker) checkDefault(owner map[string]string) {
	name := c.document.GetDefaultDeployment()
	if name == "" {
		return
	}
	const path = "default_deployment"
	var names []string
	for i, d := range c.document.GetDeployments() {
		names = append(names, d.GetName())
		if d.GetName() != name {
			continue
		}
		other, taken := owner[router.NameAuto]
		own := fmt.Sprintf("deployments[%d].", i)
		switch {
		case c.models[router.NameAuto] != nil:
			c.errorf(path, "%s is the name of a model in the catalog", quote(router.NameAuto))
		case taken && !strings.HasPrefix(other, own):
			c.errorf(path, "the name %s, by which clients call the default deployment, is taken by %s", quote(router.NameAuto), other)
		}
		return
	}
	if !c.report.full() {
		c.errorf(path, "%s", unknown("deployment", name, names))
	}
}

// checkNamedModels makes sure that no model which clients may name is called as
// something else is, and points out which ones several deployments offer.
func (c *checker) checkNamedModels(owner map[string]string) {
	standard := c.document.GetDefaultDeployment()
	offered := make(map[string]string) // model → first deployment that offers it
	for _, d := range c.document.GetDeployments() {
		if d.GetNamedModels() && d.GetName() == standard {
			for _, model := range d.GetSubset() {
				offered[model] = "" // clients who name it mean this deployment
			}
		}
	}
	for i, d := range c.document.GetDeployments() {
		if !d.GetNamedModels() {
			continue
		}
		path := fmt.Sprintf("deployments[%d].named_models", i)
		for _, model := range slices.Compact(slices.Sorted(slices.Values(d.GetSubset()))) {
			full := router.QualifiedName(d.GetName(), model)
			if other, taken := owner[full]; taken {
				c.errorf(path, "the name %s is taken by %s", quote(full), other)
			}
			switch other, known := offered[model]; {
			case !known:
				offered[model] = d.GetName()
			case other != "":
				c.warnf(path, "model %s is offered by deployment %s too: clients must write %s",
					quote(model), quote(other), quote(full))
			}
		}
	}
}

func (c *checker) checkDeployment(path string, d *policyv1.Deployment) {
	first := make(map[string]int)
	usable := 0
	for i, name := range d.GetSubset() {
		at := fmt.Sprintf("%s.subset[%d]", path, i)
		if other, ok := first[name]; ok {
			c.errorf(at, "model %s is stated twice, first in %s.subset[%d]", quote(name), path, other)
			continue
		}
		first[name] = i
		if c.checkMember(at, d, name) {
			usable++
		}
	}
	if usable == 1 && !c.faulty(path+".subset") {
		c.warnf(path+".subset", "only one model can serve; there is nothing to route and nothing to fall back to")
	}
	if v := d.GetPredictor(); d.Predictor != nil && v != "" && c.predictors[v] == nil && !c.report.full() {
		c.errorf(path+".predictor", "%s; this binary has %s",
			unknown("predictor version", v, c.versions), strings.Join(c.versions, ", "))
	}
	c.checkTimeouts(path, d)
	c.checkCallers(path, d)
	c.checkBudget(path+".budget", d.GetBudget())
	c.checkPublishers(path+".agent_tools.publishers", d)
}

// checkPublishers warns of publishers of agent tools that no model of the subset
// has: a misspelt one lets no model serve.
func (c *checker) checkPublishers(path string, d *policyv1.Deployment) {
	for i, p := range d.GetAgentTools().GetPublishers() {
		if p != router.AnyPublisher && !slices.ContainsFunc(d.GetSubset(), func(m string) bool { return c.models[m].GetPublisher() == p }) {
			c.warnf(fmt.Sprintf("%s[%d]", path, i), "no model of the subset is of publisher %s", quote(p))
		}
	}
}

// checkMember checks one model of a subset and reports whether it can serve.
func (c *checker) checkMember(path string, d *policyv1.Deployment, name string) bool {
	m := c.models[name]
	if m == nil {
		if name != "" && !c.report.full() {
			c.errorf(path, "%s", unknown("model", name, c.modelNames))
		}
		return false
	}
	if m.Retires != nil {
		day, err := time.Parse(time.DateOnly, m.GetRetires())
		if err == nil && !c.today.Before(day) {
			c.warnf(path, "model %s is retired since %s", quote(name), m.GetRetires())
		}
	}
	zones := c.zones[name]
	if len(zones) == 0 {
		c.errorf(path, "no backend serves model %s", quote(name))
		return false
	}
	zone := zoneOf(d.GetZone())
	if !slices.ContainsFunc(zones, func(z string) bool { return router.ZoneAllows(zone, z) }) {
		c.errorf(path, "no backend of model %s is in zone %s, only in %s", quote(name), quote(zone), strings.Join(zones, ", "))
		return false
	}
	return true
}

// checkTimeouts compares the two after the defaults are in, since each may come
// from elsewhere.
func (c *checker) checkTimeouts(path string, d *policyv1.Deployment) {
	l := c.limits(d)
	whole, attempt := l.GetTimeout().AsDuration(), l.GetPerTryTimeout().AsDuration()
	if whole <= 0 || attempt <= 0 || attempt <= whole {
		return // in order, or a fault of the schema
	}
	at := path + ".limits"
	if d.GetLimits().GetTimeout() == nil && d.GetLimits().GetPerTryTimeout() == nil {
		at = path
	}
	c.errorf(at, "per_try_timeout %v is longer than timeout %v", attempt, whole)
}

// checkCallers judges what is in force for d, parts of which may be the policy's
// defaults.
func (c *checker) checkCallers(path string, d *policyv1.Deployment) {
	l := c.limits(d).GetCallers()
	if l == nil {
		return
	}
	at := path
	if d.GetLimits().GetCallers() != nil {
		at += ".limits.callers"
	}
	switch {
	case l.GetHeader() == "":
		c.errorf(at, "callers are limited, but no header names them")
	case l.RequestsPerMinute == nil && l.TokensPerMinute == nil && l.GetUnnamed() != policyv1.CallerLimits_refused:
		c.warnf(at, "callers are told apart, but not limited")
	}
}

// checkBudget compares the shares once the defaults are in.
func (c *checker) checkBudget(path string, b *policyv1.Budget) {
	if b == nil {
		return
	}
	e := effectiveBudget(b)
	if e.GetBalancedFrom() > e.GetCostFrom() {
		c.errorf(path, "balanced_from %v is above cost_from %v", e.GetBalancedFrom(), e.GetCostFrom())
	}
	if !accounts(c.document.GetUsage()) {
		c.warnf(path, "without usage in the policy it goes by what calls are expected to cost")
	}
}
