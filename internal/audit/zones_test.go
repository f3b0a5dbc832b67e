package audit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/internal/audit"
)

const at = `"time":"2026-01-01T00:00:00Z"`

func TestReadZones(t *testing.T) {
	t.Parallel()
	log := strings.Join([]string{
		`{` + at + `,"decision":"1","deployment":"chat","zone":"eu","attempts":1,"served":{"backend":"a","zone":"eu"},"chain":[{"backend":"a","zone":"eu"}]}`,
		`{` + at + `,"decision":"2","deployment":"chat","zone":"eu","attempts":2,"served":{"backend":"b","zone":"eu"},"chain":[{"backend":"a","zone":"eu"},{"backend":"b","zone":"eu"}]}`,
		``,
		`{` + at + `,"decision":"3","deployment":"chat","zone":"eu","attempts":0,"status":503}`,
		// Served elsewhere; named in the chain, but never tried; tried elsewhere.
		`{` + at + `,"decision":"4","deployment":"chat","zone":"eu","attempts":1,"served":{"backend":"u","zone":"us"}}`,
		`{` + at + `,"decision":"5","deployment":"chat","zone":"eu","attempts":1,"served":{"backend":"a","zone":"eu"},"chain":[{"backend":"a","zone":"eu"},{"backend":"u","zone":"us"}]}`,
		`{` + at + `,"decision":"6","deployment":"chat","zone":"eu","attempts":2,"served":{"backend":"a","zone":"eu"},"chain":[{"backend":"g"},{"backend":"a","zone":"eu"}]}`,
		// Envoy stopped it.
		`{` + at + `,"decision":"r","deployment":"chat","zone":"eu","attempts":2,"details":"rbac_access_denied_matched_policy[none]","served":{"backend":"u","zone":"us"},"chain":[{"backend":"a","zone":"eu"},{"backend":"u","zone":"us"}]}`,
		// A deployment of no zone goes anywhere.
		`{` + at + `,"decision":"7","deployment":"auto","attempts":1,"served":{"backend":"u","zone":"us"}}`,
		`{` + at + `,"decision":"8","deployment":"auto","zone":"global","attempts":1,"served":{"backend":"g"}}`,
		`{` + at + `,"decision":"9","status":404,"attempts":0}`,
	}, "\n")
	z, err := audit.ReadZones(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	want := &audit.Zones{
		Records: 10,
		Deployments: []audit.Deployment{
			{Deployment: "", Zone: "global", Requests: 1, Served: map[string]int{}, Unserved: 1},
			{Deployment: "auto", Zone: "global", Requests: 2, Served: map[string]int{"us": 1, "global": 1}},
			{Deployment: "chat", Zone: "eu", Requests: 7, Served: map[string]int{"eu": 4, "us": 1}, Unserved: 1, Refused: 1},
		},
		Crossings: []audit.Crossing{
			{Line: 5, Decision: "4", Deployment: "chat", Zone: "eu", Backend: "u", Into: "us", How: "served"},
			{Line: 7, Decision: "6", Deployment: "chat", Zone: "eu", Backend: "g", Into: "global", How: "attempted"},
		},
	}
	if diff := cmp.Diff(want, z); diff != "" {
		t.Error(diff)
	}
	if err := z.Err(); err == nil || !strings.Contains(err.Error(), "line 7: decision 6 of deployment chat in zone eu was attempted by backend g in zone global") {
		t.Errorf("error %v", err)
	}
	if got := z.String(); !strings.Contains(got, "chat (zone eu): 7 requests, 4 in eu, 1 in us, 1 reached no backend, 1 stopped on their way out\n") ||
		!strings.HasPrefix(got, "10 requests, 2 left their data zone\n") {
		t.Errorf("report\n%s", got)
	}
}

func TestReadZonesFaults(t *testing.T) {
	t.Parallel()
	for log, want := range map[string]string{
		"{" + at + "}\nnot a record\n": "line 2 is no record",
		"{}":                           "line 1 is no record: it has no time",
		"{" + at:                       "line 1 is no record",
		`{"level":"info"}`:             "it has no time",
	} {
		if _, err := audit.ReadZones(strings.NewReader(log)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", log, err)
		}
	}
	z, err := audit.ReadZones(strings.NewReader(""))
	if err != nil || z.Records != 0 || z.Err() != nil {
		t.Errorf("an empty log: %+v, %v", z, err)
	}
}

func FuzzReadZones(f *testing.F) {
	f.Add("{" + at + `,"zone":"eu","attempts":-1,"chain":[{}]}`)
	f.Add("[]\n{}")
	f.Fuzz(func(t *testing.T, log string) {
		z, err := audit.ReadZones(strings.NewReader(log))
		if (z == nil) == (err == nil) {
			t.Errorf("%v, %v", z, err)
		}
		if z != nil {
			_ = z.String()
		}
	})
}
