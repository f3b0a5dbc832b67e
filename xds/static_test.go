package xds_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wye/envoy"
	"wye/router"
	"wye/xds"
)

// An Envoy without xDS serves by what Static renders, whichever its release:
// down the chain, with keys that are not in the document.
func TestStaticBootstrap(t *testing.T) {
	t.Parallel()
	const secret = "sk-of-the-second"
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"", oldEnvoy} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			a, b := newProvider(t, status503), newProvider(t, nil)
			s := snapshot(t, twoBackends(a.address(), b.address(), func(c *router.Config) {
				c.Backends[1].Credential = &router.Credential{File: key, Header: "Authorization", Prefix: "Bearer "}
			}))
			g := &gateway{t: t, processor: startProcessor(t)}
			g.options = xds.Options{Listen: "127.0.0.1:0", ExtProc: g.processor.address()}
			binary, err := envoy.Find(t.Context(), envoy.FindOptions{Version: version})
			if err != nil {
				t.Fatal(err)
			}
			release, err := envoy.ParseRelease(binary.Version)
			if err != nil {
				t.Fatal(err)
			}
			document, err := xds.Static(s, g.build(s), "", release, "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			again, err := xds.Static(s, g.build(s), "", release, "127.0.0.1:0")
			if err != nil || !bytes.Equal(document, again) {
				t.Errorf("it is not the same every time: %v", err)
			}
			for _, not := range []string{secret, `"ads"`, envoy.ADSCluster} {
				if strings.Contains(string(document), not) {
					t.Errorf("the document has %q", not)
				}
			}
			g.run(binary.Path, document)
			got := g.chat(plan{Deployment: "auto", SendAs: "a-sent", Clusters: []string{first(s, 0), fallback(s, 1)}})
			if got.status != 200 || got.header.Get(envoy.HeaderModel) != "b" || got.header.Get(envoy.HeaderAttempts) != "2" {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
			if r := b.received(); len(r) != 1 || r[0].header.Get("authorization") != "Bearer "+secret || r[0].model != "b-sent" {
				t.Errorf("the second provider got %+v", r)
			}
		})
	}
}

// run starts an Envoy by a complete bootstrap.
func (g *gateway) run(binary string, bootstrap []byte) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), 30*time.Second)
	defer cancel()
	var err error
	g.process, err = envoy.Start(ctx, envoy.RunOptions{Binary: binary, Bootstrap: bootstrap, Concurrency: 1})
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		if err := g.process.Stop(context.Background()); err != nil {
			g.t.Error(err)
		}
	})
	a, err := g.process.ListenerAddress(ctx, envoy.ListenerName)
	if err != nil {
		g.t.Fatal(err)
	}
	_, hostPort := a.Network()
	g.url = "http://" + hostPort
}

// A zone's Envoy has nothing of another in its document, and one that is too old
// gets none.
func TestStaticBootstrapOfZone(t *testing.T) {
	t.Parallel()
	s := snapshot(t, twoBackends("10.0.0.1:80", "10.0.0.2:80", nil))
	r, err := xds.Build(s, xds.Options{Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	document, err := xds.Static(s, r, "eu", envoy.Full, "127.0.0.1:0")
	if err != nil || !strings.Contains(string(document), "10.0.0.1") || strings.Contains(string(document), "10.0.0.2") {
		t.Errorf("%v: %s", err, document)
	}
	for _, tt := range []struct {
		zone    string
		release envoy.Release
		admin   string
		want    string
	}{
		{"eu", envoy.Release{Major: 1, Minor: 38}, "127.0.0.1:0", "older than 1.39"},
		{"EU!", envoy.Full, "127.0.0.1:0", "data zone"},
		{"", envoy.Full, "nowhere", "admin address"},
	} {
		if _, err := xds.Static(s, r, tt.zone, tt.release, tt.admin); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
