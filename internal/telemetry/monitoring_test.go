package telemetry_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"wye/extproc"
	"wye/router"
	"wye/usage"
	"wye/wire"
)

// known are the names of all series that Wye exports, once everything has
// happened.
func known(t *testing.T) map[string]bool {
	t.Helper()
	m, u := usageMetrics()
	o := m.Observer()
	o.Decision(route(t, router.Request{Deployment: []byte("chat"), Needs: router.CapVision}))
	o.Problem(route(t, router.Request{Deployment: []byte("chat")}), &wire.Problem{Status: 400, Code: "x"})
	o.Fallback()
	o.Opening(extproc.OpeningError)
	u.Add(served(nil))
	u.Add(served(func(r *usage.Record) { r.Usage, r.Unknown = nil, usage.Unreported }))
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		names[f.GetName()] = true
		if len(f.GetMetric()) > 0 && f.GetMetric()[0].GetHistogram() != nil {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[f.GetName()+suffix] = true
			}
		}
	}
	return names
}

var series = regexp.MustCompile(`\b(wye|gen_ai)_[a-z_]+\b`)

// labels are the names in label matchers and in by(…), which are no series.
var labels = regexp.MustCompile(`gen_ai_(operation_name|request_model|response_model|token_type)\b`)

// checkExpression fails the test unless expr is balanced and every series in it
// exists.
func checkExpression(t *testing.T, where, expr string, names map[string]bool) {
	t.Helper()
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: %s do not match in %s", where, pair, expr)
		}
	}
	found := series.FindAllString(labels.ReplaceAllString(expr, ""), -1)
	if len(found) == 0 {
		t.Errorf("%s: no series of Wye's in %q", where, expr)
	}
	for _, name := range found {
		if !names[name] {
			t.Errorf("%s: there is no series %s", where, name)
		}
	}
}

func example(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "monitoring", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	names := known(t)
	var rules struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(example(t, "alerts.yaml"))))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("incomplete or doubled: %+v", r)
			}
			seen[r.Alert] = true
			checkExpression(t, r.Alert, r.Expr, names)
		}
	}
	if len(seen) < 8 {
		t.Errorf("%d alerts", len(seen))
	}
}

func TestDashboard(t *testing.T) {
	t.Parallel()
	names := known(t)
	var board struct {
		Title         string `json:"title"`
		UID           string `json:"uid"`
		SchemaVersion int    `json:"schemaVersion"`
		Panels        []struct {
			ID      int    `json:"id"`
			Title   string `json:"title"`
			Type    string `json:"type"`
			GridPos struct{ X, Y, W, H int }
			Targets []struct {
				RefID string `json:"refId"`
				Expr  string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(example(t, "dashboard.json"), &board); err != nil {
		t.Fatal(err)
	}
	if board.Title == "" || board.UID == "" || board.SchemaVersion == 0 || len(board.Panels) == 0 {
		t.Errorf("incomplete: %+v", board)
	}
	ids, places := map[int]bool{}, map[[2]int]bool{}
	for _, p := range board.Panels {
		at := [2]int{p.GridPos.X, p.GridPos.Y}
		if p.Title == "" || p.Type == "" || p.ID == 0 || ids[p.ID] || places[at] || p.GridPos.W == 0 || p.GridPos.H == 0 || len(p.Targets) == 0 {
			t.Errorf("incomplete, or in the place of another: %+v", p)
		}
		ids[p.ID], places[at] = true, true
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if q.RefID == "" || refs[q.RefID] {
				t.Errorf("%s: query %q twice", p.Title, q.RefID)
			}
			refs[q.RefID] = true
			checkExpression(t, p.Title, q.Expr, names)
		}
	}
}
