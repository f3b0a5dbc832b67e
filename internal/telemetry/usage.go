package telemetry

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"wye/internal/otlp"
	"wye/usage"
)

// Usage counts what requests came to, as usage.Record says. The gen_ai_* metrics
// are OpenTelemetry's semantic conventions as Prometheus spells them; the model of
// a request is its deployment, that of a response the version that served.
type Usage struct {
	requests  *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	tokens    *prometheus.CounterVec
	cost      *prometheus.CounterVec
	atSingle  *prometheus.CounterVec
	atTop     *prometheus.CounterVec
	compared  *prometheus.CounterVec
	unknown   *prometheus.CounterVec
	unpriced  prometheus.Counter
	used      *prometheus.HistogramVec
	duration  *prometheus.HistogramVec
	first     *prometheus.HistogramVec
	perOutput *prometheus.HistogramVec
}

// UsageSources are the figures of accounting that are read when scraped. Log and
// OTLP may be nil.
type UsageSources struct {
	Sink func() usage.Counts
	Log  func() usage.LogCounts
	OTLP func() otlp.Counts
}

// The buckets that the semantic conventions advise.
var (
	tokenBuckets   = prometheus.ExponentialBuckets(1, 4, 14)
	secondsBuckets = prometheus.ExponentialBuckets(0.01, 2, 14)
	firstBuckets   = []float64{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	outputBuckets  = []float64{.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5}
)

// NewUsage registers the metrics of accounting with m.
func (m *Metrics) NewUsage(src UsageSources) *Usage {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.Registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		labels = append([]string{"gen_ai_operation_name", "gen_ai_request_model", "gen_ai_response_model"}, labels...)
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		m.Registry.MustRegister(h)
		return h
	}
	u := &Usage{
		requests: counter("wye_requests_total", "Requests that are over, by deployment and the status that the client got; 0: none.", "deployment", "status"),
		attempts: counter("wye_attempts_total", "Attempts of requests that are over.", "deployment"),
		tokens:   counter("wye_tokens_total", "Tokens that providers reported; cached is part of prompt, reasoning of completion.", "deployment", "model", "zone", "type"),
		cost:     counter("wye_cost_dollars_total", "What the reported tokens cost by the catalog, in US dollars.", "deployment", "model", "zone"),
		atSingle: counter("wye_single_model_cost_dollars_total", "What the same tokens would have cost at the deployment's best single model.", "deployment"),
		atTop:    counter("wye_top_model_cost_dollars_total", "What the same tokens would have cost at each prompt's best model by predicted quality.", "deployment"),
		compared: counter("wye_compared_cost_dollars_total", "What they did cost, over the requests in the two metrics of what they would have cost.", "deployment"),
		unknown:  counter("wye_unknown_usage_total", "Answers whose usage is not known, by reason; they are in no sum of tokens or cost.", "deployment", "reason"),
		unpriced: prometheus.NewCounter(prometheus.CounterOpts{Name: "wye_unpriced_usage_total", Help: "Answers with known usage and without a known price."}),
		used:     histogram("gen_ai_client_token_usage", "Tokens used by a request.", tokenBuckets, "gen_ai_token_type"),
		duration: histogram("gen_ai_server_request_duration_seconds", "Time from a request's arrival to the end of its response.", secondsBuckets),
		first:    histogram("gen_ai_server_time_to_first_token_seconds", "Time from a request's arrival to a stream's first byte.", firstBuckets),
		perOutput: histogram("gen_ai_server_time_per_output_token_seconds",
			"Time per output token after a stream's first byte.", outputBuckets),
	}
	m.Registry.MustRegister(u.unpriced, usageSources{src})
	return u
}

