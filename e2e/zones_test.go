package e2e_test

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wye/e2e/internal/liar"
	"wye/e2e/internal/rig"
)

// lies is what a compromised ext_proc server could say about a request for a
// deployment of the zone eu, on an Envoy that has every zone.
func lies(t *testing.T, s *rig.Stack, in, out []string) map[string]liar.Lie {
	t.Helper()
	groups := func(v any) liar.Lie {
		return liar.Fields(map[string]any{"wye.route": map[string]any{"priority_groups": v}})
	}
	group := func(members ...any) any { return map[string]any{"name": "g", "clusters": members} }
	member := func(cluster string, weight any) any { return map[string]any{"cluster_name": cluster, "weight": weight} }
	all := liar.Chain(out...)
	return map[string]liar.Lie{
		"nothing":                     func(*liar.Response) {},
		"every cluster outside":       all,
		"one outside":                 liar.Chain(out[0]),
		"one inside, then outside":    liar.Chain(append([]string{in[0]}, out...)...),
		"weights":                     groups([]any{group(member(in[0], 1), member(out[0], 1000000))}),
		"a group of all":              groups([]any{group(member(out[0], 1), member(out[1], 1))}),
		"clusters that are not there": liar.Chain("wye/first/small-us/00000000", "small-us", "", "*"),
		"Wye's own clusters":          liar.Chain("wye_extproc", "wye_ads"),
		"no list":                     groups("small-us"),
		"an empty list":               groups([]any{}),
		"no weights":                  groups([]any{map[string]any{"name": "g", "clusters": []any{map[string]any{"cluster_name": out[0]}}}}),
		"a chain of numbers":          groups([]any{1, 2, 3}),
		"headers": liar.All(all, liar.Headers("x-wye-zone", "us", "x-wye-deployment", "auto", "x-wye-model", "small-2026-02-01",
			"x-envoy-original-dst-host", s.Address("small-us"), "x-envoy-upstream-alt-stat-name", "x", "x-wye-mode", "cost")),
		"host":         liar.All(all, liar.Headers(":authority", s.Address("small-us"), "host", s.Address("small-us"))),
		"path":         liar.All(all, liar.Headers(":path", "/v1/chat/completions?zone=us")),
		"another path": liar.All(all, liar.Headers(":path", "/openai/deployments/auto/chat/completions")),
		"other namespaces": liar.All(all, liar.Fields(map[string]any{
			"envoy.lb": map[string]any{"canary": true}, "envoy.filters.http.rbac": map[string]any{"shadow_engine_result": "allowed"},
			"wye.zone": map[string]any{"zone": "us"},
		})),
		"zone in its own namespace": liar.All(all, liar.Fields(map[string]any{"wye": map[string]any{"zone": "us", "backend": "small-us"}})),
	}
}

// clustersOf are the names of Envoy's clusters of the backends of a zone.
func clustersOf(t *testing.T, s *rig.Stack, zone string) []string {
	t.Helper()
	var names []string
	for _, c := range []string{"large", "medium"} {
		names = append(names, s.Clusters(t, "wye/first/"+c+"-"+zone+"/")...)
		names = append(names, s.Clusters(t, "wye/fallback/"+c+"-"+zone+"/")...)
	}
	return names
}

// outside counts the requests that reached a provider outside of eu.
func outside(s *rig.Stack, id string) []string {
	return slices.DeleteFunc(s.Seen(id), func(name string) bool { return s.Zone(name) == "eu" })
}

