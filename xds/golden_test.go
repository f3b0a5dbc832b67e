package xds_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"wye/router"
	"wye/xds"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenTypes names the file of each type.
var goldenTypes = map[string]string{
	resourcev3.SecretType: "secrets", resourcev3.ClusterType: "clusters", resourcev3.EndpointType: "endpoints",
	resourcev3.ListenerType: "listeners", resourcev3.RouteType: "routes",
}

// certificate is PEM that says it is a certificate.
func certificate(content string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(content)})
}

// goldenPolicies are a minimal policy, one that uses everything, one that
// translates, and one of two zones.
func goldenPolicies() map[string]struct {
	config  router.Config
	options xds.Options
} {
	type policy = struct {
		config  router.Config
		options xds.Options
	}
	quality := router.ModeSet(0).With(router.ModeQuality)
	return map[string]policy{
		"minimal": {
			config: router.Config{
				Models:      []router.Model{{Name: "m"}},
				Backends:    []router.Backend{{Name: "m", SendAs: "m", Address: "127.0.0.1:8001"}},
				Deployments: []router.Deployment{{Name: "auto", Subset: []router.ModelIndex{0}, MaxAttempts: 1}},
			},
			options: xds.Options{Listen: "127.0.0.1:10000", ExtProc: "unix:/run/wye/wye.sock"},
		},
		"full": {
			config: router.Config{
				Models: []router.Model{
					{Name: "small", ServedAs: "small-2026-01-01"},
					{
						Name: "reasoner", ServedAs: "reasoner-2026-02-02",
						Parameters: router.Parameters{Drop: []string{"temperature", "top_p"}, MaxTokensField: "max_completion_tokens"},
					},
				},
				Backends: []router.Backend{
					{
						Name: "small-cloud", Model: 0, SendAs: "small", Address: "api.example.com:443", Zone: "us", Weight: 3,
						TLS: &router.TLS{}, Credential: &router.Credential{Env: "SMALL_KEY", Header: "Authorization", Prefix: "Bearer "},
					},
					{
						Name: "small-own", Model: 0, SendAs: "small", Address: "[2001:db8::1]:8443", Zone: "us", Weight: 1,
						TLS: &router.TLS{ServerName: "models.internal", CAFile: "/etc/wye/ca.pem"},
					},
					{
						Name: "reasoner-cloud", Model: 1, SendAs: "reasoner@100%", Address: "10.0.0.7:443", Zone: "us", PathPrefix: "/openai/",
						Headers: []router.Header{{Name: "openai-organization", Value: "org-100%"}, {Name: "x-gateway-key", Env: "GATEWAY_KEY"}}, Proxy: "10.0.0.3:3128",
						FirstToken: 1500 * time.Millisecond,
						TLS:        &router.TLS{}, Credential: &router.Credential{File: "/run/secrets/reasoner", Header: "api-key"},
					},
				},
				Deployments: []router.Deployment{{
					Name: "auto", Aliases: []string{"model-router"}, Subset: []router.ModelIndex{0, 1}, MaxAttempts: 4,
					MaxBodyBytes: 1 << 20, Timeout: 10 * time.Minute, PerTryTimeout: time.Minute,
					Callers: router.CallerLimits{Header: "x-team", PerMinute: router.PerMinute{Requests: 5}},
					Budget:  router.Budget{USDPerDay: 5},
				}},
			},
			options: xds.Options{
				Listen: "[::]:8080", ExtProc: "wye.wye-system.svc:9000", ConnectTimeout: time.Second,
				Secret: func(c router.Credential) (string, error) {
					if c.File != "" {
						return "", errors.New("no such file")
					}
					return "key from $" + c.Env, nil
				},
				ReadFile: func(name string) ([]byte, error) { return certificate("of " + name), nil },
			},
		},
		"translated": {
			config: router.Config{
				Models: []router.Model{{Name: "gpt", MaxOutput: 1000}, {Name: "claude", MaxOutput: 64000, ContextWindow: 200000}, {Name: "alone"}},
				Backends: []router.Backend{
					{Name: "gpt", Model: 0, SendAs: "gpt", Address: "127.0.0.1:8001"},
					{
						Name: "claude", Model: 1, SendAs: "claude@100%", Address: "127.0.0.1:8002", Protocol: router.ProtocolAnthropic,
						APIs: router.APIs(0).With(router.APIMessages), Translate: true, Thinking: []router.Thinking{{Effort: "low", Tokens: 1024}, {Effort: "none"}},
					},
					{Name: "alone", Model: 2, SendAs: "alone", Address: "127.0.0.1:8003"},
				},
				Deployments: []router.Deployment{
					{Name: "both", Subset: []router.ModelIndex{0, 1}, MaxAttempts: 2},
					{Name: "alone", Subset: []router.ModelIndex{2}, MaxAttempts: 2},
				},
			},
			options: xds.Options{Listen: "127.0.0.1:10000", ExtProc: "unix:/run/wye/wye.sock"},
		},
		"apis": {
			config: router.Config{
				Models: []router.Model{{Name: "chats"}, {Name: "claude"}, {Name: "embedder"}},
				Backends: []router.Backend{
					{Name: "chats", Model: 0, SendAs: "chats", Address: "127.0.0.1:8001", APIs: router.APIs(0).With(router.APIChat).With(router.APIResponses)},
					{
						Name: "claude", Model: 1, SendAs: "claude", Address: "127.0.0.1:8002", PathPrefix: "/anthropic",
						APIs: router.APIs(0).With(router.APIMessages).With(router.APICountTokens),
					},
					{Name: "embedder", Model: 2, SendAs: "embedder", Address: "127.0.0.1:8003", APIs: router.APIs(0).With(router.APIEmbeddings).With(router.APICompletions)},
				},
				Deployments: []router.Deployment{{Name: "auto", Subset: []router.ModelIndex{0, 1, 2}}, {Name: "chats", Subset: []router.ModelIndex{0}}},
			},
			options: xds.Options{Listen: "127.0.0.1:10000", ExtProc: "127.0.0.1:9000"},
		},
		"zones": {
			config: router.Config{
				Models: []router.Model{{Name: "a"}, {Name: "b"}},
				Backends: []router.Backend{
					{Name: "a-eu", Model: 0, SendAs: "a", Address: "127.0.0.1:8001", Zone: "eu"},
					{Name: "a-us", Model: 0, SendAs: "a", Address: "127.0.0.1:8002", Zone: "us"},
					{Name: "b-us", Model: 1, SendAs: "b", Address: "127.0.0.1:8003", Zone: "us"},
				},
				Deployments: []router.Deployment{
					{Name: "any", AllowedModes: quality, Subset: []router.ModelIndex{0, 1}},
					{Name: "eu", Zone: "eu", Subset: []router.ModelIndex{1, 0}},
					{Name: "mars", Zone: "mars", Subset: []router.ModelIndex{0}},
				},
			},
			options: xds.Options{Listen: "unix:/run/wye/listen.sock", ExtProc: "127.0.0.1:9000", RequestTimeout: 20 * time.Second},
		},
	}
}

