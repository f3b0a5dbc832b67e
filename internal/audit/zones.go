// Package audit reads decision logs and sums up what they prove.
package audit

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"wye/router"
	"wye/usage"
)

// Zones is where the requests in a decision log were served.
type Zones struct {
	Records     int          `json:"records"`
	Deployments []Deployment `json:"deployments"` // by name, then zone
	// Crossings are requests of a deployment of one zone that were sent to another.
	Crossings []Crossing `json:"crossings"`
}

// Deployment is what became of the requests of one deployment while it was of
// one zone.
type Deployment struct {
	Deployment string         `json:"deployment"` // empty: the request named none that exists
	Zone       string         `json:"zone"`
	Requests   int            `json:"requests"`
	Served     map[string]int `json:"served"`   // by the zone of the backend that answered last
	Unserved   int            `json:"unserved"` // that reached no backend
	Refused    int            `json:"refused"`  // that Envoy stopped on their way out of the zone
}

// Crossing is one request that left its zone.
type Crossing struct {
	Line       int    `json:"line"`
	Decision   string `json:"decision"`
	Deployment string `json:"deployment"`
	Zone       string `json:"zone"`
	Backend    string `json:"backend"`
	Into       string `json:"into"` // zone of the backend
	How        string `json:"how"`  // served, or attempted
}

// maxLine bounds a record: with prompts in it, it may be long.
const maxLine = 64 << 20

// ReadZones sums up a log of one JSON record a line. A line that is no record is
// an error, because nobody knows what it would have said.
func ReadZones(r io.Reader) (*Zones, error) {
	z := &Zones{Deployments: []Deployment{}, Crossings: []Crossing{}}
	type key struct{ deployment, zone string }
	all := make(map[key]*Deployment)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var record usage.Record
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			return nil, fmt.Errorf("line %d is no record: %w", n, err)
		}
		if record.Time.IsZero() {
			return nil, fmt.Errorf("line %d is no record: it has no time", n)
		}
		z.Records++
		zone := cmp.Or(record.Zone, router.ZoneGlobal)
		d := all[key{record.Deployment, zone}]
		if d == nil {
			d = &Deployment{Deployment: record.Deployment, Zone: zone, Served: make(map[string]int)}
			all[key{record.Deployment, zone}] = d
		}
		d.Requests++
		switch {
		case refused(&record):
			d.Refused++
		case record.Served == nil:
			d.Unserved++
		default:
			d.Served[cmp.Or(record.Served.Zone, router.ZoneGlobal)]++
		}
		z.Crossings = append(z.Crossings, crossings(n, zone, &record)...)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("it is longer than %d bytes", maxLine)
		}
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	for _, d := range all {
		z.Deployments = append(z.Deployments, *d)
	}
	slices.SortFunc(z.Deployments, func(a, b Deployment) int {
		return cmp.Or(strings.Compare(a.Deployment, b.Deployment), strings.Compare(a.Zone, b.Zone))
	})
	return z, nil
}

// refused reports whether Envoy's own lock stopped the last attempt, which then
// never reached the backend that it was for.
func refused(r *usage.Record) bool { return strings.HasPrefix(r.Details, "rbac_access_denied") }

// crossings are the backends outside of the zone that a request was sent to: by
// each attempt of its chain that was made, and at last.
func crossings(line int, zone string, r *usage.Record) []Crossing {
	var found []Crossing
	note := func(p *usage.Place, how string) {
		into := cmp.Or(p.Zone, router.ZoneGlobal)
		if !router.ZoneAllows(zone, into) && !slices.ContainsFunc(found, func(c Crossing) bool { return c.Backend == p.Backend }) {
			found = append(found, Crossing{
				Line: line, Decision: r.Decision, Deployment: r.Deployment, Zone: zone, Backend: p.Backend, Into: into, How: how,
			})
		}
	}
	made := r.Attempts
	switch {
	case refused(r):
		made--
	case r.Served != nil:
		note(r.Served, "served")
	}
	for i := range min(max(made, 0), len(r.Chain)) {
		note(&r.Chain[i], "attempted")
	}
	return found
}

// Err is an error that names the crossings, nil if there are none.
func (z *Zones) Err() error {
	if len(z.Crossings) == 0 {
		return nil
	}
	const shown = 10
	var errs []error
	for i, c := range z.Crossings {
		if i == shown {
			errs = append(errs, fmt.Errorf("and %d more", len(z.Crossings)-shown))
			break
		}
		errs = append(errs, fmt.Errorf("line %d: decision %s of deployment %s in zone %s was %s by backend %s in zone %s",
			c.Line, c.Decision, c.Deployment, c.Zone, c.How, c.Backend, c.Into))
	}
	return errors.Join(errs...)
}

// String is the report for people.
func (z *Zones) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests, %d left their data zone\n", z.Records, len(z.Crossings))
	for _, d := range z.Deployments {
		fmt.Fprintf(&b, "  %s (zone %s): %d requests", cmp.Or(d.Deployment, "(no deployment)"), d.Zone, d.Requests)
		zones := make([]string, 0, len(d.Served))
		for zone := range d.Served {
			zones = append(zones, zone)
		}
		slices.Sort(zones)
		for _, zone := range zones {
			fmt.Fprintf(&b, ", %d in %s", d.Served[zone], zone)
		}
		if d.Unserved > 0 {
			fmt.Fprintf(&b, ", %d reached no backend", d.Unserved)
		}
		if d.Refused > 0 {
			fmt.Fprintf(&b, ", %d stopped on their way out", d.Refused)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
