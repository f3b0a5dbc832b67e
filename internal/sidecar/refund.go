package sidecar

import (
	"wye/limits"
	"wye/router"
	"wye/usage"
)

// refunder corrects what deployments with a limit on tokens, and their callers, were charged, once it
// is known what requests used. What stays unknown stays charged as estimated.
func refunder(limiter *limits.Limiter, current func() *router.Snapshot) func(*usage.Record) {
	return func(r *usage.Record) {
		if r.Charged() == 0 {
			return
		}
		d := current().Deployment([]byte(r.Deployment))
		if d == nil {
			return
		}
		used := 0
		switch {
		case r.Usage != nil:
			used = int(r.Usage.Prompt + r.Usage.Completion)
		case r.Unknown != usage.NoAnswer:
			return
		}
		// A limit may be gone since.
		key := limits.Key{Name: d.Name, What: limits.Tokens}
		if limit := d.PerMinute.Tokens; limit > 0 {
			limiter.Give(key, limit, r.Charged()-used)
		}
		if limit := d.Callers.PerMinute.Tokens; limit > 0 && r.Limited() != 0 {
			key.Caller = r.Limited()
			limiter.Give(key, limit, r.Charged()-used)
		}
	}
}
