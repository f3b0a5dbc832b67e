package router

import "slices"

// CallerLimits bounds what each caller of a deployment may use in a minute. The
// zero value bounds nobody.
type CallerLimits struct {
	// Header is the request header, in lower case, whose value names the caller;
	// empty: nobody is told apart and there are no bounds.
	Header    string
	PerMinute PerMinute
	// MustName refuses requests without the header. Otherwise those who give no
	// name are one caller together.
	MustName bool
}

// CallerHeaders returns the headers that name callers to be limited, sorted, each
// once. There are none in a policy without such limits.
func (s *Snapshot) CallerHeaders() []string {
	var names []string
	for i := range s.Deployments {
		if h := s.Deployments[i].Callers.Header; h != "" {
			names = append(names, h)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
