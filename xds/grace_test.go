package xds_test

import (
	"fmt"
	"testing"
	"time"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"wye/router"
	"wye/xds"
)

// What is retired must outlast the last attempt that may follow a decision.
func TestGrace(t *testing.T) {
	t.Parallel()
	deployment := func(name string, attempts int, whole, perTry time.Duration) router.Deployment {
		return router.Deployment{
			Name: name, Subset: []router.ModelIndex{0}, MaxAttempts: attempts, Timeout: whole, PerTryTimeout: perTry,
		}
	}
	for name, tt := range map[string]struct {
		deployments []router.Deployment
		want        time.Duration
	}{
		"the attempts":       {[]router.Deployment{deployment("a", 3, time.Hour, time.Minute)}, 2 * time.Minute},
		"the whole":          {[]router.Deployment{deployment("a", 4, 2*time.Minute, time.Minute)}, 2 * time.Minute},
		"one attempt":        {[]router.Deployment{deployment("a", 1, time.Hour, time.Minute)}, 0},
		"no bound per try":   {[]router.Deployment{deployment("a", 2, time.Minute, 0)}, time.Minute},
		"the longest counts": {[]router.Deployment{deployment("a", 2, 0, time.Minute), deployment("b", 2, 0, time.Second)}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, router.Config{
				Models:      []router.Model{{Name: "m"}},
				Backends:    []router.Backend{{Name: "b", SendAs: "m", Address: "127.0.0.1:1"}},
				Deployments: tt.deployments,
			})
			r, err := xds.Build(s, xds.Options{Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:1"})
			if err != nil {
				t.Fatal(err)
			}
			if want := tt.want + xds.DefaultGrace; r.Grace != want {
				t.Errorf("grace %v, want %v", r.Grace, want)
			}
		})
	}
}

// Each generation goes by its own grace, not by that of its successor.
func TestGraceOfTheRetired(t *testing.T) {
	t.Parallel()
	s, _ := serveXDS(t, xds.Config{})
	for _, p := range []struct {
		name  string
		grace time.Duration
	}{{"brief", 50 * time.Millisecond}, {"long", time.Hour}, {"last", time.Millisecond}} {
		r := dnsPolicy(t, p.name)
		r.Grace = p.grace
		if err := s.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	const oneEach = 2*2 + 2 // two clusters of each policy and the two that all have
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		n := len(s.Published().Names(resourcev3.ClusterType))
		if n == oneEach {
			break
		}
		if n < oneEach || time.Since(began) > 10*time.Second {
			t.Fatalf("%d clusters, want %d", n, oneEach)
		}
	}
	time.Sleep(200 * time.Millisecond)
	if n := len(s.Published().Names(resourcev3.ClusterType)); n != oneEach {
		t.Errorf("%d clusters are left, want %d", n, oneEach)
	}
}

// Edits that come faster than the grace runs out do not add up.
func TestRetiredAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := serveXDS(t, xds.Config{Grace: time.Hour})
	for i := range 30 {
		if err := s.Publish(t.Context(), dnsPolicy(t, fmt.Sprintf("p%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	const most = 1 + 20 // the newest and what may be retired
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		n := len(s.Published().Names(resourcev3.ClusterType))
		if n == 2*most+2 {
			return
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d clusters, want %d", n, 2*most+2)
		}
	}
}
