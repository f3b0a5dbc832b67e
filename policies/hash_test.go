package policies_test

import (
	"regexp"
	"strings"
	"testing"

	"buf.build/go/protoyaml"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"wye/policies"
)

func TestSameContentSameHash(t *testing.T) {
	t.Parallel()
	want := parse(t, minimal).Hash()
	if !regexp.MustCompile(`^[0-9a-f]{12}$`).MatchString(want) {
		t.Errorf("hash %q, want 12 hex digits", want)
	}
	for _, tt := range []struct{ name, text string }{
		{"comments and blank lines", "# hello\n\n" + strings.ReplaceAll(minimal, "\n", " # and\n")},
		{"order of keys", `deployments: [{subset: [gpt-4.1-mini, gpt-4.1-nano], name: auto}]
backends:
  - {tls: {}, address: "a.example.com:443", model: gpt-4.1-mini, name: a-mini}
  - {tls: {}, zone: eu, address: "a.example.com:443", model: gpt-4.1-nano, name: a-nano}
`},
		{"defaults of a deployment", minimal + `    mode: balanced
    zone: global
    allowed_modes: {modes: [cost, quality]}
    predictor: "` + predictor(t).Version() + `"
    limits: {max_body_bytes: 16Mi, max_attempts: 4, timeout: 10m, per_try_timeout: 60s}
    bands: {balanced: 0.015, cost: 0.055}
    affinity: {strategy: adaptive, idle: 30m}
`},
		{"defaults of the policy", minimal + "defaults:\n  limits: {max_attempts: 4, timeout: 600s}\n  bands: {cost: 0.055}\n  affinity: {idle: 1800s}\n"},
		{"defaults of a backend", strings.Replace(minimal, "tls: {}}", "tls: {}, zone: global, weight: 1, send_as: gpt-4.1-mini, protocol: openai}", 1)},
		{"what the catalog says anyway", minimal + "catalog:\n  - {name: gpt-4.1-nano, price: {output: 0.4}}\n"},
		{"a source", minimal + "catalog:\n  - {name: gpt-4.1-nano, source: an invoice}\n"},
		{"a model nobody refers to", minimal + "catalog:\n  - {name: gpt-4o, price: {output: 1}}\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, tt.text).Hash(); got != want {
				t.Errorf("hash %s, want %s", got, want)
			}
		})
	}
}

func TestOtherContentOtherHash(t *testing.T) {
	t.Parallel()
	const base = minimal + "    aliases: [one]\n    bands: {cost: 0.05}\n    limits: {timeout: 61s}\n"
	seen := map[string]string{parse(t, base).Hash(): "base"}
	for _, tt := range []struct{ name, old, now string }{
		{"backend name", "a-nano", "b-nano"},
		{"address", `"a.example.com:443", tls: {}, zone`, `"b.example.com:443", tls: {}, zone`},
		{"zone", "zone: eu", "zone: us"},
		{"tls", "tls: {}, zone: eu", "zone: eu"},
		{"server name", "tls: {}, zone: eu", "tls: {server_name: b.example.com}, zone: eu"},
		{"translate", "zone: eu", "zone: eu, translate: true"},
		{"effort", "zone: eu", "zone: eu, translate: true, effort: true"},
		{"thinking", "zone: eu", "zone: eu, translate: true, thinking: {low: 1}"},
		{"weight", "zone: eu", "zone: eu, weight: 2"},
		{"credential", "zone: eu", "zone: eu, credential: {env: K}"},
		{"credential file", "zone: eu", "zone: eu, credential: {file: K}"},
		{"deployment", "auto", "automatic"},
		{"alias", "[one]", "[two]"},
		{"subset", "[gpt-4.1-mini, gpt-4.1-nano]", "[gpt-4.1-mini]"},
		{"order of the subset", "[gpt-4.1-mini, gpt-4.1-nano]", "[gpt-4.1-nano, gpt-4.1-mini]"},
		{"mode", "    aliases", "    mode: cost\n    aliases"},
		{"allowed modes", "    aliases", "    allowed_modes: {}\n    aliases"},
		{"band", "0.05", "0.06"},
		{"timeout", "61s", "61.5s"},
		{"requests a minute", "timeout: 61s", "timeout: 61s, requests_per_minute: 9"},
		{"tokens a minute", "timeout: 61s", "timeout: 61s, tokens_per_minute: 9"},
		{"affinity", "    aliases", "    affinity: {strategy: sticky}\n    aliases"},
		{"affinity's idle time", "    aliases", "    affinity: {idle: 5m}\n    aliases"},
		{"price", "deployments", "catalog: [{name: gpt-4.1-nano, price: {input: 0.2}}]\ndeployments"},
		{"skill", "deployments", "catalog: [{name: gpt-4.1-nano, ability: {skills: {math: 0.5}}}]\ndeployments"},
		{"other skill", "deployments", "catalog: [{name: gpt-4.1-nano, ability: {skills: {code: 0.5}}}]\ndeployments"},
		{"two skills", "deployments", "catalog: [{name: gpt-4.1-nano, ability: {skills: {code: 0.5, math: 0.5}}}]\ndeployments"},
	} {
		text := strings.Replace(base, tt.old, tt.now, 1)
		if text == base {
			t.Fatalf("%s: nothing to replace", tt.name)
		}
		hash := parse(t, text).Hash()
		if other, ok := seen[hash]; ok {
			t.Errorf("%s: same hash as %s", tt.name, other)
		}
		seen[hash] = tt.name
	}
}

