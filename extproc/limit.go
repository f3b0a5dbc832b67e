package extproc

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"wye/envoy"
	"wye/limits"
	"wye/wire"
)

// charge holds the routed request against what its deployment may use in a
// minute. Tokens are an estimate: those of the prompt, and the answer that is
// expected of the first model.
func (st *stream) charge() *wire.Problem {
	d := st.decision.Deployment
	limit := d.PerMinute
	if limit.Requests > 0 {
		st.standing.requests = st.server.config.Limits.Take(limits.Key{Name: d.Name, What: limits.Requests}, limit.Requests, 1)
		if st.standing.requests.Wait > 0 {
			return overLimit("requests", fmt.Sprintf("deployment %q takes %d requests a minute", d.Name, limit.Requests), st.standing.requests.Wait)
		}
	}
	if limit.Tokens == 0 {
		return nil
	}
	first := &st.decision.Candidates[0]
	answer := int(first.Estimate.OutputTokens)
	if st.request.OutputCap > 0 {
		answer = min(answer, st.request.OutputCap)
	}
	n := st.request.PromptTokens + answer
	st.standing.tokens = st.server.config.Limits.Take(limits.Key{Name: d.Name, What: limits.Tokens}, limit.Tokens, n)
	if st.standing.tokens.Wait == 0 {
		st.request.Charged = n
		return nil
	}
	if limit.Requests > 0 {
		st.server.config.Limits.Give(limits.Key{Name: d.Name, What: limits.Requests}, limit.Requests, 1)
		st.standing.requests.Remaining++
	}
	return overLimit("tokens", fmt.Sprintf("deployment %q takes %d tokens a minute, and this request needs about %d", d.Name, limit.Tokens, n),
		st.standing.tokens.Wait)
}

// overLimit is OpenAI's error: its type says what there is too much of.
func overLimit(what, why string, wait time.Duration) *wire.Problem {
	p := &wire.Problem{Status: http.StatusTooManyRequests, Type: what, Code: codeRateLimit, Message: "rate limit reached: " + why}
	if wait == limits.Never {
		p.Message += "; it is too large at any time"
	} else {
		p.Message += fmt.Sprintf("; try again in %ds", seconds(wait))
	}
	return p
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// appendRetryAfter tells when the request would be granted, unless never.
func (st *stream) appendRetryAfter(dst []byte) []byte {
	wait := max(st.standing.requests.Wait, st.standing.tokens.Wait)
	if wait == limits.Never {
		return dst
	}
	return appendSetHeader(dst, "retry-after", strconv.AppendInt(nil, seconds(wait), 10))
}

// eachLimit appends, by add, what clients are told of each limit there is.
func (st *stream) eachLimit(dst []byte, add func(dst []byte, name string, value []byte) []byte) []byte {
	text := st.limitText[:0]
	for _, l := range [...]struct {
		of                      *limits.Standing
		limit, remaining, reset string
	}{
		{&st.standing.requests, envoy.HeaderLimitRequests, envoy.HeaderRemainingRequests, envoy.HeaderResetRequests},
		{&st.standing.tokens, envoy.HeaderLimitTokens, envoy.HeaderRemainingTokens, envoy.HeaderResetTokens},
	} {
		if l.of.Limit == 0 {
			continue
		}
		dst = add(dst, l.limit, strconv.AppendInt(text, int64(l.of.Limit), 10))
		dst = add(dst, l.remaining, strconv.AppendInt(text, int64(l.of.Remaining), 10))
		dst = add(dst, l.reset, appendReset(text, l.of.Reset))
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
