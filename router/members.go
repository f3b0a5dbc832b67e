package router

import (
	"bytes"
	"math/bits"
	"slices"
)

// Members is a set of models of one deployment's subset: bit i stands for
// Subset[i]. A subset has at most MaxSubset models, which are as many bits.
type Members uint64

// Has reports whether the i-th model of the subset is in the set.
func (m Members) Has(i int) bool { return m&(1<<i) != 0 }

// With returns the set with the i-th model of the subset added.
func (m Members) With(i int) Members { return m | 1<<i }

// Len is how many models are in the set.
func (m Members) Len() int { return bits.OnesCount64(uint64(m)) }

// Match returns the models of d's subset that a client means by name: its name
// in the catalog or the version that providers report. version, if it is not
// empty, must be that version too, or what it has behind the name; format, if
// it is not empty, the publisher, in any case of letters, to which a host's
// variant may be appended: OpenAI-OSS is one of OpenAI.
func (s *Snapshot) Match(d *Deployment, name, version, format []byte) (found Members) {
	for i, index := range d.Subset {
		m := &s.Models[index]
		if (string(name) == m.Name || string(name) == m.ServedAs) && m.isVersion(version) && m.isFormat(format) {
			found = found.With(i)
		}
	}
	return found
}

func (m *Model) isVersion(version []byte) bool {
	if len(version) == 0 || string(version) == m.ServedAs {
		return true
	}
	n := len(m.Name)
	return len(m.ServedAs) > n+1 && m.ServedAs[:n] == m.Name && m.ServedAs[n] == '-' && m.ServedAs[n+1:] == string(version)
}

func (m *Model) isFormat(format []byte) bool {
	n := len(m.Publisher)
	if len(format) <= n {
		return len(format) == 0 || bytes.EqualFold(format, []byte(m.Publisher))
	}
	return n > 0 && bytes.EqualFold(format[:n], []byte(m.Publisher)) && (format[n] == '-' || format[n] == ' ')
}

// Dropping returns the models of d's subset that are not sent a parameter for
// which sent answers true.
func (s *Snapshot) Dropping(d *Deployment, sent func(parameter string) bool) (found Members) {
	for i, index := range d.Subset {
		if slices.ContainsFunc(s.Models[index].Parameters.Drop, sent) {
			found = found.With(i)
		}
	}
	return found
}
