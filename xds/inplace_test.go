package xds_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// A cluster that changes under its name, as when another backend brings a new
// credential header, serves all the time, and Stage does not take long over it.
func TestClusterChangesInPlace(t *testing.T) {
	t.Parallel()
	p := newProvider(t, nil)
	s := generation(t, 0, p)
	g := startGateway(t, s, gatewayOptions{})
	g.options.ConnectTimeout = 1234 * time.Millisecond
	began := time.Now()
	if err := g.server.Publish(t.Context(), g.build(s)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("publishing took %v", took)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if a := g.chat(plan{Deployment: "auto", SendAs: "m0", Clusters: []string{first(s, 0)}}); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		body, err := g.process.Admin(t.Context(), http.MethodGet, "/config_dump?resource=dynamic_active_clusters")
		if err != nil {
			t.Fatal(err)
		}
		var dump struct {
			Configs []struct {
				Cluster struct {
					Name    string `json:"name"`
					Timeout string `json:"connect_timeout"`
				} `json:"cluster"`
			} `json:"configs"`
		}
		if err := json.Unmarshal(body, &dump); err != nil {
			t.Fatal(err)
		}
		changed := 0
		for _, c := range dump.Configs {
			if c.Cluster.Timeout == "1.234s" {
				changed++
			}
		}
		if changed == len(s.Backends)*2 {
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("%d clusters changed: %s", changed, body)
		}
	}
}
