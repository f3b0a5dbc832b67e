package xds

import (
	"fmt"
	"strings"

	"wye/router"
)

// missingKey is a credential that could not be read. Many backends may use one,
// and one line then tells an operator all of it.
type missingKey struct {
	source   string // as describe has it
	err      error
	backends []string
}

// missing notes that a key of backend could not be read.
func (b *builder) missing(backend *router.Backend, c *router.Credential, err error) {
	source := describe(c)
	for i := range b.missingKeys {
		if m := &b.missingKeys[i]; m.source == source {
			m.backends = append(m.backends, backend.Name)
			return
		}
	}
	b.missingKeys = append(b.missingKeys, missingKey{source: source, err: err, backends: []string{backend.Name}})
}

// warnings is what Build has to say, in the order of the snapshot's backends.
func (b *builder) warnings() []string {
	var all []string
	for _, m := range b.missingKeys {
		backends := fmt.Sprintf("the provider of backend %s", m.backends[0])
		if len(m.backends) > 1 {
			backends = fmt.Sprintf("the providers of backends %s", strings.Join(m.backends, ", "))
		}
		all = append(all, fmt.Sprintf("credential %s: %v; %s will refuse requests", m.source, m.err, backends))
	}
	return all
}

func describe(c *router.Credential) string {
	if c.Env != "" {
		return "$" + c.Env
	}
	return c.File
}
