package policies_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"github.com/google/go-cmp/cmp"

	"wye/policies"
	"wye/policies/policyv1"
)

func catalog(t *testing.T) []*policyv1.Model {
	t.Helper()
	c, err := policies.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.GetCatalog()) < 40 {
		t.Fatalf("%d models, want the well-known ones", len(c.GetCatalog()))
	}
	return c.GetCatalog()
}

func TestCatalogKeepsTheSchemasRules(t *testing.T) {
	t.Parallel()
	c, err := policies.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	if err := protovalidate.Validate(c); err != nil {
		t.Error(err)
	}
}

func TestCatalogFacts(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, m := range catalog(t) {
		name := m.GetName()
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		p := m.GetPrice()
		if p.GetInput() <= 0 || p.GetOutput() <= 0 {
			t.Errorf("%s: prices %v and %v, want both positive", name, p.GetInput(), p.GetOutput())
		}
		if p.CachedInput != nil && p.GetCachedInput() > p.GetInput() {
			t.Errorf("%s: cached input %v costs more than input %v", name, p.GetCachedInput(), p.GetInput())
		}
		if long := p.GetLongContext(); long != nil && (long.GetInput() < p.GetInput() || long.GetOutput() < p.GetOutput()) {
			t.Errorf("%s: long context is cheaper", name)
		}
		if m.GetContextWindow() == 0 || m.GetMaxInputTokens() > m.GetContextWindow() || m.GetMaxOutputTokens() > m.GetContextWindow() {
			t.Errorf("%s: window %d, input %d, output %d", name, m.GetContextWindow(), m.GetMaxInputTokens(), m.GetMaxOutputTokens())
		}
		if m.GetPublisher() == "" || m.GetSource() == "" {
			t.Errorf("%s: publisher %q, source %q, want both", name, m.GetPublisher(), m.GetSource())
		}
		if _, err := time.Parse(time.DateOnly, m.GetRetires()); m.Retires != nil && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if a := m.GetAbility(); (len(a.GetSkills()) > 0 || a.GetLike() != "") != (a.GetSource() != "") {
			t.Errorf("%s: skills %v, like %q with source %q", name, a.GetSkills(), a.GetLike(), a.GetSource())
		}
		if slices.Contains(m.GetCapabilities(), policyv1.Capability_parallel_tools) && !slices.Contains(m.GetCapabilities(), policyv1.Capability_tools) {
			t.Errorf("%s: parallel tools without tools", name)
		}
	}
}

// TestCatalogNamesTrainedModels holds the embedded catalog to the embedded
// predictor: a new predictor must know the old names.
func TestCatalogNamesTrainedModels(t *testing.T) {
	t.Parallel()
	p := predictor(t)
	trained := 0
	for _, m := range catalog(t) {
		a := m.GetAbility()
		for _, name := range []string{a.GetTrainedAs(), a.GetLike()} {
			if name == "" {
				continue
			}
			if _, ok := p.Model(name); !ok {
				t.Errorf("%s: the predictor was not trained on %s", m.GetName(), name)
			}
		}
		if a.GetTrainedAs() != "" {
			trained++
		}
	}
	if trained < 2 {
		t.Errorf("%d models were trained on, want at least two", trained)
	}
}

// TestReasoningModels pins which models refuse sampling parameters.
func TestReasoningModels(t *testing.T) {
	t.Parallel()
	strict := []string{
		"o4-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5.2", "gpt-5.2-chat", "gpt-5.3-chat", "gpt-5.4", "gpt-5.4-mini",
		"gpt-5.4-nano", "gpt-5.5", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna", "gpt-6-astra",
	}
	const dropped = "temperature top_p stop presence_penalty frequency_penalty logit_bias logprobs top_logprobs"
	var got []string
	for _, m := range catalog(t) {
		p := m.GetParameters()
		if p.GetMaxTokensField() == "" && !slices.Contains(p.GetDrop(), "temperature") {
			continue
		}
		got = append(got, m.GetName())
		if drop := strings.Join(p.GetDrop(), " "); drop != dropped || p.GetMaxTokensField() != "max_completion_tokens" {
			t.Errorf("%s drops %s and takes %s", m.GetName(), drop, p.GetMaxTokensField())
		}
	}
	if !slices.Equal(got, strict) {
		t.Errorf("models with parameters: %v\nwant %v", got, strict)
	}
}

// TestReasoningEffort pins which models are not sent reasoning_effort, and what
// others are sent of it.
func TestReasoningEffort(t *testing.T) {
	t.Parallel()
	deaf := []string{"gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4o", "gpt-4o-mini", "gpt-5-chat", "Llama-4-Maverick-17B-128E-Instruct-FP8"}
	older := map[string]string{"none": "low", "minimal": "low", "xhigh": "high"}
	first := map[string]string{"none": "minimal", "xhigh": "high"}
	replaced := map[string]map[string]string{
		"o4-mini": older, "gpt-oss-120b": older, "gpt-5": first, "gpt-5-mini": first, "gpt-5-nano": first, "gpt-5.2": {"minimal": "low"},
	}
	var got []string
	for _, m := range catalog(t) {
		p := m.GetParameters()
		if slices.Contains(p.GetDrop(), "reasoning_effort") {
			got = append(got, m.GetName())
			if m.GetAbility().GetReasoning() {
				t.Errorf("%s reasons", m.GetName())
			}
		}
		if diff := cmp.Diff(replaced[m.GetName()], p.GetReasoningEffort()); diff != "" {
			t.Errorf("%s: %s", m.GetName(), diff)
		}
	}
	if !slices.Equal(got, deaf) {
		t.Errorf("models without reasoning_effort: %v\nwant %v", got, deaf)
	}
}

// TestWholeCatalogCompiles makes a policy of every model, with nothing but
// retirements to warn of.
func TestWholeCatalogCompiles(t *testing.T) {
	t.Parallel()
	var backends, subset strings.Builder
	for _, m := range catalog(t) {
		backends.WriteString("  - {name: " + strings.ToLower(m.GetName()) + ", model: " + m.GetName() + ", address: \"a:1\", tls: {}}\n")
		subset.WriteString("      - " + m.GetName() + "\n")
	}
	p := parse(t, "backends:\n"+backends.String()+"deployments:\n  - name: all\n    subset:\n"+subset.String())
	for _, w := range p.Warnings() {
		if !strings.Contains(w.Message, "is retired since") {
			t.Error(w)
		}
	}
	compile(t, p)
}
