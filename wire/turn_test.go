package wire_test

import (
	"strings"
	"testing"

	"wye/wire"
)

func keys(t testing.TB, body string) (this, earlier uint64) {
	t.Helper()
	var f wire.Facts
	if p := wire.Scan([]byte(body), &f); p != nil {
		t.Fatalf("%v in %s", p, body)
	}
	return f.TurnKeys([]byte(body))
}

const (
	system = `{"role":"system","content":"Be brief."}`
	ask1   = `{"role":"user","content":"What is a monad?"}`
	reply1 = `{"role":"assistant","content":"A monoid."}`
	ask2   = `{"role":"user","content":"In which category?"}`
	reply2 = `{"content":"Endofunctors.","role":"assistant"}`
	call   = `{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]}`
	result = `{"role":"tool","tool_call_id":"1","content":"42"}`
)

func messages(all ...string) string {
	return `{"model":"auto","messages":[` + strings.Join(all, ",") + `],"temperature":0.5}`
}

// Each request's earlier key is the key of the one that its last answer answers.
func TestTurnKeys(t *testing.T) {
	t.Parallel()
	tools := func(body, tools string) string { return strings.Replace(body, `"temp`, `"tools":`+tools+`,"temp`, 1) }
	one := `[{"type":"function","function":{"name":"f"}}]`
	for _, tt := range []struct {
		name          string
		before, after string
		follows       bool
	}{
		{name: "second turn", before: messages(system, ask1), after: messages(system, ask1, reply1, ask2), follows: true},
		{name: "third turn", before: messages(system, ask1, reply1, ask2), after: messages(system, ask1, reply1, ask2, reply2, ask1), follows: true},
		{name: "no system message", before: messages(ask1), after: messages(ask1, reply1, ask2), follows: true},
		{name: "a tool's result", before: messages(ask1), after: messages(ask1, call, result), follows: true},
		{name: "two results", before: messages(ask1), after: messages(ask1, call, result, result), follows: true},
		{name: "after a tool's result", before: messages(ask1, call, result), after: messages(ask1, call, result, reply1, ask2), follows: true},
		{name: "a prefilled answer", before: messages(ask1), after: messages(ask1, reply1), follows: true},
		{name: "other fields, other order", before: messages(ask1), after: `{"messages":[` + ask1 + `,` + reply1 + `,` + ask2 + `],"seed":1,"model":"x"}`, follows: true},
		{name: "the same tools", before: tools(messages(ask1), one), after: tools(messages(ask1, reply1, ask2), one), follows: true},
		{name: "another answer is still an answer", before: messages(ask1), after: messages(ask1, reply2, ask2), follows: true},

		{name: "a repetition has no answer", before: messages(system, ask1), after: messages(system, ask1)},
		{name: "a second question without an answer", before: messages(ask1), after: messages(ask1, ask2)},
		{name: "a turn was skipped", before: messages(ask1), after: messages(ask1, reply1, ask2, reply2, ask1)},
		{name: "another system message", before: messages(system, ask1), after: messages(strings.Replace(system, "brief", "prolix", 1), ask1, reply1, ask2)},
		{name: "an edited question", before: messages(ask1), after: messages(strings.Replace(ask1, "monad", "nomad", 1), reply1, ask2)},
		{name: "an edited history", before: messages(ask1, reply1, ask2), after: messages(ask1, strings.Replace(reply1, "monoid", "burrito", 1), ask2, reply2, ask1)},
		{name: "tools have come", before: messages(ask1), after: tools(messages(ask1, reply1, ask2), one)},
		{name: "tools have changed", before: tools(messages(ask1), one), after: tools(messages(ask1, reply1, ask2), strings.Replace(one, "f\"}", "great\"}", 1))},
		{name: "another spacing", before: messages(ask1, reply1, ask2), after: messages(ask1, " "+reply1, ask2, reply2, ask1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			this, _ := keys(t, tt.before)
			_, earlier := keys(t, tt.after)
			if (this == earlier) != tt.follows {
				t.Errorf("follows is %v, want %v", this == earlier, tt.follows)
			}
			if this == 0 {
				t.Error("a request without a key")
			}
		})
	}
	for _, first := range []string{messages(system), messages(system, ask1), messages(ask1, result), messages(reply1, ask1)} {
		if _, earlier := keys(t, first); earlier != 0 {
			t.Errorf("%s answers %x", first, earlier)
		}
	}
}

// A Facts that is used again remembers nothing of the body before.
func TestTurnKeysOfReusedFacts(t *testing.T) {
	t.Parallel()
	var f wire.Facts
	for _, body := range []string{messages(system, ask1, reply1, ask2), messages(ask1), messages(ask1, call, result), messages(ask2)} {
		if p := wire.Scan([]byte(body), &f); p != nil {
			t.Fatal(p)
		}
		this, earlier := f.TurnKeys([]byte(body))
		if wantThis, wantEarlier := keys(t, body); this != wantThis || earlier != wantEarlier {
			t.Errorf("%s: %x, %x; want %x, %x", body, this, earlier, wantThis, wantEarlier)
		}
	}
	if this, earlier := new(wire.Facts).TurnKeys(nil); this != 0 || earlier != 0 {
		t.Errorf("no request has the keys %x, %x", this, earlier)
	}
}

// FuzzTurnKeys checks that appending an answer to whatever body passes is
// recognised, and that no body makes TurnKeys panic.
func FuzzTurnKeys(f *testing.F) {
	f.Add(messages(system, ask1))
	f.Add(messages(ask1, call, result))
	f.Add(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]} ] }`)
	f.Add(`{"tools":[{"a":1}],"messages":[{"role":"user","content":"\u0000"}],"model":"m"}`)
	f.Fuzz(func(t *testing.T, body string) {
		var facts wire.Facts
		if wire.Scan([]byte(body), &facts) != nil {
			return
		}
		this, _ := facts.TurnKeys([]byte(body))
		if this == 0 {
			t.Fatal("no key")
		}
		if strings.Count(body, `"messages"`) != 1 || strings.Count(body, "]") != 1 {
			return // where the messages end is not plain to see
		}
		longer := strings.Replace(body, "]", ","+reply1+"]", 1)
		if wire.Scan([]byte(longer), &facts) != nil || facts.Messages < 2 {
			return
		}
		if _, earlier := facts.TurnKeys([]byte(longer)); earlier != this {
			t.Errorf("%x does not follow %x in %s", earlier, this, longer)
		}
	})
}