// Add counts a record.
func (u *Usage) Add(r *usage.Record) {
	u.requests.WithLabelValues(r.Deployment, strconv.Itoa(r.Status)).Inc()
	u.attempts.WithLabelValues(r.Deployment).Add(float64(r.Attempts))
	if r.Unknown != "" && r.Unknown != usage.NoAnswer {
		u.unknown.WithLabelValues(r.Deployment, string(r.Unknown)).Inc()
	}
	if r.Served == nil || r.Unknown == usage.NoAnswer {
		return
	}
	operation := r.Operation()
	u.duration.WithLabelValues(operation, r.Deployment, r.Served.Version).Observe(r.TotalSeconds)
	if r.Stream && r.FirstSeconds > 0 {
		u.first.WithLabelValues(operation, r.Deployment, r.Served.Version).Observe(r.FirstSeconds)
	}
	if r.Usage == nil {
		return
	}
	t := r.Usage
	if r.Stream && r.FirstSeconds > 0 && t.Completion > 1 {
		u.perOutput.WithLabelValues(operation, r.Deployment, r.Served.Version).
			Observe(max(r.TotalSeconds-r.FirstSeconds, 0) / float64(t.Completion-1))
	}
	u.used.WithLabelValues(operation, r.Deployment, r.Served.Version, "input").Observe(float64(t.Prompt))
	u.used.WithLabelValues(operation, r.Deployment, r.Served.Version, "output").Observe(float64(t.Completion))
	for _, kind := range [...]struct {
		name string
		n    int64
	}{{"prompt", t.Prompt}, {"cached", t.Cached}, {"completion", t.Completion}, {"reasoning", t.Reasoning}} {
		u.tokens.WithLabelValues(r.Deployment, r.Served.Model, r.Served.Zone, kind.name).Add(float64(kind.n))
	}
	if r.CostUSD == nil {
		u.unpriced.Inc()
		return
	}
	u.cost.WithLabelValues(r.Deployment, r.Served.Model, r.Served.Zone).Add(*r.CostUSD)
	if r.SingleUSD != nil && r.TopUSD != nil {
		u.atSingle.WithLabelValues(r.Deployment).Add(*r.SingleUSD)
		u.atTop.WithLabelValues(r.Deployment).Add(*r.TopUSD)
		u.compared.WithLabelValues(r.Deployment).Add(*r.CostUSD)
	}
}

// usageSources collects what others keep.
type usageSources struct{ src UsageSources }

var (
	descPending   = prometheus.NewDesc("wye_usage_pending", "Requests that were decided and whose end is not reported.", nil, nil)
	descEntries   = prometheus.NewDesc("wye_usage_entries_total", "Access log entries received.", nil, nil)
	descLost      = prometheus.NewDesc("wye_usage_lost_total", "Decisions forgotten before their end was reported, by reason.", []string{"reason"}, nil)
	descUndecided = prometheus.NewDesc("wye_usage_undecided_total", "Access log entries whose decision was not known.", nil, nil)
	descLog       = prometheus.NewDesc("wye_decision_log_records_total", "Records for the decision log, by result.", []string{"result"}, nil)
	descSpans     = prometheus.NewDesc("wye_otlp_spans_total", "Spans for the OpenTelemetry collector, by result.", []string{"result"}, nil)
)

// Describe implements prometheus.Collector.
func (usageSources) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descPending, descEntries, descLost, descUndecided, descLog, descSpans} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s usageSources) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	c := s.src.Sink()
	ch <- prometheus.MustNewConstMetric(descPending, prometheus.GaugeValue, float64(c.Pending))
	counter(descEntries, c.Entries)
	counter(descLost, c.Crowded, "crowded")
	counter(descLost, c.Expired, "expired")
	counter(descUndecided, c.Undecided)
	if s.src.Log != nil {
		l := s.src.Log()
		counter(descLog, l.Written, "written")
		counter(descLog, l.Dropped, "dropped")
		counter(descLog, l.Failed, "failed")
	}
	if s.src.OTLP != nil {
		o := s.src.OTLP()
		counter(descSpans, o.Sent, "sent")
		counter(descSpans, o.Dropped, "dropped")
		counter(descSpans, o.Failed, "failed")
	}
}
