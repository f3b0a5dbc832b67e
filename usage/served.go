package usage

import (
	"net/http"
	"strings"
	"time"

	"wye/envoy"
)

// Unknown says why the tokens of an answer are not known.
type Unknown string

// The reasons. NoAnswer is for requests that no model answered, which therefore
// used nothing that anybody bills.
const (
	NoAnswer        Unknown = "no_answer"
	Unreported      Unknown = "unreported"  // the answer was complete and had no usage
	Interrupted     Unknown = "interrupted" // it ended before its usage
	Compressed      Unknown = "compressed"  // it could not be read
	Implausible     Unknown = "implausible" // its usage was not counts
	maxCallerBytes          = 128
	maxDetailsBytes         = 256
	maxTraceBytes           = 256
)

// read fills in what Envoy's access log says of a request after its end. false: the
// line is of no request of ours, since it has no decision id.
func (r *Record) read(l *line, names *names) bool {
	if len(l.field[envoy.LogDecision]) == 0 {
		return false
	}
	r.Time = l.at
	r.Decision = clip(string(l.field[envoy.LogDecision]), maxID)
	r.Deployment = names.of(l.field[envoy.LogDeployment])
	r.Mode = names.of(l.field[envoy.LogMode])
	r.Policy = names.of(l.field[envoy.LogPolicy])
	r.Dropped = names.of(l.field[envoy.LogDropped])
	r.Caller = clip(names.of(l.field[envoy.LogCaller]), maxCallerBytes)
	r.TraceParent = clip(string(l.field[envoy.LogTraceParent]), maxTraceBytes)
	r.Attempts = l.number(envoy.LogAttempts)
	r.Status = l.number(envoy.LogStatus)
	r.Details = clip(names.of(l.field[envoy.LogDetails]), maxDetailsBytes)
	if f := l.field[envoy.LogFlags]; len(f) > 0 {
		r.Flags = strings.Split(clip(string(f), maxDetailsBytes), ",")
	}
	first, total := micros(l.number(envoy.LogFirst)), micros(l.number(envoy.LogTotal))
	if total == 0 {
		total = time.Duration(l.number(envoy.LogElapsed)) * time.Millisecond
	}
	r.FirstSeconds, r.TotalSeconds = first.Seconds(), total.Seconds()
	r.Stream = strings.HasPrefix(names.of(l.field[envoy.LogType]), "text/event-stream")
	if backend := l.field[envoy.LogBackend]; len(backend) > 0 {
		r.place = Place{Version: names.of(l.field[envoy.LogModel]), Backend: names.of(backend), Zone: names.of(l.field[envoy.LogZone])}
		r.Served = &r.place
	}
	if r.tokens, r.Unknown = r.tokensOf(l); r.Unknown == "" {
		r.Usage = &r.tokens
	}
	return true
}

func micros(n int) time.Duration { return time.Duration(n) * time.Microsecond }

func (r *Record) tokensOf(l *line) (Tokens, Unknown) {
	// Whatever else happened, counts that arrived are what is billed.
	if object := l.field[envoy.LogUsage]; len(object) > 0 {
		text := string(object)
		if r.Stream && len(r.Flags) > 0 && partial(text) {
			return Tokens{}, Interrupted
		}
		if t, ok := ParseTokens(text); ok {
			return t, ""
		}
		return Tokens{}, Implausible
	}
	switch coding := string(l.field[envoy.LogCoding]); {
	case r.Served == nil || r.Status != http.StatusOK:
		return Tokens{}, NoAnswer
	case coding != "" && coding != "identity":
		return Tokens{}, Compressed
	case len(r.Flags) > 0 || r.FirstSeconds == 0:
		return Tokens{}, Interrupted
	}
	return Tokens{}, Unreported
}

// clip bounds what a client wrote and keeps it valid UTF-8.
func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
