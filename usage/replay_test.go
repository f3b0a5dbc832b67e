package usage_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"wye/policies"
	"wye/router"
	"wye/usage"
)

// written is the record of a request, as it is read back from the decision log.
func written(t *testing.T, s *router.Snapshot, keepText bool, req router.Request) *usage.Record {
	t.Helper()
	sink, got, _ := newSink(t, usage.Config{KeepText: keepText})
	sink.Policy(s)
	var d router.Decision
	_ = s.Route(&req, &d) // a refusal is noted as well
	sink.Decided([]byte("id"), s, &req, &d, 1, 1)
	export(t, sink, entry("id", s.Hash, "c", object))
	line, err := json.Marshal(got.all[0])
	if err != nil {
		t.Fatal(err)
	}
	r := new(usage.Record)
	if err := json.Unmarshal(line, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Decisions of the real predictor under the embedded policy replay bit for bit,
// with the prompt's text and without.
func TestReplay(t *testing.T) {
	t.Parallel()
	p, err := policies.Parse(policies.DefaultName, policies.DefaultYAML())
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Compile()
	if err != nil {
		t.Fatal(err)
	}
	deployment := s.Deployments[0].Name
	text := router.Text{
		System: []byte("You are terse."), User: []byte("Prove that the square root of 2 is irrational, and <b>why</b> “it” matters."),
		History: []byte("hello\nworld"), Tools: []byte("search: finds things"), Bytes: 200, Turns: 3, Tool: 1,
	}
	for name, req := range map[string]router.Request{
		"usual":          {PromptTokens: 120, PromptTokensMax: 200, Text: text, Hash: 1<<63 + 12345},
		"in a mode":      {PromptTokens: 120, PromptTokensMax: 200, Text: text, Mode: router.ModeCost},
		"capped":         {PromptTokens: 5000, PromptTokensMax: 9000, OutputCap: 64, Text: text},
		"needing":        {PromptTokens: 120, PromptTokensMax: 200, Text: text, Needs: router.CapVision | router.CapTools},
		"of some models": {PromptTokens: 120, PromptTokensMax: 200, Text: text, Only: router.Members(0).With(0).With(2), Deaf: router.Members(0).With(0)},
		"continued": {
			PromptTokens: 4000, PromptTokensMax: 5000, Text: text, Affinity: router.AffinitySticky,
			Session: router.Session{Model: router.Key(s.Models[s.Deployments[0].Subset[2]].Name), CachedTokens: 3000},
		},
		"continued elsewhere": {PromptTokens: 4000, PromptTokensMax: 5000, Text: text, Session: router.Session{Model: 1, Backend: 2, CachedTokens: 3000}},
		"on a spent budget":   {PromptTokens: 4000, PromptTokensMax: 5000, Text: text, Mode: router.ModeQuality, Floor: router.ModeCost, BudgetUsed: 1.01},
		"too long for some":   {PromptTokens: 300_000, PromptTokensMax: 350_000, Text: text},
		"refused":             {PromptTokens: 300_000_000, PromptTokensMax: 350_000_000, Text: text},
		"needing the absent":  {Needs: router.CapAudio, Text: text},
	} {
		req.Deployment = []byte(deployment)
		for _, keepText := range []bool{false, true} {
			r := written(t, s, keepText, req)
			if differences, err := usage.Replay(r, s, ""); err != nil || len(differences) > 0 {
				t.Errorf("%s, text kept %t: %v, %q", name, keepText, err, differences)
			}
			if len(r.Candidates) == 0 {
				t.Errorf("%s: no candidates", name)
			}
		}
	}

	usual := router.Request{Deployment: []byte(deployment), PromptTokens: 120, PromptTokensMax: 200, Text: text}
	for name, tt := range map[string]struct {
		edit func(*usage.Record)
		text bool
		want string
	}{
		"an estimate":              {func(r *usage.Record) { r.Candidates[0].Quality += 1e-6 }, true, "candidate 1 was"},
		"a cost":                   {func(r *usage.Record) { r.Candidates[1].CostUSD *= 1.0000001 }, false, "candidate 2 was"},
		"the rate":                 {func(r *usage.Record) { r.Rate++ }, true, "rate was"},
		"an estimate, by its rank": {func(r *usage.Record) { r.Candidates[0].Quality = 0 }, false, "candidate 1 was"},
		"the chain":                {func(r *usage.Record) { r.Chain = r.Chain[1:] }, false, "chain was"},
		"the mode":                 {func(r *usage.Record) { r.Mode = "cost" }, false, "mode was cost, is balanced"},
		"the predictor":            {func(r *usage.Record) { r.Predictor = "older" }, false, "predictor was older"},
		"a candidate less":         {func(r *usage.Record) { r.Candidates = r.Candidates[1:] }, true, "number of candidates"},
		"a capability":             {func(r *usage.Record) { r.Inputs.Needs = "audio" }, false, "candidate 1 was"},
	} {
		r := written(t, s, tt.text, usual)
		tt.edit(r)
		differences, err := usage.Replay(r, s, "")
		if err != nil || !strings.Contains(strings.Join(differences, "\n"), tt.want) {
			t.Errorf("%s: %v, %q", name, err, differences)
		}
	}

	for name, tt := range map[string]struct {
		edit func(*usage.Record)
		want string
	}{
		"another policy":     {func(r *usage.Record) { r.Policy = "older" }, usage.ErrOtherPolicy.Error()},
		"no inputs":          {func(r *usage.Record) { r.Inputs = nil }, usage.ErrNoInputs.Error()},
		"unknown deployment": {func(r *usage.Record) { r.Deployment = "gone" }, `no deployment "gone"`},
		"a bad hash":         {func(r *usage.Record) { r.Inputs.Hash = "x" }, "hash"},
		"a bad floor":        {func(r *usage.Record) { r.Inputs.Floor = "fast" }, `mode floor "fast"`},
		"a bad mode":         {func(r *usage.Record) { r.Inputs.Mode = "fast" }, `mode "fast"`},
		"a bad strategy":     {func(r *usage.Record) { r.Inputs.Affinity = "loose" }, `affinity "loose"`},
		"a bad capability":   {func(r *usage.Record) { r.Inputs.Needs = "tools,flight" }, `capability "flight"`},
		"a bad member":       {func(r *usage.Record) { r.Inputs.Only = []string{"gpt-0"} }, `no model "gpt-0"`},
	} {
		r := written(t, s, false, usual)
		tt.edit(r)
		if _, err := usage.Replay(r, s, ""); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := usage.Replay(&usage.Record{Deployment: "x", Policy: "y", Inputs: &usage.Inputs{}}, s, ""); !errors.Is(err, usage.ErrOtherPolicy) {
		t.Errorf("error %v", err)
	}
}
