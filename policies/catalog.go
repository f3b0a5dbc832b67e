package policies

import (
	_ "embed"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"wye/policies/policyv1"
)

//go:embed catalog.yaml
var catalogYAML []byte

// embeddedCatalog is the catalog that is built into the program, by name. Its
// messages must not be changed.
var embeddedCatalog = sync.OnceValues(func() (map[string]*policyv1.Model, error) {
	c, err := Catalog()
	if err != nil {
		return nil, err
	}
	models := make(map[string]*policyv1.Model, len(c.GetCatalog()))
	for _, m := range c.GetCatalog() {
		models[m.GetName()] = m
	}
	return models, nil
})

// Catalog returns the embedded catalog, for the caller to keep. That it keeps
// the schema's rules is a test's to prove, not every start's.
func Catalog() (*policyv1.Catalog, error) {
	var report Report
	c := &policyv1.Catalog{}
	parse("embedded catalog", catalogYAML, c, &report)
	if report.Failed() {
		return nil, fmt.Errorf("read the embedded catalog: %w", &report)
	}
	return c, nil
}

// override returns base with what the policy's entry states: figures one by
// one, capabilities, parameters and ability as a whole. base may be nil.
func override(base, entry *policyv1.Model) *policyv1.Model {
	merged := &policyv1.Model{}
	if base != nil {
		merged = proto.CloneOf(base)
	}
	if len(entry.GetCapabilities()) > 0 {
		merged.Capabilities = nil
	}
	if entry.Parameters != nil {
		merged.Parameters = nil
	}
	if entry.Ability != nil {
		merged.Ability = nil
	}
	if entry.GetPrice().GetLongContext() != nil && merged.GetPrice() != nil {
		merged.Price.LongContext = nil
	}
	proto.Merge(merged, entry)
	return merged
}