// The resources of three policies, a file for each type. What is in them passed
// validation, because Build checks every one.
func TestBuildGolden(t *testing.T) {
	t.Parallel()
	expected := map[string]bool{}
	for name, p := range goldenPolicies() {
		r, err := xds.Build(snapshot(t, p.config), p.options)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for typeURL, file := range goldenTypes {
			if len(r.Names(typeURL)) == 0 {
				continue
			}
			file = filepath.Join("testdata", "golden", name+"."+file+".json")
			expected[file] = true
			got := render(t, r, typeURL)
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (go test ./xds -update rewrites it): %s", file, diff)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch {
		case expected[f]:
		case *update:
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s belongs to no policy", f)
		}
	}
}

// render is the resources of a type as JSON. protojson varies its white space
// on purpose, so it is indented anew.
func render(t *testing.T, r *xds.Resources, typeURL string) []byte {
	t.Helper()
	var all []json.RawMessage
	for _, name := range r.Names(typeURL) {
		b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r.Resource(typeURL, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	compact, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

func TestBuildIsDeterministic(t *testing.T) {
	t.Parallel()
	p := goldenPolicies()["full"]
	a, err := xds.Build(snapshot(t, p.config), p.options)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		b, err := xds.Build(snapshot(t, goldenPolicies()["full"].config), p.options)
		if err != nil {
			t.Fatal(err)
		}
		for _, typeURL := range xds.Types {
			if a.Version(typeURL) != b.Version(typeURL) {
				t.Errorf("two versions of %s", typeURL)
			}
		}
	}
}

// A key that several backends miss is one warning.
func TestBuildWarnings(t *testing.T) {
	t.Parallel()
	config := router.Config{
		Models:      []router.Model{{Name: "m"}},
		Deployments: []router.Deployment{{Name: "auto", Subset: []router.ModelIndex{0}}},
	}
	for name, c := range map[string]router.Credential{
		"a": {Env: "SHARED", Header: "authorization"}, "b": {File: "/run/secrets/b", Header: "api-key"},
		"c": {Env: "SHARED", Header: "api-key"}, "d": {Env: "FOUND", Header: "api-key"},
	} {
		config.Backends = append(config.Backends, router.Backend{Name: name, SendAs: "m", Address: "127.0.0.1:8001", Credential: &c})
	}
	slices.SortFunc(config.Backends, func(x, y router.Backend) int { return strings.Compare(x.Name, y.Name) })
	r, err := xds.Build(snapshot(t, config), xds.Options{
		Listen: "127.0.0.1:1", ExtProc: "127.0.0.1:2",
		Secret: func(c router.Credential) (string, error) {
			if c.Env == "FOUND" {
				return "key", nil
			}
			return "", errors.New("no such thing")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"credential $SHARED: no such thing; the providers of backends a, c will refuse requests",
		"credential /run/secrets/b: no such thing; the provider of backend b will refuse requests",
	}
	if diff := cmp.Diff(want, r.Warnings); diff != "" {
		t.Error(diff)
	}
}

func TestBuildFaults(t *testing.T) {
	t.Parallel()
	good := xds.Options{Listen: "127.0.0.1:1", ExtProc: "127.0.0.1:2"}
	for _, tt := range []struct {
		name    string
		backend router.Backend
		options xds.Options
		want    []string
	}{
		{"addresses", router.Backend{Address: "127.0.0.1:1"}, xds.Options{Listen: "localhost:80", ExtProc: "nowhere"}, []string{
			`listen address: "localhost:80": the host must be an IP address`, `ext_proc address: "nowhere" is neither host:port nor unix:/path`,
		}},
		{"backend address", router.Backend{Address: "x"}, good, []string{`backend "b": address: "x" is neither`}},
		{"CA bundle", router.Backend{Address: "x:1", TLS: &router.TLS{CAFile: "/nonexistent/ca.pem"}}, good, []string{`backend "b": CA bundle: open /nonexistent/ca.pem`}},
		{"CA bundle that is none", router.Backend{Address: "x:1", TLS: &router.TLS{CAFile: "golden_test.go"}}, good, []string{
			`backend "b": CA bundle: golden_test.go does not begin with a certificate in PEM`,
		}},
		{"no CA bundle at all", router.Backend{Address: "x:1", TLS: &router.TLS{}}, xds.Options{
			Listen: "127.0.0.1:1", ExtProc: "127.0.0.1:2", ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
		}, []string{`backend "b": CA bundle: the system has none of`}},
		{"send as", router.Backend{Address: "x:1", SendAs: "naïve"}, good, []string{`backend "b": wye-send-as: "naïve" is not printable ASCII`}},
		{"path prefix", router.Backend{Address: "x:1", PathPrefix: `/a" .. os.exit() .. "`}, good, []string{`backend "b": path prefix`, "is not a plain absolute path"}},
		{"validation", router.Backend{Address: "x:1", Credential: &router.Credential{Env: "X", Header: "bad\nheader"}}, good, []string{`backend "b": resource wye/first/b/`, "Generic.Header"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.backend.Name = "b"
			s := snapshot(t, router.Config{Models: []router.Model{{Name: "m"}}, Backends: []router.Backend{tt.backend}})
			_, err := xds.Build(s, tt.options)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestReadSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(" from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WYE_TEST_KEY", "from-env\n")
	t.Setenv("WYE_TEST_EMPTY", " ")
	for _, tt := range []struct {
		credential    router.Credential
		want, wantErr string
	}{
		{router.Credential{Env: "WYE_TEST_KEY"}, "from-env", ""},
		{router.Credential{File: file}, "from-file", ""},
		{router.Credential{Env: "WYE_TEST_EMPTY"}, "", "it is empty"},
		{router.Credential{Env: "WYE_TEST_UNSET"}, "", "it is empty"},
		{router.Credential{File: file + "x"}, "", "no such file"},
		{router.Credential{}, "", "neither"},
	} {
		got, err := xds.ReadSecret(tt.credential)
		if got != tt.want || (err == nil) != (tt.wantErr == "") || err != nil && !strings.Contains(err.Error(), tt.wantErr) {
			t.Errorf("%+v: %q, %v", tt.credential, got, err)
		}
	}
}
