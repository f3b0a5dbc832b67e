package wire_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/wire"
)

// withRouting is a request with that routing_config.
func withRouting(config string) []byte {
	return []byte(`{"model":"auto","routing_config":` + config + `,"messages":[{"role":"user","content":"hi"}]}`)
}

func TestRoutingConfig(t *testing.T) {
	t.Parallel()
	type want struct {
		Mode, Session     string
		Models            []string // name|version|format
		Required, Trace   bool
		Strategy          wire.Strategy
		RestrictsToModels bool
	}
	long := strings.Repeat("é", wire.MaxSessionID)
	for _, tt := range []struct {
		name, config string
		want         want
	}{
		{"null", `null`, want{}},
		{"empty", ` { } `, want{}},
		{"members null", `{"mode":null,"models":null,"require_parameters":null,"trace":null,"session_affinity":null}`, want{}},
		{"affinity's members null", `{"session_affinity":{"strategy":null,"mode":null,"session_id":null}}`, want{}},
		{
			"all", `{"mode":"cost","models":["a",{"name":"b"},{"version":"2026-01-01","format":"OpenAI","name":"c"}],
				"require_parameters":true,"trace":true,"session_affinity":{"strategy":"sticky","session_id":"s-1"}}`,
			want{
				Mode: "cost", Session: "s-1", Models: []string{"a||", "b||", "c|2026-01-01|OpenAI"},
				Required: true, Trace: true, Strategy: wire.StrategySticky, RestrictsToModels: true,
			},
		},
		{"escapes", `{"mo\u0064e":"c\u006fst","models":["\u0061\/b"]}`, want{Mode: "cost", Models: []string{"a/b||"}, RestrictsToModels: true}},
		{"a mode that only the router can judge", `{"mode":"Fast"}`, want{Mode: "Fast"}},
		{"the other name", `{"session_affinity":{"mode":"Adaptive"}}`, want{Strategy: wire.StrategyAdaptive}},
		{"both names", `{"session_affinity":{"mode":"none","strategy":"none"}}`, want{Strategy: wire.StrategyNone}},
		{"the longest session id", `{"session_affinity":{"session_id":"` + long + `"}}`, want{Session: long}},
		{"format null", `{"models":[{"name":"a","format":null}]}`, want{Models: []string{"a||"}, RestrictsToModels: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			body := withRouting(tt.config)
			for range 2 { // reused memory must not show
				if p := wire.Scan(body, &f); p != nil {
					t.Fatal(p)
				}
			}
			got := want{
				Mode: string(f.Routing.Mode), Session: string(f.SessionID), Required: f.Routing.RequireParameters,
				Trace: f.Routing.Trace, Strategy: f.SessionStrategy, RestrictsToModels: f.Routing.Models != nil,
			}
			for _, m := range f.Routing.Models {
				got.Models = append(got.Models, string(m.Name)+"|"+string(m.Version)+"|"+string(m.Format))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if p := wire.Scan([]byte(`{"model":"a","messages":[{"role":"user"}]}`), &f); p != nil {
				t.Fatal(p)
			}
			if diff := cmp.Diff(wire.Routing{}, f.Routing); diff != "" || f.SessionID != nil || f.SessionStrategy != 0 {
				t.Errorf("the next request has inherited %v", diff)
			}
		})
	}
}

func TestRoutingConfigProblems(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(`"a",`, wire.MaxModelRefs) + `"a"`
	for _, tt := range []struct{ config, code, param string }{
		{`"cost"`, wire.CodeInvalidType, "routing_config"},
		{`[]`, wire.CodeInvalidType, "routing_config"},
		{`{"modes":"cost"}`, wire.CodeUnknownParameter, "routing_config.modes"},
		{`{"mode":"cost","mo\u0064e":"cost"}`, wire.CodeDuplicate, "routing_config.mode"},
		{`{"mode":1}`, wire.CodeInvalidType, "routing_config.mode"},
		{`{"mode":""}`, wire.CodeEmptyString, "routing_config.mode"},
		{`{"models":"a"}`, wire.CodeInvalidType, "routing_config.models"},
		{`{"models":[]}`, wire.CodeEmptyArray, "routing_config.models"},
		{`{"models":["a",1]}`, wire.CodeInvalidType, "routing_config.models[1]"},
		{`{"models":["a",null]}`, wire.CodeInvalidType, "routing_config.models[1]"},
		{`{"models":[""]}`, wire.CodeEmptyString, "routing_config.models[0]"},
		{`{"models":[{"version":"1"}]}`, wire.CodeMissing, "routing_config.models[0].name"},
		{`{"models":[{"name":null}]}`, wire.CodeMissing, "routing_config.models[0].name"},
		{`{"models":[{"name":"a","format":2}]}`, wire.CodeInvalidType, "routing_config.models[0].format"},
		{`{"models":[{"name":"a","id":"b"}]}`, wire.CodeUnknownParameter, "routing_config.models[0].id"},
		{`{"models":[{"name":"a","name":"b"}]}`, wire.CodeDuplicate, "routing_config.models[0].name"},
		{`{"models":[` + many + `]}`, wire.CodeInvalidValue, "routing_config.models"},
		{`{"require_parameters":"yes"}`, wire.CodeInvalidType, "routing_config.require_parameters"},
		{`{"trace":1}`, wire.CodeInvalidType, "routing_config.trace"},
		{`{"session_affinity":"sticky"}`, wire.CodeInvalidType, "routing_config.session_affinity"},
		{`{"session_affinity":{"ttl":1}}`, wire.CodeUnknownParameter, "routing_config.session_affinity.ttl"},
		{`{"session_affinity":{"strategy":"glued"}}`, wire.CodeInvalidValue, "routing_config.session_affinity.strategy"},
		{`{"session_affinity":{"mode":"glued"}}`, wire.CodeInvalidValue, "routing_config.session_affinity.mode"},
		{`{"session_affinity":{"strategy":"none","mode":"sticky"}}`, wire.CodeInvalidValue, "routing_config.session_affinity.mode"},
		{`{"session_affinity":{"session_id":""}}`, wire.CodeEmptyString, "routing_config.session_affinity.session_id"},
		{`{"session_affinity":{"session_id":7}}`, wire.CodeInvalidType, "routing_config.session_affinity.session_id"},
		{
			`{"session_affinity":{"session_id":"` + strings.Repeat("é", wire.MaxSessionID+1) + `"}}`,
			wire.CodeInvalidValue, "routing_config.session_affinity.session_id",
		},
		{`{"mode":"cost"`, wire.CodeInvalidJSON, ""},
		{`{"models":["a"`, wire.CodeInvalidJSON, ""},
		{`{"models":[{"name":"a"`, wire.CodeInvalidJSON, ""},
	} {
		t.Run(tt.config[:min(len(tt.config), 60)], func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			body := withRouting(tt.config)
			if tt.code == wire.CodeInvalidJSON { // cut off
				body = body[:bytes.Index(body, []byte(tt.config))+len(tt.config)]
			}
			p := wire.Scan(body, &f)
			if p == nil {
				t.Fatal("it passes")
			}
			if p.Status != 400 || p.Code != tt.code || p.Param != tt.param || !strings.Contains(p.Message, tt.param) {
				t.Errorf("status %d, code %s, param %q: %s", p.Status, p.Code, p.Param, p.Message)
			}
		})
	}
}

