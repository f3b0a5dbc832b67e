package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wye/internal/explain"
)

func TestRequestAPI(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ flag, body, want string }{
		{"", `{"model":"m","messages":[]}`, "chat_completions"},
		{"", `{"model":"m","messages":[],"system":"s"}`, "messages"},
		{"", `{"model":"m","messages":[],"stop_sequences":[]}`, "messages"},
		{"", `{"model":"m","messages":[],"prompt":1}`, "chat_completions"},
		{"", `{"input":"hi"}`, "responses"},
		{"", `{"input":[]}`, "responses"},
		{"", `{"input":[{"role":"user"}]}`, "responses"},
		{"", `{"input": [ "a" ]}`, "embeddings"},
		{"", `{"input":[[1]]}`, "embeddings"},
		{"", `{"input":"a","dimensions":3}`, "embeddings"},
		{"", `{"prompt":"a"}`, "completions"},
		{"", `{"prompt": {"id":"p"}}`, "responses"},
		{"", `{"previous_response_id":"r"}`, "responses"},
		{"", `nonsense`, "chat_completions"},
		{"", `{}`, "chat_completions"},
		{"count_tokens", `{"input":"hi"}`, "count_tokens"},
		{"messages", `{"messages":[]}`, "messages"},
	} {
		got, err := requestAPI(tt.flag, []byte(tt.body))
		if err != nil || got.String() != tt.want {
			t.Errorf("--api %q of %s: %v, %v, want %s", tt.flag, tt.body, got, err, tt.want)
		}
	}
	var bad usageError
	if _, err := requestAPI("grpc", nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "count_tokens, responses") {
		t.Errorf("an unknown API: %v", err)
	}
}

// What explain says of a request is what a client of that API gets.
func TestExplainAPIs(t *testing.T) {
	t.Parallel()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(`backends:
- {name: a, model: gpt-5, address: "127.0.0.1:1", apis: [responses, chat_completions]}
- {name: b, model: gpt-5-mini, address: "127.0.0.1:2", apis: [responses, embeddings]}
- {name: c, model: gpt-5-nano, address: "127.0.0.1:3", apis: [messages, embeddings]}
deployments:
- {name: auto, subset: [gpt-5, gpt-5-mini, gpt-5-nano]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		body     string
		more     []string
		backends string // of the chain, sorted
		fault    string
	}{
		{`{"model":"auto","messages":[{"role":"user","content":"hi"}]}`, nil, "ac", ""}, // c by translation
		{`{"model":"auto","system":"s","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, nil, "c", ""},
		{`{"model":"auto","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, []string{"--api", "messages"}, "c", ""},
		{`{"model":"auto","input":"hi"}`, nil, "ab", ""},
		{`{"model":"auto","input":"hi","routing_config":{"models":["gpt-5-mini"]}}`, nil, "b", ""},
		{`{"model":"auto","input":"hi","previous_response_id":"r"}`, nil, "ab", "previous_response_id refers to"},
		{`{"model":"auto","input":["hi"]}`, nil, "bc", "cannot be compared"},
		{`{"model":"auto","input":["hi"],"routing_config":{"models":["gpt-5-mini"]}}`, nil, "b", ""},
		{`{"model":"auto","prompt":"hi"}`, nil, "", "speaks the client's API"},
	} {
		cmd := newExplainCommand()
		var out bytes.Buffer
		cmd.SetIn(strings.NewReader(tt.body))
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(append([]string{"--json", "--policy", policy}, tt.more...))
		err := cmd.ExecuteContext(t.Context())
		if (err == nil) != (tt.fault == "") {
			t.Errorf("%s: %v", tt.body, err)
		}
		var r explain.Report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v: %s", tt.body, err, out.Bytes())
		}
		chain := map[string]bool{}
		for _, s := range r.Chain {
			chain[s.Backend] = true
		}
		got := ""
		for _, name := range []string{"a", "b", "c"} {
			if chain[name] {
				got += name
			}
		}
		if got != tt.backends || !strings.Contains(r.Error, tt.fault) {
			t.Errorf("%s: chain %q, error %q; want %q, %q", tt.body, got, r.Error, tt.backends, tt.fault)
		}
	}
}
