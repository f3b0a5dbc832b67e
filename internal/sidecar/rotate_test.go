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

	"wye/internal/sidecar"
)

// publishedKey is the credential that an Envoy that connects is given, by a
// stream of its own, so that no publication waits for it.
func publishedKey(t *testing.T, s *sidecar.Sidecar) string {
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

func waitForKey(t *testing.T, s *sidecar.Sidecar, want string) {
	t.Helper()
	for began := time.Now(); publishedKey(t, s) != want; time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the key %q was not published", want)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keyed writes a policy with a key file, and returns its path, its text and the
// key's path.
func keyed(t *testing.T) (file, text, key string) {
	t.Helper()
	dir := t.TempDir()
	file, key = filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "key")
	text = strings.Replace(policy, `address: "127.0.0.1:9002"`, `credential: {file: "`+key+`"}, address: "127.0.0.1:9002"`, 1)
	writeFile(t, key, "old")
	writeFile(t, file, text)
	return file, text, key
}

// A key that was rotated reaches the Envoys with an edit of the policy that
// means nothing.
func TestRotatedKey(t *testing.T) {
	file, text, key := keyed(t)
	s := start(t, file)
	hash := s.Snapshot().Hash
	if got := publishedKey(t, s); got != "old" {
		t.Fatalf("the key is %q", got)
	}
	writeFile(t, key, "new")
	writeFile(t, file, "# rotated\n"+text)
	waitForKey(t, s, "new")
	if s.Snapshot().Hash != hash {
		t.Error("the policy has another hash")
	}
}

// And it does so by itself. A file that is away or empty, as it is in the middle
// of being written, changes nothing; nor does a policy that was refused.
func TestRotatedKeyAlone(t *testing.T) {
	file, _, key := keyed(t)
	s := start(t, file, func(c *sidecar.Config) { c.RotateInterval = 20 * time.Millisecond })
	hash := s.Snapshot().Hash
	unchanged := func(why string) {
		t.Helper()
		for began := time.Now(); time.Since(began) < time.Second; time.Sleep(50 * time.Millisecond) {
			if got := publishedKey(t, s); got != "old" {
				t.Fatalf("%s: the key is %q", why, got)
			}
		}
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	unchanged("away")
	writeFile(t, key, "\n")
	unchanged("empty")
	writeFile(t, file, "nonsense")
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, status := get(t, s, "/policy"); strings.Contains(status, `"refused":`) {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Fatal("the policy is not refused")
		}
	}
	writeFile(t, key, "new")
	waitForKey(t, s, "new")
	if s.Snapshot().Hash != hash {
		t.Error("the policy has another hash")
	}
	if _, status := get(t, s, "/policy"); !strings.Contains(status, `"refused":`) {
		t.Errorf("the refused policy is forgotten: %s", status)
	}
}
