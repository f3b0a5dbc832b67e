package extproc_test

import (
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"

	"wye/extproc"
	"wye/router"
)

// Fallbacks go by their names alone where Envoy's tables are known to have them:
// not right after the policy came into force, and not if it did while the
// request was arriving.
func TestChainByName(t *testing.T) {
	t.Parallel()
	snapshot := testSnapshot(t, "p1")
	large, small := cluster(snapshot, "l1", false), cluster(snapshot, "s1", true)
	ask := func(t *testing.T, c extproc.Config, between func()) any {
		t.Helper()
		_, conn := start(t, c)
		// The first request prepares the snapshot.
		got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
		readRouted(t, got, err)
		stream, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(chat(len(question))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // for the headers to be read
		between()
		if err := stream.Send(body(question, true)); err != nil {
			t.Fatal(err)
		}
		answer := []*extprocv3.ProcessingResponse{}
		for range 2 {
			m, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			answer = append(answer, m)
		}
		return readRouted(t, answer, nil).Metadata["wye.route"]
	}
	nothing := func() {}
	for name, tc := range map[string]struct {
		lag  time.Duration
		swap bool
		want map[string]any
	}{
		"long in force":      {lag: -1, want: groupsByName(large, small)},
		"by default":         {want: groups(large, small)},
		"since a moment":     {lag: 50 * time.Millisecond, want: groupsByName(large, small)},
		"while it came, new": {lag: -1, swap: true, want: groups(large, small)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := new(router.Router)
			r.Swap(testSnapshot(t, "p1"))
			between := nothing
			if tc.swap {
				between = func() { r.Swap(testSnapshot(t, "p2")) }
			}
			if diff := cmp.Diff(any(tc.want), ask(t, extproc.Config{Router: r, RouteLag: tc.lag}, between)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
