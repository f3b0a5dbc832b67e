package usage

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"wye/envoy"
)

// Field numbers of opentelemetry.proto messages that are read.
const (
	exportResources protowire.Number = 1 // collector.logs.v1.ExportLogsServiceRequest
	resourceScopes  protowire.Number = 2 // logs.v1.ResourceLogs
	scopeRecords    protowire.Number = 2 // logs.v1.ScopeLogs
	recordTime      protowire.Number = 1 // logs.v1.LogRecord
	recordBody      protowire.Number = 5
	valueString     protowire.Number = 1 // common.v1.AnyValue
	valueLast       protowire.Number = 8 // the members of its oneof end here
)

// line is a line of the access log, as views into the message that it came in:
// see envoy.LogField. A field without a value is empty.
type line struct {
	at    time.Time // of the request's arrival
	field [envoy.LogFields][]byte
}

// eachLine calls do with each line of a serialised ExportLogsServiceRequest. As in
// protobuf, unknown fields are skipped, and of what is there twice the last one
// counts. Only the UTF-8 check of strings is left out. The lines before a fault are
// passed on.
func eachLine(request []byte, do func(*line)) error {
	var l line
	resources := fields{rest: request}
	for resources.next() {
		if !resources.message(exportResources) {
			continue
		}
		scopes := fields{rest: resources.value}
		for scopes.next() {
			if !scopes.message(resourceScopes) {
				continue
			}
			records := fields{rest: scopes.value}
			for records.next() {
				if !records.message(scopeRecords) {
					continue
				}
				if err := l.unmarshal(records.value); err != nil {
					return err
				}
				do(&l)
			}
			if records.err != nil {
				return records.err
			}
		}
		if scopes.err != nil {
			return scopes.err
		}
	}
	return resources.err
}

// unmarshal reads a serialised LogRecord.
func (l *line) unmarshal(record []byte) error {
	var at uint64
	var text []byte
	f := fields{rest: record}
	for f.next() {
		switch {
		case f.num == recordTime && f.typ == protowire.Fixed64Type:
			at = f.n
		case f.message(recordBody):
			v := fields{rest: f.value}
			for v.next() {
				switch {
				case v.message(valueString):
					text = v.value
				case v.num <= valueLast:
					text = nil // of another type
				}
			}
			if v.err != nil {
				return v.err
			}
		}
	}
	if f.err != nil {
		return f.err
	}
	l.at = time.Unix(0, int64(at)) //nolint:gosec // what is beyond the year 2262 is nonsense anyway
	l.split(text)
	return nil
}

var separator, absent = []byte(envoy.LogSeparator), []byte(envoy.LogAbsent)

// split cuts text into fields. The last one takes all that is left; fields that
// are not there are empty.
func (l *line) split(text []byte) {
	l.field = [envoy.LogFields][]byte{}
	for i := range l.field {
		value, rest, more := text, []byte(nil), false
		if i < len(l.field)-1 {
			value, rest, more = bytes.Cut(text, separator)
		}
		if !bytes.Equal(value, absent) {
			l.field[i] = value
		}
		if !more {
			return
		}
		text = rest
	}
}

// number is the value of a field that is a count; 0: it is none.
func (l *line) number(f envoy.LogField) int {
	n := 0
	for _, c := range l.field[f] {
		if c < '0' || c > '9' || n > maxNumber {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// maxNumber bounds the numbers of a line: in microseconds, eleven days.
const maxNumber = 1e12