func TestSends(t *testing.T) {
	t.Parallel()
	body := []byte(`{"model":"a","temperature":0,"top_p":null,"s\u0074op":["x"],"messages":[{"role":"user","top_k":1}]}`)
	var f wire.Facts
	if p := wire.Scan(body, &f); p != nil {
		t.Fatal(p)
	}
	for name, want := range map[string]bool{"temperature": true, "top_p": false, "stop": true, "top_k": false, "seed": false} {
		if got := f.Sends(body, name); got != want {
			t.Errorf("Sends(%q) = %v", name, got)
		}
	}
}

func TestToolTypes(t *testing.T) {
	t.Parallel()
	many := make([]string, wire.MaxToolTypes+1)
	for i := range many {
		many[i] = `{"type":"t` + strconv.Itoa(i) + `"}`
	}
	for _, tt := range []struct {
		name, fields string
		want         []string
		code         string
	}{
		{"none", `"tools":[]`, nil, ""},
		{"the client's own", `"tools":[{"type":"function","function":{"name":"f","type":"x"}},{"type":"custom","custom":{"name":"g"}}]`, nil, ""},
		{"no type", `"tools":[{"function":{"name":"f"}},{"type":null},{"type":7}]`, nil, ""},
		{"of the older protocol", `"functions":[{"name":"f"}]`, nil, ""},
		{
			"the provider's", `"tools":[{"type":"web_search"},{"type":"function"},{"type":"co\u0064e"},{"type":"mcp"},{"type":"code"}]`,
			[]string{"web_search", "code", "mcp"},
			"",
		},
		{"an escape of the client's", `"tools":[{"type":"f\u0075nction"}]`, nil, ""},
		{"web_search_options", `"web_search_options":{}`, []string{"web_search"}, ""},
		{"both", `"web_search_options":{"a":[]},"tools":[{"type":"web_search"}]`, []string{"web_search"}, ""},
		{"no options", `"web_search_options":null`, nil, ""},
		{"too many", `"tools":[` + strings.Join(many, ",") + `]`, nil, wire.CodeInvalidValue},
		{"as many as there may be", `"tools":[` + strings.Join(many[1:], ",") + `,{"type":"t1"}]`, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			body := []byte(`{"model":"a",` + tt.fields + `,"messages":[{"role":"user","content":"hi"}]}`)
			for range 2 { // reused memory must not show
				if p := wire.Scan(body, &f); p != nil {
					if p.Code != tt.code {
						t.Fatal(p)
					}
					return
				}
			}
			var got []string
			for _, name := range f.ToolTypes {
				got = append(got, string(name))
			}
			if tt.code != "" || tt.name != "as many as there may be" && !cmp.Equal(tt.want, got) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestRoutingConfigAllocatesNothing(t *testing.T) {
	body := withRouting(`{"mode":"cost","models":["a",{"name":"b","version":"1"}],"require_parameters":true,
		"session_affinity":{"strategy":"sticky","session_id":"s-1"}}`)
	var f wire.Facts
	if n := testing.AllocsPerRun(100, func() {
		if p := wire.Scan(body, &f); p != nil {
			t.Fatal(p)
		}
	}); n != 0 {
		t.Errorf("%v allocations a scan", n)
	}
}

// FuzzRoutingConfig checks that what passes is what encoding/json reads.
func FuzzRoutingConfig(f *testing.F) {
	f.Add(`{"mode":"cost","models":["a",{"name":"b","version":"1","format":null}],"require_parameters":true}`)
	f.Add(`{"session_affinity":{"mode":"STICKY","session_id":"\ud83d\ude00"},"trace":false}`)
	f.Add(`{"models":[{}]}`)
	f.Fuzz(func(t *testing.T, config string) {
		if !json.Valid([]byte(config)) {
			return
		}
		var facts wire.Facts
		if wire.Scan(withRouting(config), &facts) != nil {
			return
		}
		var want struct {
			Mode     string
			Models   []any
			Required bool `json:"require_parameters"`
			Trace    bool
			Affinity struct {
				ID string `json:"session_id"`
			} `json:"session_affinity"`
		}
		if err := json.Unmarshal([]byte(config), &want); err != nil {
			t.Fatalf("%s passes: %v", config, err)
		}
		if string(facts.Routing.Mode) != want.Mode || string(facts.SessionID) != want.Affinity.ID ||
			facts.Routing.RequireParameters != want.Required || facts.Routing.Trace != want.Trace || len(facts.Routing.Models) != len(want.Models) {
			t.Fatalf("%s is read as %+v, session %q", config, facts.Routing, facts.SessionID)
		}
		for i, m := range facts.Routing.Models {
			name, ok := want.Models[i].(string)
			if !ok {
				o, _ := want.Models[i].(map[string]any)
				name, _ = o["name"].(string)
			}
			if string(m.Name) != name {
				t.Fatalf("model %s is read as %q", strconv.Itoa(i), m.Name)
			}
		}
	})
}
