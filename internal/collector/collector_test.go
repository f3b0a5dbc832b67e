package collector_test

import (
	"bytes"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"wye/internal/collector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What is no export is refused, and nothing of it kept.
func TestRefuses(t *testing.T) {
	t.Parallel()
	c := collector.Start(t)
	for path, want := range map[string]int{"/v1/traces": 400, "/v1/metrics": 400, "/v1/logs": 404} {
		resp, err := http.Post(c.HTTP+path, "application/x-protobuf", bytes.NewReader([]byte{0xff}))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != want {
			t.Errorf("%s: status %d, %v", path, resp.StatusCode, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if n := len(c.Spans()); n != 0 {
		t.Errorf("%d spans", n)
	}
}
