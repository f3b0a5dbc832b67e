package usage

import (
	"bytes"
	"slices"
	"testing"
	"time"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"wye/envoy"
)

// text is what a test compares of a line.
type text struct {
	at   int64
	body string
}

func linesOf(request []byte) (all []text, err error) {
	err = eachLine(request, func(l *line) {
		last := len(l.field) - 1
		for last > 0 && l.field[last] == nil {
			last--
		}
		all = append(all, text{l.at.UnixNano(), string(bytes.Join(l.field[:last+1], separator))})
	})
	return all, err
}

// linesByProtobuf is what the generated types make of the same bytes.
func linesByProtobuf(request []byte) (all []text, err error) {
	var m collectorv1.ExportLogsServiceRequest
	if err := proto.Unmarshal(request, &m); err != nil {
		return nil, err
	}
	for _, resource := range m.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				var l line
				l.split([]byte(record.GetBody().GetStringValue()))
				last := len(l.field) - 1
				for last > 0 && l.field[last] == nil {
					last--
				}
				all = append(all, text{time.Unix(0, int64(record.GetTimeUnixNano())).UnixNano(), string(bytes.Join(l.field[:last+1], separator))})
			}
		}
	}
	return all, nil
}

// Whatever protobuf's own types take, eachLine takes alike.
func FuzzEachLine(f *testing.F) {
	body := func(s string) *commonv1.AnyValue {
		return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: s}}
	}
	for _, m := range []*collectorv1.ExportLogsServiceRequest{
		{},
		{ResourceLogs: []*logsv1.ResourceLogs{{SchemaUrl: "x", ScopeLogs: []*logsv1.ScopeLogs{{LogRecords: []*logsv1.LogRecord{
			{TimeUnixNano: 7, Body: body("a\x1fb\x1f-\x1fc")},
			{},
			{Body: body("-")},
			{Body: &commonv1.AnyValue{Value: &commonv1.AnyValue_IntValue{IntValue: 3}}},
			{Attributes: []*commonv1.KeyValue{{Key: "k", Value: body("v")}}, TraceId: []byte{1}, Flags: 3, SeverityNumber: 2},
		}}, {}}}, {}}},
	} {
		seed, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
		f.Add(append(seed, 0x0a, 0xff))
	}
	// A record whose body is there twice, as text and then as a number.
	f.Add([]byte{0x0a, 0x0d, 0x12, 0x0b, 0x12, 0x09, 0x2a, 0x03, 0x0a, 0x01, 'a', 0x2a, 0x02, 0x18, 0x01})
	f.Fuzz(func(t *testing.T, request []byte) {
		want, wantErr := linesByProtobuf(request)
		got, err := linesOf(request)
		if wantErr == nil && err != nil {
			t.Fatalf("refused: %v", err)
		}
		if wantErr == nil && !slices.Equal(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func TestSplit(t *testing.T) {
	t.Parallel()
	var l line
	full := bytes.Repeat(append([]byte("x"), separator...), int(envoy.LogFields)+3)
	l.split(full)
	if got := l.field[envoy.LogUsage]; !bytes.Equal(got, []byte("x\x1fx\x1fx\x1fx\x1f")) {
		t.Errorf("the last field is %q", got)
	}
	l.split([]byte("id\x1f-\x1fmode"))
	if string(l.field[envoy.LogDecision]) != "id" || l.field[envoy.LogDeployment] != nil || string(l.field[envoy.LogMode]) != "mode" ||
		l.field[envoy.LogPolicy] != nil || l.field[envoy.LogUsage] != nil {
		t.Errorf("%q", l.field)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{
		"": 0, "0": 0, "17": 17, "-1": 0, "1.5": 0, "x": 0, "99999999999999999999999999": 0, "123456789012": 123456789012,
	} {
		var l line
		l.field[envoy.LogStatus] = []byte(value)
		if got := l.number(envoy.LogStatus); got != want {
			t.Errorf("%q is %d, want %d", value, got, want)
		}
	}
}
