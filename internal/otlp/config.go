package otlp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Config says where to send what. What it leaves open, and headers, certificates,
// sampler, resource and intervals, is in the environment, as OpenTelemetry's
// specification has it: OTEL_EXPORTER_OTLP_ENDPOINT and others.
type Config struct {
	// Endpoint is a URL such as http://collector:4318. Empty: the environment's.
	Endpoint string
	// Protocol is GRPC or HTTP. Empty: the environment's, or else HTTP.
	Protocol string
	// Queue bounds the records that wait to be sent. DefaultQueue.
	Queue int
	// Timeout bounds one sending of spans, the exporter's own retries included.
	// DefaultTimeout.
	Timeout time.Duration
	Version string // of Wye
	Logger  zerolog.Logger
}

// The protocols, as OTEL_EXPORTER_OTLP_PROTOCOL spells them.
const (
	GRPC = "grpc"
	HTTP = "http/protobuf"
)

// The defaults of a Config.
const (
	DefaultQueue   = 8192
	DefaultTimeout = 10 * time.Second
)

// Enabled reports whether anything is to be sent: an endpoint is named, here or in
// the environment, and the environment does not turn the SDK off.
func (c *Config) Enabled() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	return c.Endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") != ""
}

// signal is one kind of telemetry: its name in URLs and variables.
type signal struct{ path, variable string }

var (
	traces  = signal{"traces", "TRACES"}
	metrics = signal{"metrics", "METRICS"}
)

// wanted reports whether the signal has an endpoint and is not turned off.
func (c *Config) wanted(s signal) bool {
	if os.Getenv("OTEL_"+s.variable+"_EXPORTER") == "none" {
		return false
	}
	return c.Endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" ||
		os.Getenv("OTEL_EXPORTER_OTLP_"+s.variable+"_ENDPOINT") != ""
}

// protocol of a signal.
func (c *Config) protocol(s signal) (string, error) {
	for _, p := range []string{c.Protocol, os.Getenv("OTEL_EXPORTER_OTLP_" + s.variable + "_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")} {
		switch p {
		case "":
		case GRPC, HTTP:
			return p, nil
		default:
			return "", fmt.Errorf("OTLP protocol %q: it must be %s or %s", p, GRPC, HTTP)
		}
	}
	return HTTP, nil
}

var errEndpoint = errors.New("it must be a URL such as http://collector:4318")

// endpoint is the URL for a signal; empty: the exporter takes the environment's.
func (c *Config) endpoint(s signal, protocol string) (string, error) {
	if c.Endpoint == "" {
		return "", nil
	}
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("OTLP endpoint %q: %w", c.Endpoint, errEndpoint)
	}
	if protocol == HTTP {
		u = u.JoinPath("v1", s.path)
	}
	return u.String(), nil
}

// spanExporter returns nil if no spans are wanted.
func (c *Config) spanExporter(ctx context.Context) (trace.SpanExporter, error) {
	if !c.wanted(traces) {
		return nil, nil
	}
	protocol, err := c.protocol(traces)
	if err != nil {
		return nil, err
	}
	at, err := c.endpoint(traces, protocol)
	if err != nil {
		return nil, err
	}
	if protocol == GRPC {
		var options []otlptracegrpc.Option
		if at != "" {
			options = append(options, otlptracegrpc.WithEndpointURL(at))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	var options []otlptracehttp.Option
	if at != "" {
		options = append(options, otlptracehttp.WithEndpointURL(at))
	}
	return otlptracehttp.New(ctx, options...)
}

// metricExporter returns nil if no metrics are wanted.
func (c *Config) metricExporter(ctx context.Context) (metric.Exporter, error) {
	if !c.wanted(metrics) {
		return nil, nil
	}
	protocol, err := c.protocol(metrics)
	if err != nil {
		return nil, err
	}
	at, err := c.endpoint(metrics, protocol)
	if err != nil {
		return nil, err
	}
	if protocol == GRPC {
		var options []otlpmetricgrpc.Option
		if at != "" {
			options = append(options, otlpmetricgrpc.WithEndpointURL(at))
		}
		return otlpmetricgrpc.New(ctx, options...)
	}
	var options []otlpmetrichttp.Option
	if at != "" {
		options = append(options, otlpmetrichttp.WithEndpointURL(at))
	}
	return otlpmetrichttp.New(ctx, options...)
}
