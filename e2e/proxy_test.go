package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"wye/e2e/internal/rig"
	"wye/internal/testca"
)

// connectProxy is an HTTP proxy that connects whoever asks, and notes to where.
type connectProxy struct {
	mu    sync.Mutex
	asked []string
	down  bool
}

func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Method+" "+r.Host)
	down := p.down
	p.mu.Unlock()
	if r.Method != http.MethodConnect || down {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	if _, err := io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(there, buffered)
		_ = there.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(here, there)
}

func (p *connectProxy) refuse(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.asked = down, nil
}

func (p *connectProxy) seen() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// headerNotes is a provider that notes the headers of its requests, and answers
// 503 to those with X-Test-Fail.
type headerNotes struct {
	mu   sync.Mutex
	last http.Header
}

func (n *headerNotes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	n.mu.Lock()
	n.last = r.Header.Clone()
	n.mu.Unlock()
	if r.TLS != nil && r.Header.Get("X-Test-Fail") != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[]}`)
}

func (n *headerNotes) header(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.last.Values(name), "|")
}

// A backend behind a proxy is reached through it, over TLS to the provider, and
// its own headers go to it and to no other backend; a secret one is found nowhere
// else.
func TestProxyAndHeaders(t *testing.T) {
	ca := testca.New(t, "provider's CA")
	dir := t.TempDir()
	cert, key, roots := ca.Files(t, dir, "provider.test")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var proxied, plain headerNotes
	provider := httptest.NewUnstartedServer(&proxied)
	provider.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	provider.StartTLS()
	defer provider.Close()
	other := httptest.NewServer(&plain)
	defer other.Close()
	through := new(connectProxy)
	proxy := httptest.NewServer(through)
	defer proxy.Close()

	const secret = "team-key-5c1d"
	file := filepath.Join(dir, "team")
	rig.WriteFile(t, file, secret+"\n")
	s := rig.Start(t, rig.Options{})
	policy := s.Policy.YAML(t)
	const model = "- {name: %s, price: {input: 1, output: 1}, context_window: 8192, ability: {like: gpt-4.1-nano}}\n"
	policy = strings.Replace(policy, "catalog:\n", "catalog:\n"+fmt.Sprintf(model, "headed")+fmt.Sprintf(model, "bare"), 1)
	policy = strings.Replace(policy, "\ndeployments:\n", fmt.Sprintf(`
- name: headed
  model: headed
  address: %s
  tls: {server_name: provider.test, ca_file: %s}
  proxy: %s
  headers: [{name: X-Team, file: %s}, {name: OpenAI-Organization, value: org-100%%}]
- {name: bare, model: bare, address: %s}
deployments:
- {name: proxied, subset: [headed, bare], mode: quality}
`, provider.Listener.Addr(), roots, proxy.Listener.Addr(), file, other.Listener.Addr()), 1)
	rig.WriteFile(t, s.PolicyPath, policy)
	rig.Eventually(t, rig.Patience, "the backend is reached", func() (bool, string) {
		got := s.Post(t, rig.Chat("proxied", "hi"), "OpenAI-Organization", "mine", "X-Team", "forged")
		return got.Status == http.StatusOK && got.Header.Get("x-wye-model") == "headed", fmt.Sprintf("%d %s %v", got.Status, got.Body, got.Header)
	})
	if seen := through.seen(); len(seen) == 0 || seen[0] != "CONNECT "+provider.Listener.Addr().String() {
		t.Errorf("the proxy was asked to %q, want %s", seen, provider.Listener.Addr())
	}
	if org, team := proxied.header("OpenAI-Organization"), proxied.header("X-Team"); org != "org-100%" || team != secret {
		t.Errorf("the provider was sent organization %q, team %q", org, team)
	}
	// The next attempt, at a backend without headers, has the client's own.
	got := s.Post(t, rig.Chat("proxied", "hi"), "OpenAI-Organization", "mine", "X-Test-Fail", "1")
	if got.Status != http.StatusOK || got.Header.Get("x-wye-model") != "bare" {
		t.Fatalf("status %d by %q: %s", got.Status, got.Header.Get("x-wye-model"), got.Body)
	}
	if org, team := plain.header("OpenAI-Organization"), plain.header("X-Team"); org != "mine" || team != "" {
		t.Errorf("the next attempt was sent organization %q, team %q", org, team)
	}
	for where, text := range s.Public(t) {
		if strings.Contains(text, secret) {
			t.Errorf("%s has the secret", where)
		}
	}
	// A proxy that refuses is a provider that is down. Connections that are open
	// already do not ask it again.
	through.refuse(true)
	provider.CloseClientConnections()
	rig.Eventually(t, rig.Patience, "the proxy refuses and the request moves on", func() (bool, string) {
		got := s.Post(t, rig.Chat("proxied", "hi"))
		return got.Status == http.StatusOK && got.Header.Get("x-wye-model") == "bare", fmt.Sprintf("%d by %q", got.Status, got.Header.Get("x-wye-model"))
	})
	if seen := through.seen(); len(seen) == 0 {
		t.Error("the proxy was not asked again")
	}
}
