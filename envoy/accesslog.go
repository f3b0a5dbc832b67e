package envoy

// AccessLogName is the log_name of the access log that Envoy sends to Wye.
const AccessLogName = "wye"

// LogField is the place of a field in a line of the access log that Envoy sends
// to Wye.
type LogField int

// A line of the access log, the body of an OpenTelemetry log record, has these
// fields in this order, with LogSeparator between them. What is not known is
// LogAbsent. Usage is the last one, because a provider wrote it and may have put
// separators in it.
const (
	LogDecision LogField = iota
	LogDeployment
	LogMode
	LogPolicy
	LogDropped
	LogBackend // of the cluster of the last attempt
	LogModel   // of it: version
	LogZone    // of it
	LogAttempts
	LogStatus
	LogDetails
	LogFlags   // with commas between
	LogFirst   // microseconds from the request's arrival to the provider's first byte
	LogTotal   // microseconds from it to the last byte for the client
	LogElapsed // milliseconds from it to the end, however that came
	LogType    // the answer's content-type
	LogCoding  // the answer's content-encoding
	LogTraceParent
	LogCaller
	LogUsage
	LogFields // how many there are
)

// LogSeparator cannot occur in a header or a name.
const LogSeparator = "\x1f"

// LogAbsent stands for a field without a value.
const LogAbsent = "-"

// UsageSeparator is between the objects of KeyUsage where a stream reports its
// usage in parts. It cannot occur in JSON.
const UsageSeparator = "\x1e"
