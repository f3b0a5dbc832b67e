package envoy

import (
	"fmt"
	"strconv"
	"strings"
)

// Release is a minor version of Envoy.
type Release struct{ Major, Minor int }

// The releases that make a difference.
var (
	// Oldest is the oldest release that Wye serves. What came with it and cannot
	// be done without: a retry that goes to another cluster, and RBAC in a
	// cluster's own filters, which keeps requests in their data zone.
	Oldest = Release{1, 39}
	// Full is the first release with the priority_group cluster specifier. Older
	// ones are sent chains of another form.
	Full = Release{1, 40}
)

// Before reports whether r is older than o.
func (r Release) Before(o Release) bool {
	return r.Major < o.Major || r.Major == o.Major && r.Minor < o.Minor
}

// String is the release as in 1.40.
func (r Release) String() string { return strconv.Itoa(r.Major) + "." + strconv.Itoa(r.Minor) }

// ParseRelease reads a version such as 1.40 or 1.39.3-dev; what follows the
// minor number does not matter.
func ParseRelease(s string) (Release, error) {
	major, rest, ok := strings.Cut(s, ".")
	minor, _, _ := strings.Cut(rest, ".")
	minor, _, _ = strings.Cut(minor, "-")
	a, err := strconv.ParseUint(major, 10, 16)
	b, err2 := strconv.ParseUint(minor, 10, 16)
	if !ok || err != nil || err2 != nil {
		return Release{}, fmt.Errorf("%q is not a version of Envoy such as %v", s, Full)
	}
	return Release{int(a), int(b)}, nil
}

// Served returns an error that says why, if Wye does not serve Envoys of r.
func (r Release) Served() error {
	if !r.Before(Oldest) {
		return nil
	}
	return fmt.Errorf("envoy %v is older than %v, the oldest that can take its chains and keep requests in their data zone", r, Oldest)
}
