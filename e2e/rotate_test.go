package e2e_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wye/e2e/internal/rig"
)

// A provider's key that is replaced in its file reaches the provider without an
// edit of the policy: the provider refuses the old one, and then serves.
func TestKeyFileRotated(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	key := filepath.Join(t.TempDir(), "key")
	rig.WriteFile(t, key, "sk-old\n")
	text := s.Policy.YAML(t)
	byFile := strings.Replace(text, "{env: WYE_E2E_THINKER_KEY}", "{file: "+key+"}", 1)
	if byFile == text {
		t.Fatalf("the policy has no credential to replace: %s", text)
	}
	before := s.PolicyHash(t)
	rig.WriteFile(t, s.PolicyPath, byFile)
	sent := func() (authorization, policy string) {
		t.Helper()
		id := rig.ID()
		got := s.Post(t, rig.Chat("thinking", "Say hello."), rig.IDHeader, id)
		seen := s.Find(id)
		if len(seen) == 0 {
			t.Fatalf("no request reached a provider: %d %s", got.Status, got.Body)
		}
		authorization = seen[0].Header.Get("Authorization")
		if authorization == "Bearer "+rig.ThinkerKey && got.Status != http.StatusOK {
			t.Errorf("status %d with the right key: %s", got.Status, got.Body)
		}
		return authorization, got.Header.Get("x-wye-policy")
	}
	var policy string
	rig.Eventually(t, rig.Patience, "the key is read from the file", func() (bool, string) {
		var key string
		key, policy = sent()
		return key == "Bearer sk-old" && policy != before, key
	})
	rig.WriteFile(t, key, rig.ThinkerKey+"\n")
	took := rig.Eventually(t, rig.Patience, "the new key is sent", func() (bool, string) {
		key, now := sent()
		if now != policy {
			t.Errorf("policy %s, it was %s", now, policy)
		}
		return key == "Bearer "+rig.ThinkerKey, key
	})
	t.Logf("in use after %v", took)
	if took > slack(11*time.Second) {
		t.Errorf("in use after %v, want ten seconds", took)
	}
}
