package sidecar

import (
	"wye/limits"
	"wye/router"
	"wye/usage"
)

// refunder corrects what deployments with a limit on tokens were charged, once it
// is known what requests used. What stays unknown stays charged as estimated.
func refunder(limiter *limits.Limiter, current func() *router.Snapshot) func(*usage.Record) {
	return func(r *usage.Record) {
		if r.Charged() == 0 {
			return
		}
		d := current().Deployment([]byte(r.Deployment))
		if d == nil || d.PerMinute.Tokens == 0 {
			return // the limit is gone
		}
		used := 0
		switch {
		case r.Usage != nil:
			used = int(r.Usage.Prompt + r.Usage.Completion)
		case r.Unknown != usage.NoAnswer:
			return
		}
		limiter.Give(limits.Key{Name: d.Name, What: limits.Tokens}, d.PerMinute.Tokens, r.Charged()-used)
	}
}
