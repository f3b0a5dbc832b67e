package policies_test

import (
	"strings"
	"testing"

	"wye/policies"
)

// What a backend must not send is refused, and no fault shows what may be a key.
func TestBackendHeaders(t *testing.T) {
	t.Parallel()
	policy := func(backend string) string {
		return "backends:\n- {name: b, model: gpt-5, address: \"127.0.0.1:1\", " + backend + "}\ndeployments:\n- {name: d, subset: [gpt-5]}\n"
	}
	for _, good := range []string{
		`headers: [{name: OpenAI-Organization, value: org-1}, {name: X-A, env: A}, {name: X-B, file: /b}]`,
		`headers: [{name: Authorization, env: A}]`, `headers: []`,
		`tls: {}, proxy: "10.0.0.3:3128"`, `tls: {}, proxy: "[fd00::3]:3128"`, `proxy: ""`,
	} {
		if _, err := policies.Parse("policy.yaml", []byte(policy(good))); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for backend, want := range map[string]string{
		`headers: [{name: X-A, value: v}, {name: x-a, env: A}]`:                           `policy.yaml:2:`,
		`headers: [{name: X-A, env: A}, {name: x-a, env: B}]`:                             `backends[0].headers[1].name: header "x-a" is stated twice, first in backends[0].headers[0]`,
		`headers: [{name: Content-Length, value: "1"}]`:                                   `not a backend's to set`,
		`headers: [{name: X-Wye-Zone, value: eu}]`:                                        `not a backend's to set`,
		`headers: [{name: x-envoy-retry-on, value: "5xx"}]`:                               `not a backend's to set`,
		`headers: [{name: Authorization, value: Bearer SECRET}]`:                          `backends[0].headers[0].value: the value of header "authorization" is a key`,
		`headers: [{name: X-Api-Key, value: SECRET}]`:                                     `which must come from env or file`,
		`credential: {env: K}, headers: [{name: authorization, env: A}]`:                  `carries the credential`,
		`protocol: anthropic, credential: {env: K}, headers: [{name: x-api-key, env: A}]`: `carries the credential`,
		`headers: [{name: "x a", value: SECRET}]`:                                         `must be a header name`,
		"headers: [{name: x-a, value: \"SECRET\\u00e9\"}]":                                `must be 1 to 1024 printable ASCII`,
		`headers: [{name: x-a, env: "SECRET-"}]`:                                          `must be the name of an environment variable`,
		`headers: [{name: x-a}]`:                                                          `headers[0]`,
		`proxy: "10.0.0.3:3128"`:                                                          `backends[0].proxy: a proxy passes on what is encrypted`,
		`tls: {}, proxy: "proxy.internal:3128"`:                                           `must be an IP address and a port`,
		`tls: {}, proxy: "10.0.0.3"`:                                                      `must be an IP address and a port`,
		`tls: {}, proxy: "10.0.0.300:1"`:                                                  `must be an IP address and a port`,
	} {
		_, err := policies.Parse("policy.yaml", []byte(policy(backend)))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v, want %q", backend, err, want)
		}
	}
}