// TestHashIsPinned fails when the encoding behind the hash changes: decision
// logs name policies by it, so that must be a choice and go into the CHANGELOG.
func TestHashIsPinned(t *testing.T) {
	t.Parallel()
	// Its own models and a predictor's name of its own, so that neither the
	// embedded catalog nor new weights show.
	const text = `catalog:
  - {name: a, price: {input: 1, output: 2.5}, context_window: 8192, ability: {skills: {math: 0.5, code: 0.25}}}
  - {name: b, price: {input: 3, output: 4}, context_window: 8192, capabilities: [vision, tools]}
backends:
  - {name: a, model: a, address: "a.example.com:443", tls: {}, credential: {env: KEY}}
  - {name: b, model: b, address: "b.example.com:443", tls: {}, zone: eu}
deployments:
  - {name: auto, subset: [a, b], limits: {timeout: 90.5s}}
`
	p := parse(t, text, policies.WithPredictors(relabelled(t, "test")))
	if got, want := p.Hash(), "742ebf2aeac6"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

// TestRoundTrip writes a complete policy and reads it again.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text string }{
		{"minimal", minimal},
		{"every field", read(t, "full.yaml")},
		{"default", string(policies.DefaultYAML())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := parse(t, tt.text)
			yaml, err := protoyaml.MarshalOptions{UseProtoNames: true}.Marshal(p.Document())
			if err != nil {
				t.Fatal(err)
			}
			for _, again := range []*policies.Policy{parse(t, string(yaml)), parse(t, protoJSON(t, p.Document()))} {
				if diff := cmp.Diff(p.Document(), again.Document(), protocmp.Transform()); diff != "" {
					t.Errorf("the document changed (-before +after):\n%s", diff)
				}
				if again.Hash() != p.Hash() {
					t.Errorf("hash %s, want %s", again.Hash(), p.Hash())
				}
				if got, want := summary(compile(t, again)), summary(compile(t, p)); got != want {
					t.Errorf("the snapshot changed (-before +after):\n%s", cmp.Diff(want, got))
				}
			}
		})
	}
}

func protoJSON(t *testing.T, m proto.Message) string {
	t.Helper()
	b, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDocumentIsACopy(t *testing.T) {
	t.Parallel()
	p := parse(t, minimal)
	p.Document().Deployments[0].Name = "changed"
	if got := p.Document().GetDeployments()[0].GetName(); got != "auto" {
		t.Errorf("the policy's deployment is now %q", got)
	}
}
