package extproc

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"wye/envoy"
	"wye/limits"
	"wye/router"
	"wye/wire"
)

// charge holds the routed request against what its deployment, and its caller,
// may use in a minute. Tokens are an estimate: those of the prompt, and the answer
// that is expected of the first model. What is refused has used nothing.
func (st *stream) charge() *wire.Problem {
	d := st.decision.Deployment
	if d.PerMinute == (router.PerMinute{}) && d.Callers.Header == "" {
		return nil
	}
	caller := uint64(0)
	if d.Callers.Header != "" {
		if caller = st.facts.callerOf(d.Callers.Header); caller == limits.Unnamed && d.Callers.MustName {
			return refuse(http.StatusBadRequest, codeCallerRequired, "", "deployment %q tells its callers apart by the header %s, which is missing",
				d.Name, d.Callers.Header)
		}
	}
	n := st.expectedTokens()
	for i := range st.standing {
		what := limits.What(i % 2)
		limit, who := perMinute(d.PerMinute, what), uint64(0)
		if i >= ofCaller {
			limit, who = perMinute(d.Callers.PerMinute, what), caller
		}
		if limit == 0 {
			continue
		}
		amount := 1
		if what == limits.Tokens {
			amount = n
			st.request.Charged = n
		}
		s := &st.standing[i]
		if *s = st.server.config.Limits.Take(limits.Key{Name: d.Name, What: what, Caller: who}, limit, amount); s.Wait > 0 {
			st.uncharge(i, caller, n)
			return st.overLimit(i, n)
		}
	}
	if d.Callers.PerMinute.Tokens > 0 {
		st.request.Caller = caller
	}
	return nil
}

// The order of stream.standing: the deployment's two limits, then its caller's.
const ofCaller = 2

func perMinute(of router.PerMinute, what limits.What) int {
	if what == limits.Tokens {
		return of.Tokens
	}
	return of.Requests
}

// expectedTokens is what the request is taken to use.
func (st *stream) expectedTokens() int {
	answer := int(st.decision.Candidates[0].Estimate.OutputTokens)
	if st.request.OutputCap > 0 {
		answer = min(answer, st.request.OutputCap)
	}
	return st.request.PromptTokens + answer
}

// uncharge gives back what was taken before the i-th limit refused.
func (st *stream) uncharge(i int, caller uint64, n int) {
	d := st.decision.Deployment
	st.request.Charged = 0
	for i--; i >= 0; i-- {
		s := &st.standing[i]
		if s.Limit == 0 {
			continue
		}
		key, amount := limits.Key{Name: d.Name, What: limits.What(i % 2)}, 1
		if i >= ofCaller {
			key.Caller = caller
		}
		if key.What == limits.Tokens {
			amount = n
		}
		st.server.config.Limits.Give(key, s.Limit, amount)
		s.Remaining = min(s.Remaining+amount, s.Limit)
	}
}

// overLimit is OpenAI's error: its type says what there is too much of.
func (st *stream) overLimit(i, n int) *wire.Problem {
	s := &st.standing[i]
	p := &wire.Problem{Status: http.StatusTooManyRequests, Type: "requests", Code: codeRateLimit}
	whom := ""
	if i >= ofCaller {
		whom = " of a caller"
	}
	p.Message = fmt.Sprintf("rate limit reached: deployment %q takes %d requests%s a minute", st.decision.Deployment.Name, s.Limit, whom)
	if limits.What(i%2) == limits.Tokens {
		p.Type = "tokens"
		p.Message = fmt.Sprintf("rate limit reached: deployment %q takes %d tokens%s a minute, and this request needs about %d",
			st.decision.Deployment.Name, s.Limit, whom, n)
	}
	if s.Wait == limits.Never {
		p.Message += "; it is too large at any time"
	} else {
		p.Message += fmt.Sprintf("; try again in %ds", seconds(s.Wait))
	}
	return p
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// appendRetryAfter tells when the request would be granted, unless never.
func (st *stream) appendRetryAfter(dst []byte) []byte {
	var wait time.Duration
	for i := range st.standing {
		wait = max(wait, st.standing[i].Wait)
	}
	if wait == limits.Never {
		return dst
	}
	return appendSetHeader(dst, "retry-after", strconv.AppendInt(nil, seconds(wait), 10))
}

// tighter is which of two limits on the same thing clients are told of: the one
// that refused, or the one that leaves less.
func tighter(a, b *limits.Standing) *limits.Standing {
	switch {
	case a.Limit == 0, b.Wait > 0:
		return b
	case b.Limit == 0, a.Wait > 0, a.Remaining <= b.Remaining:
		return a
	}
	return b
}

// eachLimit appends, by add, what clients are told of each limit there is.
func (st *stream) eachLimit(dst []byte, add func(dst []byte, name string, value []byte) []byte) []byte {
	text := st.limitText[:0]
	for what, names := range [...]struct{ limit, remaining, reset string }{
		{envoy.HeaderLimitRequests, envoy.HeaderRemainingRequests, envoy.HeaderResetRequests},
		{envoy.HeaderLimitTokens, envoy.HeaderRemainingTokens, envoy.HeaderResetTokens},
	} {
		of := tighter(&st.standing[what], &st.standing[ofCaller+what])
		if of.Limit == 0 {
			continue
		}
		dst = add(dst, names.limit, strconv.AppendInt(text, int64(of.Limit), 10))
		dst = add(dst, names.remaining, strconv.AppendInt(text, int64(of.Remaining), 10))
		dst = add(dst, names.reset, appendReset(text, of.Reset))
	}
	return dst
}

// appendReset writes a duration as OpenAI does: 850ms, 12s, 6m0s.
func appendReset(dst []byte, d time.Duration) []byte {
	if d < time.Second {
		return append(strconv.AppendInt(dst, int64((d+time.Millisecond-1)/time.Millisecond), 10), "ms"...)
	}
	s := seconds(d)
	if s >= 60 {
		dst = append(strconv.AppendInt(dst, s/60, 10), 'm')
	}
	return append(strconv.AppendInt(dst, s%60, 10), 's')
}
