// Package loglines makes what Envoy sends of its access log, for tests.
package loglines

import (
	"strings"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"wye/envoy"
)

// Line is a line of the access log. A field without a value is absent.
type Line struct {
	At    time.Time // of the request's arrival
	Field [envoy.LogFields]string
}

// With returns the line with another value in a field.
func (l Line) With(f envoy.LogField, value string) Line {
	l.Field[f] = value
	return l
}

// Text is the line as Envoy writes it.
func (l Line) Text() string {
	for i, value := range l.Field {
		if value == "" {
			l.Field[i] = envoy.LogAbsent
		}
	}
	return strings.Join(l.Field[:], envoy.LogSeparator)
}

// Request is an export of lines.
func Request(lines ...Line) *collectorv1.ExportLogsServiceRequest {
	var records []*logsv1.LogRecord
	for _, l := range lines {
		records = append(records, &logsv1.LogRecord{
			TimeUnixNano: uint64(l.At.UnixNano()), Body: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: l.Text()}},
		})
	}
	return &collectorv1.ExportLogsServiceRequest{ResourceLogs: []*logsv1.ResourceLogs{{
		ScopeLogs: []*logsv1.ScopeLogs{{LogRecords: records}},
	}}}
}

// Batch is Request, serialised.
func Batch(lines ...Line) []byte {
	b, err := proto.Marshal(Request(lines...))
	if err != nil {
		panic(err) // a text that is no UTF-8
	}
	return b
}
