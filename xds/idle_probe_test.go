package xds_test

import (
	"testing"
	"time"
)

func TestIdleProbe(t *testing.T) {
	p := newProvider(t, nil)
	g := startGateway(t, generation(t, 0, p), gatewayOptions{})
	for i := range 14 {
		time.Sleep(5 * time.Second)
		t.Log(i*5, g.server.Counters().Streams)
	}
	b, _ := g.process.Admin(t.Context(), "GET", "/stats?usedonly&filter=wye_ads|control_plane")
	t.Log(string(b), g.process.LogTail())
}
