// Package telemetry counts what Wye does, for Prometheus. It observes and must
// not influence anything; label values come from policies and from fixed lists,
// never from clients, so that cardinality stays bounded.
package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"wye/extproc"
	"wye/router"
	"wye/wire"
	"wye/xds"
)

// Sources are the figures that others keep and that are read when scraped.
type Sources struct {
	// Policy returns the hash of the policy in force and how many edits came
	// into force or were refused.
	Policy func() (hash string, reloads, failures int)
	// PolicyAge returns for how long that policy has been in force.
	PolicyAge func() time.Duration
	// XDS returns the counts of the ADS server.
	XDS func() xds.Counters
	// Callers returns how many limits of callers are held, and how often there was
	// no room for one.
	Callers func() (held int, crowded int64)
	// Budgets returns where the deployments stand that have one.
	Budgets func() []Budget
}

// Budget is where a deployment stands against what it should spend.
type Budget struct {
	Deployment string
	USD        float64 // in 24 hours
	Spent      float64 // in the last 24 hours
	Step       int     // 0: any mode, 1: no more quality, 2: cost
}

// Metrics holds the collectors. It is safe for concurrent use.
type Metrics struct {
	// Registry gathers everything.
	Registry *prometheus.Registry

	decisions    *prometheus.CounterVec
	eliminations *prometheus.CounterVec
	sessions     *prometheus.CounterVec
	problems     *prometheus.CounterVec
	duration     prometheus.Histogram
	body         prometheus.Histogram
	fallbacks    prometheus.Counter
	openings     *prometheus.CounterVec
	protocol     prometheus.Counter
	panics       prometheus.Counter
}

// New returns metrics that read from src when scraped. version is Wye's own.
func New(version string, src Sources) *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wye_decisions_total", Help: "Requests routed, by deployment, mode and the model of the first attempt.",
		}, []string{"deployment", "mode", "model"}),
		eliminations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wye_eliminations_total", Help: "Models left out of a decision, by model and reason.",
		}, []string{"model", "reason"}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wye_session_decisions_total", Help: "What decisions meant for their conversations: initialize, retain or switch a model.",
		}, []string{"deployment", "decision"}),
		problems: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wye_refusals_total", Help: "Requests answered with an error by Wye itself, by status and code.",
		}, []string{"status", "code"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wye_decision_duration_seconds", Help: "Time to scan, route and rewrite one request; not the wait for its body.",
			Buckets: []float64{.000025, .00005, .0001, .0002, .0005, .001, .002, .005, .01, .1},
		}),
		body: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wye_request_body_bytes", Help: "Size of decoded request bodies.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 9),
		}),
		fallbacks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wye_fallback_rewrites_total", Help: "Bodies rewritten for a retry on another model.",
		}),
		openings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wye_first_token_failures_total",
			Help: "Answers of status 200 that failed before their first token and were given up for the next backend, by reason.",
		}, []string{"reason"}),
		protocol: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wye_extproc_protocol_errors_total", Help: "Streams ended because the ext_proc messages made no sense.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wye_panics_total", Help: "Panics contained to one request; each is a bug.",
		}),
	}
	m.Registry.MustRegister(
		m.decisions, m.eliminations, m.sessions, m.problems, m.duration, m.body, m.fallbacks, m.openings, m.protocol, m.panics,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		sources{version: version, src: src},
	)
	return m
}

// Observer returns the hooks for the ext_proc server.
func (m *Metrics) Observer() extproc.Observer {
	return extproc.Observer{
		Decision: m.decision,
		Problem:  m.problem,
		Fallback: m.fallbacks.Inc,
		Opening:  func(f extproc.OpeningFault) { m.openings.WithLabelValues(f.String()).Inc() },
		Protocol: func(error) { m.protocol.Inc() },
		Panic:    m.panics.Inc,
	}
}

func (m *Metrics) decision(e *extproc.Event) {
	d := e.Decision
	first, _ := d.First()
	m.decisions.WithLabelValues(d.Deployment.Name, d.Mode.String(), first.Name).Inc()
	m.eliminated(d)
	if c := d.Continuity(); c != router.ContinuityNone {
		m.sessions.WithLabelValues(d.Deployment.Name, c.String()).Inc()
	}
	m.duration.Observe(e.Elapsed.Seconds())
	m.body.Observe(float64(e.BodyBytes))
}

