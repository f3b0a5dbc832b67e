package control_test

import (
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"

	"wye/control"
)

// FuzzHostileMember plays any sequence of requests: the server sends nothing of
// another zone, has at most one response under way, and lives on.
func FuzzHostileMember(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
	f.Add([]byte{2, 2, 2, 4, 4, 0, 1, 0, 1})
	f.Add([]byte{6, 7, 1, 5, 3, 1, 8, 9})
	f.Add([]byte{12, 1, 13, 1, 10, 10, 10})
	s, conn := serve(f, control.ServerConfig{Identify: inEU})
	publish(f, s, control.Release{Policy: parse(f, policyText(0, 1))})
	texts := []string{policyText(0, 1), policyText(1, 1), policyText(1, 2)}
	f.Fuzz(func(t *testing.T, script []byte) {
		script = script[:min(len(script), 64)]
		d := connect(t, conn, node("hostile", ""))
		nonce, under := "", 0
		for _, step := range script {
			r := &discoveryv3.DeltaDiscoveryRequest{}
			switch step % 14 {
			case 1:
				r.ResponseNonce = nonce
			case 2:
				r.ResourceNamesSubscribe = []string{"*"}
			case 3:
				r.ResourceNamesUnsubscribe = []string{"*", "head", "backend/us-nano"}
			case 4:
				r.ResourceNamesSubscribe = []string{"backend/us-nano", "deployment/us-chat", "head", "*/*"}
			case 5:
				r.ResponseNonce, r.ErrorDetail = nonce, &statusv1.Status{Code: 99, Message: "\xff\n" + string(script)}
			case 6:
				r.InitialResourceVersions = map[string]string{"backend/us-nano": "1", "head": "", "": "x"}
			case 7:
				r.ResponseNonce = "made up"
			case 8:
				d.node = node("hostile", "us")
			case 9:
				r.TypeUrl = "another"
			case 10:
				publish(t, s, control.Release{Policy: parse(t, texts[int(step)%len(texts)])})
			case 11:
				d.node = nil
			case 12:
				r.ErrorDetail = &statusv1.Status{}
			case 13:
				r.ResourceNamesSubscribe = []string{string(script)}
			}
			d.send(r)
			under++
			select {
			case got := <-d.inbox:
				nonce = got.GetNonce()
				got.RemovedResources = nil
				checkForeign(t, got)
			case err := <-d.ended:
				if err == nil {
					t.Error("the stream ends without a reason")
				}
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
		if len(s.Members()) == 0 && under > 0 {
			t.Error("the server has lost sight of the member")
		}
	})
}
