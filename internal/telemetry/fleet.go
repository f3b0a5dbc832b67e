package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"wye/control"
)

// FleetSources are the figures that a control plane keeps.
type FleetSources struct {
	// Policy returns the hash of the policy that is handed out and how many edits
	// were taken or refused.
	Policy   func() (hash string, reloads, failures int)
	Members  func() []control.Member
	Counters func() control.Counters
}

// Fleet returns a registry with a control plane's metrics.
func Fleet(version string, src FleetSources) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		fleet{version: version, src: src})
	return r
}

type fleet struct {
	version string
	src     FleetSources
}

var (
	descFleetMembers = prometheus.NewDesc("wye_fleet_members", "Members of the fleet, by how they stand to the policy that they are to have.", []string{"state"}, nil)
	descFleetAcks    = prometheus.NewDesc("wye_fleet_acks_total", "Policies that a member brought into force.", nil, nil)
	descFleetNacks   = prometheus.NewDesc("wye_fleet_nacks_total", "Policies that a member refused.", nil, nil)
	descFleetBytes   = prometheus.NewDesc("wye_fleet_sent_bytes_total", "Bytes of policy sent to members.", nil, nil)
)

// Describe implements prometheus.Collector.
func (fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBuild, descPolicy, descReloads, descFleetMembers, descFleetAcks, descFleetNacks, descFleetBytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f fleet) Collect(ch chan<- prometheus.Metric) {
	hash, reloads, failures := f.src.Policy()
	ch <- prometheus.MustNewConstMetric(descBuild, prometheus.GaugeValue, 1, f.version)
	ch <- prometheus.MustNewConstMetric(descPolicy, prometheus.GaugeValue, 1, hash)
	ch <- prometheus.MustNewConstMetric(descReloads, prometheus.CounterValue, float64(reloads), "in_force")
	ch <- prometheus.MustNewConstMetric(descReloads, prometheus.CounterValue, float64(failures), "refused")
	states := map[control.State]int{control.StateCurrent: 0, control.StateWaiting: 0, control.StateRefused: 0, control.StateGone: 0}
	for _, m := range f.src.Members() {
		states[m.State]++
	}
	for state, n := range states {
		ch <- prometheus.MustNewConstMetric(descFleetMembers, prometheus.GaugeValue, float64(n), string(state))
	}
	c := f.src.Counters()
	ch <- prometheus.MustNewConstMetric(descFleetAcks, prometheus.CounterValue, float64(c.Acks))
	ch <- prometheus.MustNewConstMetric(descFleetNacks, prometheus.CounterValue, float64(c.Nacks))
	ch <- prometheus.MustNewConstMetric(descFleetBytes, prometheus.CounterValue, float64(c.Bytes))
}

// Member adds how a sidecar stands to its control plane.
func (m *Metrics) Member(status func() control.ClientStatus) {
	m.Registry.MustRegister(membership(status))
}

type membership func() control.ClientStatus

var (
	descControl      = prometheus.NewDesc("wye_control_connected", "1 while a control plane is connected.", nil, nil)
	descControlAcks  = prometheus.NewDesc("wye_control_policies_total", "Policies from the control plane, by result.", []string{"result"}, nil)
	descControlFault = prometheus.NewDesc("wye_last_good_failures_total", "Policies in force that could not be kept on disk.", nil, nil)
)

// Describe implements prometheus.Collector.
func (membership) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descControl, descControlAcks, descControlFault} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m membership) Collect(ch chan<- prometheus.Metric) {
	s := m()
	connected := 0.0
	if s.Connected {
		connected = 1
	}
	ch <- prometheus.MustNewConstMetric(descControl, prometheus.GaugeValue, connected)
	ch <- prometheus.MustNewConstMetric(descControlAcks, prometheus.CounterValue, float64(s.Acks), "acknowledged")
	ch <- prometheus.MustNewConstMetric(descControlAcks, prometheus.CounterValue, float64(s.Nacks), "refused")
	ch <- prometheus.MustNewConstMetric(descControlFault, prometheus.CounterValue, float64(s.KeepFailures))
}