// Whatever a compromised ext_proc server says, a request that takes the route of
// a zone stays in the zone, over both versions of HTTP, on the first attempt and
// on every retry; and nothing is served when the server is gone.
func TestZonesHoldAgainstALiar(t *testing.T) {
	t.Parallel()
	var l *liar.Liar
	decisions := filepath.Join(t.TempDir(), "decisions.jsonl")
	s := rig.Start(t, rig.Options{
		Args:    []string{"--decision-log", decisions},
		Between: func(socket, wye string) { l = liar.Start(t, socket, wye) },
	})
	in, out := clustersOf(t, s, "eu"), clustersOf(t, s, "us")
	if len(in) != 4 || len(out) != 4 {
		t.Fatalf("clusters %q, %q", in, out)
	}
	// The liar gets its way where the policy allows it, or this proves nothing.
	l.Tell(liar.Chain(s.Clusters(t, "wye/first/large-us/")...))
	if got := s.Post(t, rig.Chat("fixed", "hi")); got.Header.Get("x-wye-zone") != "us" {
		t.Fatalf("the liar is not believed: %d from %q: %s", got.Status, got.Header.Get("x-wye-zone"), got.Body)
	}
	clients := map[string]*http.Client{"HTTP/1.1": s.Client, "HTTP/2": rig.NewH2Client(t)}
	crossed, served := 0, 0
	for name, lie := range lies(t, s, in, out) {
		for version, client := range clients {
			// All of the zone's own backends work, or none.
			for _, down := range []string{"", "large-eu=503,medium-eu=reset"} {
				id := rig.ID()
				l.Tell(lie)
				got, err := rig.Post(t.Context(), client, s.URL, rig.Chat("eu-only", "hi"), rig.IDHeader, id, rig.FailHeader, down,
					"x-wye-zone", "us", "x-wye-deployment", "auto", "x-envoy-max-retries", "5")
				if err != nil {
					t.Errorf("%s, %s: %v", name, version, err)
					continue
				}
				if names := outside(s, id); len(names) > 0 {
					crossed++
					t.Errorf("%s, %s, in-zone backends %q: the request reached %q", name, version, down, names)
				}
				if got.Status == http.StatusOK {
					served++
					if zone := got.Header.Get("x-wye-zone"); zone != "eu" || down != "" {
						t.Errorf("%s, %s: served by zone %q while %q", name, version, zone, down)
					}
				} else if _, err := got.Error(); err != nil && down == "" && name != "Wye's own clusters" { // which speak gRPC
					t.Errorf("%s, %s: %v", name, version, err)
				}
			}
		}
	}
	if l.Told() == 0 || served == 0 {
		t.Errorf("%d lies were told, %d requests served", l.Told(), served)
	}
	// The decision log tells the same.
	rig.Eventually(t, rig.Patience, "the refused requests are in the decision log", func() (bool, string) {
		report, problems, code := rig.Command(t, "", "audit", "zones", "--log", decisions)
		return code == 0 && strings.Contains(report, "eu-only (zone eu)") && strings.Contains(report, "stopped on their way out"), report + problems
	})
	// Without the server nothing is served, in the zone or out of it.
	l.Stop()
	id := rig.ID()
	for range 5 {
		got := s.Post(t, rig.Chat("eu-only", "hi"), rig.IDHeader, id)
		if e, err := got.Error(); err != nil || got.Status != http.StatusServiceUnavailable || *e.Code != "router_unavailable" {
			t.Errorf("without the server: %d %s", got.Status, got.Body)
		}
	}
	if seen := s.Seen(id); len(seen) > 0 {
		t.Errorf("without the server requests reached %q", seen)
	}
	t.Logf("%d lies, %d requests served, %d left the zone", l.Told(), served, crossed)
}

// On an Envoy of a zone the liar may say anything at all, that the client had
// named another deployment included.
func TestZonesHoldOnEnvoyOfZone(t *testing.T) {
	t.Parallel()
	testZonesHoldOnEnvoyOfZone(t, "")
}

func testZonesHoldOnEnvoyOfZone(t *testing.T, version string) {
	t.Helper()
	var l *liar.Liar
	s := rig.Start(t, rig.Options{Envoy: version, Zone: "eu", Between: func(socket, wye string) { l = liar.Start(t, socket, wye) }})
	in, foreign := clustersOf(t, s, "eu"), clustersOf(t, s, "us")
	if len(in) != 4 || len(foreign) != 0 {
		t.Fatalf("clusters %q, %q", in, foreign)
	}
	all := lies(t, s, in, []string{"wye/first/large-us/00000000", "wye/fallback/medium-us/00000000"})
	for _, deployment := range []string{"auto", "short-context", "thinking"} {
		named := liar.Fields(map[string]any{"wye": map[string]any{"deployment": deployment}})
		all["claims "+deployment] = named
		all["claims "+deployment+" and a chain"] = liar.All(named, liar.Chain("wye/first/small-us/00000000"))
		all["claims "+deployment+" and no chain"] = liar.All(named, liar.Fields(map[string]any{"wye.route": "none"}))
	}
	before := 0
	for _, b := range s.Policy.Backends {
		if b.Zone == "us" {
			before += len(s.Clusters(t, b.Name))
		}
	}
	if before != 0 {
		t.Errorf("the Envoy has %d clusters of another zone", before)
	}
	for name, lie := range all {
		for _, deployment := range []string{"eu-only", "auto", "thinking"} {
			id := rig.ID()
			l.Tell(lie)
			got := s.Post(t, rig.Chat(deployment, "hi"), rig.IDHeader, id)
			if names := outside(s, id); len(names) > 0 {
				t.Errorf("%s, %s: the request reached %q", name, deployment, names)
			}
			if zone := got.Header.Get("x-wye-zone"); got.Status == http.StatusOK && zone != "eu" {
				t.Errorf("%s, %s: served by zone %q", name, deployment, zone)
			}
		}
	}
	// The honest answers of an Envoy of a zone.
	l.Tell(nil)
	for deployment, want := range map[string]int{"eu-only": 200, "auto": 200, "open": 200, "thinking": 400} {
		if got := s.Post(t, rig.Chat(deployment, "hi")); got.Status != want {
			t.Errorf("%s: %d %s", deployment, got.Status, got.Body)
		}
	}
}
