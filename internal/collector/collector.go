// Package collector is an OpenTelemetry collector for tests: it takes traces and
// metrics over gRPC and over HTTP, and keeps them.
package collector

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	metricsv1 "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	metricv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	spanv1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// Collector is what was received.
type Collector struct {
	GRPC, HTTP string // base URLs

	mu        sync.Mutex
	spans     []*spanv1.Span
	metrics   map[string]*metricv1.Metric // the newest of each name
	resources map[string]string           // attributes of the last resource
}

// Start listens until the test ends.
func Start(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{metrics: make(map[string]*metricv1.Metric)}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	tracev1.RegisterTraceServiceServer(server, traceService{c: c})
	metricsv1.RegisterMetricsServiceServer(server, metricsService{c: c})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(lis) // ends with Stop
	}()
	web := httptest.NewServer(http.HandlerFunc(c.serveHTTP))
	t.Cleanup(func() {
		server.Stop()
		<-done
		web.Close()
	})
	c.GRPC, c.HTTP = "http://"+lis.Addr().String(), web.URL
	return c
}

type traceService struct {
	tracev1.UnimplementedTraceServiceServer
	c *Collector
}

// Export implements tracev1.TraceServiceServer.
func (s traceService) Export(_ context.Context, r *tracev1.ExportTraceServiceRequest) (*tracev1.ExportTraceServiceResponse, error) {
	s.c.takeSpans(r)
	return new(tracev1.ExportTraceServiceResponse), nil
}

type metricsService struct {
	metricsv1.UnimplementedMetricsServiceServer
	c *Collector
}

// Export implements metricsv1.MetricsServiceServer.
func (s metricsService) Export(_ context.Context, r *metricsv1.ExportMetricsServiceRequest) (*metricsv1.ExportMetricsServiceResponse, error) {
	s.c.takeMetrics(r)
	return new(metricsv1.ExportMetricsServiceResponse), nil
}

func (c *Collector) serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	switch r.URL.Path {
	case "/v1/traces":
		var m tracev1.ExportTraceServiceRequest
		if err = proto.Unmarshal(body, &m); err == nil {
			c.takeSpans(&m)
		}
	case "/v1/metrics":
		var m metricsv1.ExportMetricsServiceRequest
		if err = proto.Unmarshal(body, &m); err == nil {
			c.takeMetrics(&m)
		}
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
}

func (c *Collector) takeSpans(r *tracev1.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		c.resources = Attributes(resource.GetResource().GetAttributes())
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
}

func (c *Collector) takeMetrics(r *metricsv1.ExportMetricsServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceMetrics() {
		for _, scope := range resource.GetScopeMetrics() {
			for _, m := range scope.GetMetrics() {
				c.metrics[m.GetName()] = m
			}
		}
	}
}

// Spans are those received so far.
func (c *Collector) Spans() []*spanv1.Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*spanv1.Span(nil), c.spans...)
}

// Resource are the attributes of what sent the last spans.
func (c *Collector) Resource() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resources
}

// Histogram sums up the newest points of a histogram: how many values there were,
// and their sum. match, unless empty, is an attribute's value that points must have.
func (c *Collector) Histogram(name, match string) (count uint64, sum float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.metrics[name].GetHistogram().GetDataPoints() {
		matches := match == ""
		for _, value := range Attributes(p.GetAttributes()) {
			matches = matches || value == match
		}
		if matches {
			count += p.GetCount()
			sum += p.GetSum()
		}
	}
	return count, sum
}

// Attributes are the attributes as text.
func Attributes(all []*commonv1.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range all {
		switch v := a.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			m[a.GetKey()] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			m[a.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		case *commonv1.AnyValue_DoubleValue:
			m[a.GetKey()] = strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
		case *commonv1.AnyValue_BoolValue:
			m[a.GetKey()] = strconv.FormatBool(v.BoolValue)
		default:
			m[a.GetKey()] = a.GetValue().String()
		}
	}
	return m
}
