package usage

import (
	"net/http"
	"strings"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
)

// Served is what Envoy's access log says of one request after its end.
type Served struct {
	Decision, Deployment, Mode, Policy, Dropped string

	// Backend, Model (the version) and Zone are those of the cluster of the last
	// attempt; empty when there was no attempt.
	Backend, Model, Zone string
	Attempts             int
	Status               int    // that the client was sent; 0: nothing was
	Details              string // Envoy's response code details
	Flags                []string
	Stream               bool   // the answer was server-sent events
	Caller               string // value of the caller header, clipped
	TraceParent          string

	Start time.Time
	// First is the time from the request's arrival to the first byte of the
	// provider's last response, Total to the end; 0 is unknown.
	First, Total time.Duration

	Tokens  Tokens
	Unknown Unknown // why Tokens are not known; empty when they are
}

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
)

// flags are the names of Envoy's response flags, as its logs spell them, that
// may apply to a routed request.
var flags = []struct {
	name string
	set  func(*accesslogv3.ResponseFlags) bool
}{
	{"UH", (*accesslogv3.ResponseFlags).GetNoHealthyUpstream},
	{"UF", (*accesslogv3.ResponseFlags).GetUpstreamConnectionFailure},
	{"UO", (*accesslogv3.ResponseFlags).GetUpstreamOverflow},
	{"UT", (*accesslogv3.ResponseFlags).GetUpstreamRequestTimeout},
	{"UR", (*accesslogv3.ResponseFlags).GetUpstreamRemoteReset},
	{"LR", (*accesslogv3.ResponseFlags).GetLocalReset},
	{"UC", (*accesslogv3.ResponseFlags).GetUpstreamConnectionTermination},
	{"NR", (*accesslogv3.ResponseFlags).GetNoRouteFound},
	{"RL", (*accesslogv3.ResponseFlags).GetRateLimited},
	{"DC", (*accesslogv3.ResponseFlags).GetDownstreamConnectionTermination},
	{"URX", (*accesslogv3.ResponseFlags).GetUpstreamRetryLimitExceeded},
	{"SI", (*accesslogv3.ResponseFlags).GetStreamIdleTimeout},
	{"DPE", (*accesslogv3.ResponseFlags).GetDownstreamProtocolError},
	{"UMSDR", (*accesslogv3.ResponseFlags).GetUpstreamMaxStreamDurationReached},
	{"UPE", (*accesslogv3.ResponseFlags).GetUpstreamProtocolError},
	{"NC", (*accesslogv3.ResponseFlags).GetNoClusterFound},
	{"OM", (*accesslogv3.ResponseFlags).GetOverloadManager},
	{"DF", (*accesslogv3.ResponseFlags).GetDnsResolutionFailure},
}

// ServedOf reads an access log entry. callerHeader names the header that says who
// called, in lower case; empty: none. ok is false for an entry without a decision
// id, which is of no request of ours.
func ServedOf(e *accesslogv3.HTTPAccessLogEntry, callerHeader string) (s Served, ok bool) {
	common, response := e.GetCommonProperties(), e.GetResponse()
	headers := response.GetResponseHeaders()
	metadata := common.GetMetadata().GetFilterMetadata()
	decision := metadata[envoy.NamespaceDecision].GetFields()
	either := func(key, header string) string {
		if v := decision[key].GetStringValue(); v != "" {
			return v
		}
		return headers[header]
	}
	s = Served{
		Decision:   either(envoy.KeyDecision, envoy.HeaderDecision),
		Deployment: either(envoy.KeyDeployment, envoy.HeaderDeployment),
		Mode:       either(envoy.KeyMode, envoy.HeaderMode),
		Policy:     either(envoy.KeyPolicy, envoy.HeaderPolicy),
		Dropped:    decision[envoy.KeyDropped].GetStringValue(),

		Backend:  common.GetCustomTags()[envoy.KeyBackend],
		Model:    common.GetCustomTags()[envoy.KeyModel],
		Zone:     common.GetCustomTags()[envoy.KeyZone],
		Attempts: int(common.GetUpstreamRequestAttemptCount()),
		Status:   int(response.GetResponseCode().GetValue()),
		Details:  clip(response.GetResponseCodeDetails(), maxDetailsBytes),

		TraceParent: e.GetRequest().GetRequestHeaders()["traceparent"],
		Start:       common.GetStartTime().AsTime(),
		First:       common.GetTimeToFirstUpstreamRxByte().AsDuration(),
		Total:       common.GetTimeToLastDownstreamTxByte().AsDuration(),
	}
	if s.Decision == "" {
		return Served{}, false
	}
	s.Stream = strings.HasPrefix(headers["content-type"], "text/event-stream")
	if callerHeader != "" {
		s.Caller = clip(e.GetRequest().GetRequestHeaders()[callerHeader], maxCallerBytes)
	}
	if d := common.GetDuration(); s.Total == 0 && d != nil {
		s.Total = d.AsDuration()
	}
	if f := common.GetResponseFlags(); f != nil {
		for i := range flags {
			if flags[i].set(f) {
				s.Flags = append(s.Flags, flags[i].name)
			}
		}
	}
	s.Tokens, s.Unknown = tokensOf(&s, metadata[envoy.NamespaceUsage], headers)
	return s, true
}

func tokensOf(s *Served, noted *structpb.Struct, headers map[string]string) (Tokens, Unknown) {
	// Whatever else happened, counts that arrived are what is billed.
	if object := noted.GetFields()[envoy.KeyUsage].GetStringValue(); object != "" {
		if t, ok := ParseTokens(object); ok {
			return t, ""
		}
		return Tokens{}, Implausible
	}
	switch coding := headers["content-encoding"]; {
	case s.Backend == "" || s.Status != http.StatusOK:
		return Tokens{}, NoAnswer
	case coding != "" && coding != "identity":
		return Tokens{}, Compressed
	case len(s.Flags) > 0 || s.First == 0:
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
