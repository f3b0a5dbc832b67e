package sidecar_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
)

// A key that was rotated reaches the Envoys with an edit of the policy that
// means nothing.
func TestRotatedKey(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "key")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Replace(policy, `address: "127.0.0.1:9002"`, `credential: {file: "`+key+`"}, address: "127.0.0.1:9002"`, 1)
	write(key, "old")
	write(file, text)
	s := start(t, file)
	published := func() string { // by a stream of its own, so that no edit waits for it
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(dial(t, s.Addresses().ADS)).DeltaAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resourcev3.SecretType, Node: &corev3.Node{Id: "n"}}); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var secret tlsv3.Secret
		if err := resp.GetResources()[0].GetResource().UnmarshalTo(&secret); err != nil {
			t.Fatal(err)
		}
		return secret.GetGenericSecret().GetSecret().GetInlineString()
	}
	hash := s.Snapshot().Hash
	if got := published(); got != "old" {
		t.Fatalf("the key is %q", got)
	}
	write(key, "new")
	write(file, "# rotated\n"+text)
	for began := time.Now(); published() != "new"; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("the new key was not published")
		}
	}
	if s.Snapshot().Hash != hash {
		t.Error("the policy has another hash")
	}
}
