package wire_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"github.com/tidwall/sjson"

	"wye/wire"
)

func TestAppendRewrite(t *testing.T) {
	t.Parallel()
	const messages = `"messages":[{"role":"user","content":"hi"}]`
	for _, tt := range []struct {
		name, body    string
		edit          wire.Edit
		want, dropped string
	}{
		{"model only", `{"model":"auto",` + messages + `}`, wire.Edit{}, `{"model":"served",` + messages + `}`, ""},
		{
			"all else stays", "\n{ \"x\" : 12345678901234567890.10e-3 ,\t\"mod\\u0065l\" : \"auto\" , " + messages + " , \"z\":{\"model\":\"auto\"} }\n",
			wire.Edit{},
			"\n{ \"x\" : 12345678901234567890.10e-3 ,\t\"mod\\u0065l\" : \"served\" , " + messages + " , \"z\":{\"model\":\"auto\"} }\n", "",
		},
		{
			"drop first", `{"temperature":0.5, "model":"auto",` + messages + `}`,
			wire.Edit{Drop: []string{"temperature", "top_p"}},
			`{"model":"served",` + messages + `}`, "temperature",
		},
		{
			"drop last", `{"model":"auto",` + messages + ` , "top_p" : 1 }`,
			wire.Edit{Drop: []string{"temperature", "top_p"}},
			`{"model":"served",` + messages + ` }`, "top_p",
		},
		{
			"drop the last two", `{"model":"auto",` + messages + `,"stop":["a"],"top_p":1}`,
			wire.Edit{Drop: []string{"stop", "top_p"}},
			`{"model":"served",` + messages + `}`, "stop,top_p",
		},
		{
			"drop between and around", `{"stop":null,"logprobs":true,` + messages + `,"temperature":1,"model":"auto","top_p":1}`,
			wire.Edit{Drop: []string{"stop", "logprobs", "temperature", "top_p"}},
			`{` + messages + `,"model":"served"}`, "stop,logprobs,temperature,top_p",
		},
		{
			"drop by an escaped key", `{"model":"auto","\u0074op_p":1,` + messages + `}`,
			wire.Edit{Drop: []string{"top_p"}},
			`{"model":"served",` + messages + `}`, "top_p",
		},
		{
			"nested names stay", `{"model":"auto","x":{"top_p":1},` + messages + `}`,
			wire.Edit{Drop: []string{"top_p"}},
			`{"model":"served","x":{"top_p":1},` + messages + `}`, "",
		},
		{
			"the model stays", `{"model":"auto",` + messages + `}`, wire.Edit{Drop: []string{"model"}}, `{"model":"served",` + messages + `}`, "",
		},
		{
			"rename the cap", `{"model":"auto","max_tokens" : 5,` + messages + `}`,
			wire.Edit{MaxTokensField: "max_completion_tokens"},
			`{"model":"served","max_completion_tokens" : 5,` + messages + `}`, "",
		},
		{
			"rename back", `{"model":"auto","max_completion_tokens":5,` + messages + `}`,
			wire.Edit{MaxTokensField: "max_tokens"},
			`{"model":"served","max_tokens":5,` + messages + `}`, "",
		},
		{
			"right name already", `{"model":"auto","max_tokens":5,` + messages + `}`,
			wire.Edit{MaxTokensField: "max_tokens"},
			`{"model":"served","max_tokens":5,` + messages + `}`, "",
		},
		{
			"either name will do", `{"model":"auto","max_tokens":5,"max_completion_tokens":6,` + messages + `}`,
			wire.Edit{},
			`{"model":"served","max_tokens":5,"max_completion_tokens":6,` + messages + `}`, "",
		},
		{
			"of two caps one is left", `{"model":"auto","max_tokens":5,"max_completion_tokens":6,` + messages + `}`,
			wire.Edit{MaxTokensField: "max_tokens"},
			`{"model":"served","max_tokens":6,` + messages + `}`, "",
		},
		{
			"of two caps the later is superseded", `{"max_completion_tokens":6,"model":"auto",` + messages + `,"max_tokens":5}`,
			wire.Edit{MaxTokensField: "max_completion_tokens"},
			`{"max_completion_tokens":6,"model":"served",` + messages + `}`, "",
		},
		{
			"a null cap gives way", `{"model":"auto","max_completion_tokens":null,"max_tokens":5,` + messages + `}`,
			wire.Edit{MaxTokensField: "max_completion_tokens"},
			`{"model":"served","max_completion_tokens":5,` + messages + `}`, "",
		},
		{
			"a cap that is renamed is not dropped", `{"model":"auto","max_tokens":5,` + messages + `}`,
			wire.Edit{MaxTokensField: "max_completion_tokens", Drop: []string{"max_tokens"}},
			`{"model":"served","max_completion_tokens":5,` + messages + `}`, "",
		},
		{
			"routing_config is the router's", `{"routing_config":{"mode":"cost"}, "model":"auto",` + messages + `,"x":1 , "routing\u005fconfig2":{}}`,
			wire.Edit{Drop: []string{"routing_config"}},
			`{"model":"served",` + messages + `,"x":1 , "routing\u005fconfig2":{}}`, "",
		},
		{
			"an escaped routing_config is, too", `{"model":"auto",` + messages + ` , "routing\u005fconfig" : null}`,
			wire.Edit{},
			`{"model":"served",` + messages + `}`, "",
		},
		{
			"an effort is replaced", `{"model":"auto","reasoning_effort" : "m\u0069nimal" ,` + messages + `}`,
			wire.Edit{ReasoningEffort: [][2]string{{"minimal", "low"}, {"none", "low"}}},
			`{"model":"served","reasoning_effort" : "low" ,` + messages + `}`, "",
		},
		{
			"another effort stays", `{"model":"auto","reasoning_effort":"h\u0069gh",` + messages + `}`,
			wire.Edit{ReasoningEffort: [][2]string{{"minimal", "low"}}},
			`{"model":"served","reasoning_effort":"h\u0069gh",` + messages + `}`, "",
		},
		{
			"so does what is no effort", `{"model":"auto","reasoning_effort":{"minimal":1},` + messages + `}`,
			wire.Edit{ReasoningEffort: [][2]string{{"minimal", "low"}}},
			`{"model":"served","reasoning_effort":{"minimal":1},` + messages + `}`, "",
		},
		{
			"and a very long one", `{"model":"auto","reasoning_effort":"` + strings.Repeat("minimal", 20) + `",` + messages + `}`,
			wire.Edit{ReasoningEffort: [][2]string{{"minimal", "low"}}},
			`{"model":"served","reasoning_effort":"` + strings.Repeat("minimal", 20) + `",` + messages + `}`, "",
		},
		{
			"an effort is dropped", `{"model":"auto","reasoning_effort":"minimal",` + messages + `}`,
			wire.Edit{ReasoningEffort: [][2]string{{"minimal", "low"}}, Drop: []string{"reasoning_effort"}},
			`{"model":"served",` + messages + `}`, "reasoning_effort",
		},
		{
			"a cap may be dropped", `{"model":"auto","max_tokens":5,` + messages + `}`,
			wire.Edit{Drop: []string{"max_tokens"}},
			`{"model":"served",` + messages + `}`, "max_tokens",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.edit.Model = "served"
			body := []byte(tt.body)
			var f wire.Facts
			if p := wire.Scan(body, &f); p != nil {
				t.Fatal(p)
			}
			got := wire.AppendRewrite([]byte("before "), body, &f, tt.edit)
			if diff := cmp.Diff("before "+tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			if string(body) != tt.body {
				t.Error("the client's body was changed")
			}
			if got := wire.AppendDropped([]byte("p:"), &f, tt.edit); string(got) != "p:"+tt.dropped {
				t.Errorf("dropped %q, want %q", got, tt.dropped)
			}
			for _, b := range []string{tt.body, tt.want} { // the second shows that a rewrite repeated changes nothing
				got, p := wire.AppendRewriteBody(nil, []byte(b), &f, tt.edit)
				if p != nil {
					t.Fatal(p)
				}
				if diff := cmp.Diff(tt.want, string(got)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// A model's name may hold anything; the result is JSON all the same.
func TestAppendRewriteQuotesTheModel(t *testing.T) {
	t.Parallel()
	body := []byte(`{"model":"auto"}`)
	for _, name := range []string{``, `a"b`, `a\b`, "a\nb\x00", "é日😀", "bad\xff"} {
		var f wire.Facts
		got, p := wire.AppendRewriteBody(nil, body, &f, wire.Edit{Model: name})
		if p != nil {
			t.Fatal(p)
		}
		var back struct{ Model string }
		if err := json.Unmarshal(got, &back); err != nil || back.Model != strings.ToValidUTF8(name, "\uFFFD") {
			t.Errorf("%q became %q: %v", name, got, err)
		}
	}
}

func TestAppendRewriteBodyProblems(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `[]`, `{}`, `{"model":"a"`, `{"model":1}`, `{"model":"a","model":"b"}`, `{"model":"a","MODEL":"b"}`, "{\"model\":\"\xff\"}"} {
		var f wire.Facts
		got, p := wire.AppendRewriteBody([]byte("before"), []byte(body), &f, wire.Edit{Model: "b"})
		if p == nil || string(got) != "before" {
			t.Errorf("%q came out as %q, problem %v", body, got, p)
		}
	}
}

// A body that names no model, because its path does, is given one.
func TestAppendRewriteAddsAModel(t *testing.T) {
	t.Parallel()
	const messages = `"messages":[{"role":"user","content":"hi"}]`
	for _, tt := range []struct{ name, body, want string }{
		{"none", "\n{ " + messages + ` }`, "\n{\"model\":\"served\", " + messages + ` }`},
		{"another field is dropped", `{"stop":1,` + messages + `,"x":2,"stop2":3}`, `{"model":"served",` + messages + `,"x":2}`},
		{"its own is replaced", `{` + messages + `,"model":"theirs"}`, `{` + messages + `,"model":"served"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			if p := wire.ScanFor([]byte("router"), []byte(tt.body), &f); p != nil {
				t.Fatal(p)
			}
			if string(f.Model) != "router" {
				t.Errorf("model %q", f.Model)
			}
			edit := wire.Edit{Model: "served", Drop: []string{"stop", "stop2"}}
			got := wire.AppendRewrite(nil, []byte(tt.body), &f, edit)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			again, p := wire.AppendRewriteBody(nil, got, &f, edit)
			if p != nil || !bytes.Equal(again, got) {
				t.Errorf("rewritten again it is %q, problem %v", again, p)
			}
		})
	}
	var f wire.Facts
	for body, code := range map[string]string{
		`{"model":null,` + messages + `}`: wire.CodeInvalidType, `{"model":"",` + messages + `}`: wire.CodeEmptyString,
		`{"model":"a","model":"b",` + messages + `}`: wire.CodeDuplicate, `{}`: wire.CodeMissing,
	} {
		if p := wire.ScanFor([]byte("router"), []byte(body), &f); p == nil || p.Code != code {
			t.Errorf("%s: %v, want %s", body, p, code)
		}
	}
}

// FuzzRewriteAddsAModel drops what it likes, so that any field may be the only
// one to stay, or none.
func FuzzRewriteAddsAModel(f *testing.F) {
	f.Add([]byte(`{"messages":[{"role":"user"}],"a":1}`), "a")
	f.Add([]byte(` { "messages" : [{"role":"user"}] } `), "messages")
	f.Add([]byte(`{"a":1,"messages":[{"role":"user"}]}`), "messages,a")
	f.Fuzz(func(t *testing.T, body []byte, drop string) {
		var facts wire.Facts
		if wire.ScanFor([]byte("m"), body, &facts) != nil {
			return
		}
		got := wire.AppendRewrite(nil, body, &facts, wire.Edit{Model: "served", Drop: strings.Split(drop, ",")})
		var before, after map[string]json.RawMessage
		if err := json.Unmarshal(body, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q became %q: %v", body, got, err)
		}
		for _, name := range append(strings.Split(drop, ","), "routing_config") {
			delete(before, name)
		}
		before["model"] = json.RawMessage(`"served"`)
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzRewrite compares AppendRewrite with sjson in meaning, and checks that
// what it does not touch is the client's, byte for byte and in order.
func FuzzRewrite(f *testing.F) {
	f.Add([]byte(`{"model":"a", "messages":[{"role":"user","content":"hi"}],"temperature":1e2 ,"stop":null}`), "b", "temperature,stop", uint8(1))
	f.Add([]byte(`{"max_tokens":1,"model":"a","max_completion_tokens":2,"\u0073top":[1, 2]}`), "b\"", "stop", uint8(2))
	f.Add([]byte(`{"model":"a"}`), "", "model", uint8(0))
	f.Add([]byte(`{"routing_config":{"mode":"cost"},"model":"a","stop":1}`), "b", "routing_config,stop", uint8(0))
	f.Add([]byte(`{"":0,"stop":0,"model":"0"}`), "a", ",stop", uint8(0)) // an empty name counts as one
	f.Fuzz(func(t *testing.T, body []byte, model, drop string, limit uint8) {
		var facts wire.Facts
		if wire.ScanFields(body, &facts) != nil {
			return
		}
		model = strings.ToValidUTF8(model, "?")
		edit := wire.Edit{Model: model, Drop: strings.Split(drop, ","), MaxTokensField: []string{"", "max_tokens", "max_completion_tokens"}[limit%3]}
		got := wire.AppendRewrite(nil, body, &facts, edit)
		if !json.Valid(got) {
			t.Fatalf("%q is not JSON", got)
		}
		type member struct{ key, value string }
		members := func(b []byte) (all []member) {
			gjson.ParseBytes(b).ForEach(func(k, v gjson.Result) bool {
				all = append(all, member{k.String(), v.Raw})
				return true
			})
			return all
		}
		isCap := func(key string) bool { return key == "max_tokens" || key == "max_completion_tokens" }
		caps := edit.MaxTokensField != ""
		var want, dropped []string
		for _, m := range members(body) {
			switch {
			case m.key == "model":
				quoted, err := sjson.Set(`{}`, "model", model)
				if err != nil {
					t.Fatal(err)
				}
				m.value = gjson.Get(quoted, "model").String()
			case isCap(m.key) && caps, m.key == "routing_config":
				continue
			case slices.Contains(edit.Drop, m.key):
				dropped = append(dropped, m.key)
				continue
			}
			want = append(want, m.key, m.value)
		}
		var have []string
		for _, m := range members(got) {
			switch {
			case m.key == "model":
				m.value = gjson.GetBytes(got, "model").String()
			case isCap(m.key) && caps:
				if m.key != edit.MaxTokensField || !bytes.Contains(body, []byte(m.value)) {
					t.Fatalf("cap %s: %s in %q", m.key, m.value, got)
				}
				continue
			}
			have = append(have, m.key, m.value)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatal(diff)
		}
		if caps && slices.ContainsFunc(members(body), func(m member) bool { return isCap(m.key) }) != gjson.GetBytes(got, edit.MaxTokensField).Exists() {
			t.Fatalf("the cap is lost or made up: %q", got)
		}
		if d := string(wire.AppendDropped(nil, &facts, edit)); d != strings.Join(dropped, ",") {
			t.Fatalf("dropped %q, want %q", d, dropped)
		}
		again, p := wire.AppendRewriteBody(nil, got, &facts, edit)
		if model == "" {
			if p == nil {
				t.Fatal("an empty model passes")
			}
			return
		}
		if p != nil || !bytes.Equal(again, got) {
			t.Fatalf("rewritten again it is %q, problem %v", again, p)
		}
	})
}
