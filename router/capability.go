package router

import "strings"

// Capability is a set of things a request needs and a model offers.
type Capability uint32

// The capabilities that are hard filters.
const (
	CapTools Capability = 1 << iota
	CapParallelTools
	CapVision
	CapJSONSchema
	CapPDF
	CapAudio
	capEnd
)

var capabilityNames = [...]string{"tools", "parallel_tools", "vision", "json_schema", "pdf", "audio"}

// ParseCapability returns the capability that a policy spells name.
func ParseCapability(name string) (Capability, bool) {
	for i, n := range capabilityNames {
		if n == name {
			return 1 << i, true
		}
	}
	return 0, false
}

// String lists the names in the set, joined by commas.
func (c Capability) String() string {
	var names []string
	for i, n := range capabilityNames {
		if c&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}