func (m *Metrics) eliminated(d *router.Decision) {
	for i := d.Ranked; i < len(d.Candidates); i++ {
		c := &d.Candidates[i]
		m.eliminations.WithLabelValues(d.Snapshot.Models[c.Model].Name, c.Reason.String()).Inc()
	}
}

func (m *Metrics) problem(e *extproc.Event, p *wire.Problem) {
	code := p.Code
	if code == "" {
		code = p.Type
	}
	m.problems.WithLabelValues(strconv.Itoa(p.Status), code).Inc()
	if d := e.Decision; d != nil && d.Deployment != nil {
		m.eliminated(d)
	}
}

// sources collects what others keep.
type sources struct {
	version string
	src     Sources
}

var (
	descBuild   = prometheus.NewDesc("wye_build_info", "Always 1; the label is the version of Wye.", []string{"version"}, nil)
	descPolicy  = prometheus.NewDesc("wye_policy_info", "Always 1; the label is the hash of the policy in force.", []string{"policy"}, nil)
	descAge     = prometheus.NewDesc("wye_snapshot_age_seconds", "Time since the policy in force came into force.", nil, nil)
	descReloads = prometheus.NewDesc("wye_policy_reloads_total", "Policy edits, by result.", []string{"result"}, nil)
	descEnvoys  = prometheus.NewDesc("wye_xds_streams", "ADS streams that are open, one an Envoy.", nil, nil)
	descAcks    = prometheus.NewDesc("wye_xds_acks_total", "Responses that an Envoy acknowledged.", nil, nil)
	descCallers = prometheus.NewDesc("wye_limited_callers", "Limits of callers that are held.", nil, nil)
	descCrowded = prometheus.NewDesc("wye_limited_callers_crowded_total", "Requests and tokens that were counted to the limit that callers share for whom there is no room.", nil, nil)
	descBudget  = prometheus.NewDesc("wye_budget_dollars", "What a deployment should spend in 24 hours.", []string{"deployment"}, nil)
	descSpent   = prometheus.NewDesc("wye_budget_spent_dollars", "What a deployment has spent in the last 24 hours.", []string{"deployment"}, nil)
	descStep    = prometheus.NewDesc("wye_budget_step", "What a deployment's budget asks for: 0 nothing, 1 balanced mode at least, 2 cost mode.", []string{"deployment"}, nil)
	descNacks   = prometheus.NewDesc("wye_xds_nacks_total", "Responses that an Envoy refused.", nil, nil)
)

// Describe implements prometheus.Collector.
func (sources) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBuild, descPolicy, descAge, descReloads, descEnvoys, descAcks, descNacks, descCallers, descCrowded, descBudget, descSpent, descStep} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s sources) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(descBuild, prometheus.GaugeValue, 1, s.version)
	hash, reloads, failures := s.src.Policy()
	ch <- prometheus.MustNewConstMetric(descPolicy, prometheus.GaugeValue, 1, hash)
	ch <- prometheus.MustNewConstMetric(descAge, prometheus.GaugeValue, s.src.PolicyAge().Seconds())
	ch <- prometheus.MustNewConstMetric(descReloads, prometheus.CounterValue, float64(reloads), "in_force")
	ch <- prometheus.MustNewConstMetric(descReloads, prometheus.CounterValue, float64(failures), "refused")
	c := s.src.XDS()
	ch <- prometheus.MustNewConstMetric(descEnvoys, prometheus.GaugeValue, float64(c.Streams))
	ch <- prometheus.MustNewConstMetric(descAcks, prometheus.CounterValue, float64(c.Acks))
	ch <- prometheus.MustNewConstMetric(descNacks, prometheus.CounterValue, float64(c.Nacks))
	held, crowded := s.src.Callers()
	ch <- prometheus.MustNewConstMetric(descCallers, prometheus.GaugeValue, float64(held))
	ch <- prometheus.MustNewConstMetric(descCrowded, prometheus.CounterValue, float64(crowded))
	for _, b := range s.src.Budgets() {
		ch <- prometheus.MustNewConstMetric(descBudget, prometheus.GaugeValue, b.USD, b.Deployment)
		ch <- prometheus.MustNewConstMetric(descSpent, prometheus.GaugeValue, b.Spent, b.Deployment)
		ch <- prometheus.MustNewConstMetric(descStep, prometheus.GaugeValue, float64(b.Step), b.Deployment)
	}
}
