package wire_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wye/wire"
)

// facts is what a test compares of wire.Facts: views as strings.
type facts struct {
	Model                                                                   string
	Stream, Images, PDF, Tools, Parallel, Schema                            bool
	Choices, OutputCap, Messages, ToolCount, ImageCount, FileCount, TextLen int
	System, User, History, ToolsText                                        string
}

func view(f *wire.Facts) facts {
	return facts{
		Model: string(f.Model), Stream: f.Stream, Images: f.HasImages, PDF: f.HasPDF, Tools: f.HasTools, Parallel: f.Parallel,
		Schema: f.HasSchema, OutputCap: f.OutputCap, Choices: f.Choices, Messages: f.Messages, ToolCount: f.ToolCount, ImageCount: f.ImageCount,
		FileCount: f.FileCount, TextLen: f.TextBytes,
		System: string(f.SystemText), User: string(f.UserText), History: string(f.HistoryText), ToolsText: string(f.ToolsText),
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	base := facts{Model: "auto", Messages: 1, User: "hi", TextLen: 2}
	with := func(edit func(*facts)) facts {
		f := base
		edit(&f)
		return f
	}
	for _, tt := range []struct {
		name, body string
		want       facts
	}{
		{"plain", `{"model":"auto",` + hi + `}`, base},
		{"white space", " \t\r\n{ \"model\" : \"auto\" ,\n" + hi + " } \n", base},
		{"messages first", `{` + hi + `,"model":"auto"}`, base},
		{"escaped keys", `{"mo\u0064el":"auto","\u006dessages":[{"r\u006fle":"us\u0065r","c\u006fntent":"hi"}]}`, base},
		{"escaped model", `{"model":"\u0061uto",` + hi + `}`, base},
		{"stream", `{"model":"auto","stream":true,` + hi + `}`, with(func(f *facts) { f.Stream = true })},
		{"nulls", `{"model":"auto","stream":null,"max_tokens":null,"max_completion_tokens":null,"tools":null,"functions":null,` +
			`"response_format":null,"audio":null,"modalities":null,"parallel_tool_calls":null,` + hi + `}`, base},
		{"falses", `{"model":"auto","stream":false,"parallel_tool_calls":false,"modalities":["text"],"tools":[],` + hi + `}`, base},
		{"max_tokens", `{"model":"auto","max_tokens":12,` + hi + `}`, with(func(f *facts) { f.OutputCap = 12 })},
		{"several answers", `{"model":"auto","n":3,` + hi + `}`, with(func(f *facts) { f.Choices = 3 })},
		{"too many answers to count", `{"n":99999999999999999999999,"model":"auto",` + hi + `}`, with(func(f *facts) { f.Choices = math.MaxInt32 })},
		{"no number of answers", `{"model":"auto","n":-1,` + hi + `}`, base},
		{"part of an answer", `{"model":"auto","n":2.5,` + hi + `}`, base},
		{"answers in words", `{"model":"auto","n":{"n":[2]},` + hi + `}`, base},
		{"both caps", `{"model":"auto","max_completion_tokens":7,"max_tokens":12,` + hi + `}`, with(func(f *facts) { f.OutputCap = 7 })},
		{"a null cap gives way", `{"model":"auto","max_completion_tokens":null,"max_tokens":12,` + hi + `}`, with(func(f *facts) { f.OutputCap = 12 })},
		{"huge cap", `{"model":"auto","max_tokens":99999999999999999999999,` + hi + `}`, with(func(f *facts) { f.OutputCap = math.MaxInt32 })},
		{
			"schema", `{"model":"auto","response_format":{"type":"json_schema","json_schema":{}},` + hi + `}`,
			with(func(f *facts) { f.Schema, f.TextLen = true, 4 }),
		},
		{"JSON mode is no schema", `{"model":"auto","response_format":{"type":"json_object"},` + hi + `}`, base},
		{"unknown fields", `{"model":"auto","x":{"model":1,"messages":[]},"y":[[{}],1e5,-0.5E-7,true,null],` + hi + `}`, base},
		{
			"roles",
			`{"model":"auto","messages":[{"role":"system","content":"S"},{"role":"developer","content":"D"},{"role":"user","content":"u1"},` +
				`{"role":"assistant","content":"a1"},{"role":"user","content":"u2"},{"role":"assistant","content":null,"tool_calls":[` +
				`{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"type":"custom","custom":{"name":"c","input":"in"}}]},` +
				`{"role":"tool","tool_call_id":"1","content":"t1"}]}`,
			facts{
				Model: "auto", Messages: 7, System: "S\nD", User: "u2", History: "u1\na1\nf\n{\"a\":1}\nc\nin\nt1",
				TextLen: len("SDu1a1u2") + len(`f{"a":1}cint1`),
			},
		},
		{"role after content", `{"model":"auto","messages":[{"content":"hi","role":"user"}]}`, base},
		{
			"history before the first user turn", `{"model":"auto","messages":[{"role":"assistant","content":"a"},{"role":"user","content":"hi"}]}`,
			with(func(f *facts) { f.History, f.Messages, f.TextLen = "a", 2, 3 }),
		},
		{
			"no user turn", `{"model":"auto","messages":[{"role":"assistant","content":"a","refusal":"no"},{"role":"assistant"}]}`,
			facts{Model: "auto", Messages: 2, History: "a\nno", TextLen: 3},
		},
		{
			"function_call", `{"model":"auto","messages":[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}]}`,
			facts{Model: "auto", Messages: 2, History: "f\n{}\nf\nr", TextLen: 5},
		},
		{
			"parts",
			`{"model":"auto","messages":[{"role":"user","content":[{"type":"text","text":"one"},{"text":"two","type":"text"},` +
				`{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"file","file":{"file_data":"JVBERi0"}},` +
				`{"type":"refusal","refusal":"no"},{"type":"new_kind","new_kind":{}}]}]}`,
			facts{
				Model: "auto", Messages: 1, User: "one\ntwo\nno", TextLen: 8, Images: true, ImageCount: 1, PDF: true, FileCount: 1,
			},
		},
		{
			"tools",
			`{"model":"auto","parallel_tool_calls":true,"tools":[{"type":"function","function":{"description":"Adds.","name":"add","parameters":{"a": 1},"strict":true}},` +
				`{"type":"custom","custom":{"name":"run","format":{"type":"text"}}},{"type":"web_search"}],"functions":[{"name":"old"}],` + hi + `}`,
			with(func(f *facts) {
				f.Tools, f.ToolCount, f.Parallel, f.ToolsText = true, 4, true, "Adds.\nadd\nrun\nold"
				f.TextLen += len(`Adds.addrunold`) + len(`{"a": 1}`) + len(`{"type":"text"}`)
			}),
		},
		{
			"characters", `{"model":"auto","messages":[{"role":"user","content":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00é😀\ud800x"}]}`,
			with(func(f *facts) { f.User = "\"\\/\b\f\n\r\té😀é😀\uFFFDx"; f.TextLen = len(f.User) }),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			if p := wire.Scan([]byte(tt.body), &f); p != nil {
				t.Fatalf("%+v", p)
			}
			if diff := cmp.Diff(tt.want, view(&f)); diff != "" {
				t.Error(diff)
			}
			var model string
			if err := json.Unmarshal([]byte(tt.body)[f.ModelStart:f.ModelEnd], &model); err != nil || model != tt.want.Model {
				t.Errorf("ModelStart, ModelEnd delimit %q: %v", tt.body[f.ModelStart:f.ModelEnd], err)
			}
		})
	}
}

func TestScanProblems(t *testing.T) {
	t.Parallel()
	const hi = `"messages":[{"role":"user","content":"hi"}]`
	rest := func(field string) string { return `{"model":"auto",` + hi + `,` + field + `}` }
	message := func(m string) string { return `{"model":"auto","messages":[{"role":"user","content":"ok"},` + m + `]}` }
	content := func(c string) string { return message(`{"role":"user","content":` + c + `}`) }
	deep := func(n int) string { return rest(`"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1)) }
	fields := func(n int) string {
		var b strings.Builder
		for i := range n - 2 {
			fmt.Fprintf(&b, `"f%d":0,`, i)
		}
		return `{` + b.String() + `"model":"auto",` + hi + `}`
	}
	for _, tt := range []struct{ name, body, code, param string }{
		{"empty", ``, wire.CodeInvalidJSON, ""},
		{"white space only", ` `, wire.CodeInvalidJSON, ""},
		{"cut off", `{"model":"auto"`, wire.CodeInvalidJSON, ""},
		{"cut off in a string", `{"model":"auto`, wire.CodeInvalidJSON, ""},
		{"garbage after", `{"model":"auto",` + hi + `}x`, wire.CodeInvalidJSON, ""},
		{"two values", `{"model":"auto",` + hi + `}{}`, wire.CodeInvalidJSON, ""},
		{"byte order mark", "\ufeff{}", wire.CodeInvalidJSON, ""},
		{"trailing comma", `{"model":"auto",` + hi + `,}`, wire.CodeInvalidJSON, ""},
		{"trailing comma in an array", `{"model":"auto","messages":[{"role":"user"},]}`, wire.CodeInvalidJSON, ""},
		{"no colon", `{"model" "auto"}`, wire.CodeInvalidJSON, ""},
		{"number as key", `{1:2}`, wire.CodeInvalidJSON, ""},
		{"control character", "{\"model\":\"a\nb\"}", wire.CodeInvalidJSON, ""},
		{"bad escape", `{"model":"\x"}`, wire.CodeInvalidJSON, ""},
		{"short unicode escape", `{"model":"\u12"}`, wire.CodeInvalidJSON, ""},
		{"bad unicode escape", `{"model":"\u12g4"}`, wire.CodeInvalidJSON, ""},
		{"lone backslash", `{"model":"\`, wire.CodeInvalidJSON, ""},
		{"invalid UTF-8", rest("\"x\":\"\xff\""), wire.CodeInvalidJSON, ""},
		{"overlong UTF-8", rest("\"x\":\"\xc0\xaf\""), wire.CodeInvalidJSON, ""},
		{"encoded surrogate", rest("\"x\":\"\xed\xa0\x80\""), wire.CodeInvalidJSON, ""},
		{"leading zero", rest(`"x":01`), wire.CodeInvalidJSON, ""},
		{"bare minus", rest(`"x":-`), wire.CodeInvalidJSON, ""},
		{"no fraction", rest(`"x":1.`), wire.CodeInvalidJSON, ""},
		{"no exponent", rest(`"x":1e+`), wire.CodeInvalidJSON, ""},
		{"wrong literal", rest(`"x":nul`), wire.CodeInvalidJSON, ""},
		{"literal at the end", `{"stream":tru`, wire.CodeInvalidJSON, ""},
		{"NaN", rest(`"x":NaN`), wire.CodeInvalidJSON, ""},
		{"malformed where a type is wrong", `{"model":[1,}`, wire.CodeInvalidJSON, ""},
		{"malformed audio", `{"audio":[1,}`, wire.CodeInvalidJSON, ""},
		{"mismatched brackets", rest(`"x":[}`), wire.CodeInvalidJSON, ""},
		{"too deep", deep(wire.MaxDepth + 1), wire.CodeTooDeep, ""},
		{"tool in tool, too deep", rest(`"tools":[` + strings.Repeat(`{"function":`, wire.MaxDepth) + `1` + strings.Repeat(`}`, wire.MaxDepth) + `]`), wire.CodeTooDeep, ""},
		{"call in call, too deep", message(`{"tool_calls":[` + strings.Repeat(`{"function":`, wire.MaxDepth) + `1` + strings.Repeat(`}`, wire.MaxDepth) + `]}`), wire.CodeTooDeep, ""},
		{"too many fields", fields(wire.MaxFields + 1), wire.CodeTooManyFields, ""},
		{"array", `[]`, wire.CodeInvalidType, ""},
		{"string", `"x"`, wire.CodeInvalidType, ""},
		{"two models", `{"model":"auto","model":"gpt-5",` + hi + `}`, wire.CodeDuplicate, "model"},
		{"two models, one escaped", `{"model":"auto","mode\u006c":"gpt-5",` + hi + `}`, wire.CodeDuplicate, "model"},
		{"two of an unknown field", rest(`"x":1,"x":2`), wire.CodeDuplicate, "x"},
		{"long name", rest(`"` + strings.Repeat("é", 99) + `":1,"` + strings.Repeat("é", 99) + `":1`), wire.CodeDuplicate, strings.Repeat("é", 32) + "…"},
		{"other case", rest(`"Model":"gpt-5"`), wire.CodeInvalidValue, "Model"},
		{"zero in a name", rest(`"MODEL\u0000x":"gpt-5"`), wire.CodeInvalidValue, "MODEL\x00x"},
		{"zero after a name", rest(`"stream\u0000":true`), wire.CodeInvalidValue, "stream\x00"},
		{"other case in Unicode", rest(`"meſſages":[]`), wire.CodeInvalidValue, "meſſages"},
		{"Kelvin sign", rest(`"max_to` + "\u212a" + `ens":1`), wire.CodeInvalidValue, "max_to\u212aens"},
		{"no model", `{` + hi + `}`, wire.CodeMissing, "model"},
		{"model is a number", `{"model":5,` + hi + `}`, wire.CodeInvalidType, "model"},
		{"model is null", `{"model":null,` + hi + `}`, wire.CodeInvalidType, "model"},
		{"model is empty", `{"model":"",` + hi + `}`, wire.CodeEmptyString, "model"},
		{"no messages", `{"model":"auto"}`, wire.CodeMissing, "messages"},
		{"messages is a string", `{"model":"auto","messages":"hi"}`, wire.CodeInvalidType, "messages"},
		{"messages is null", `{"model":"auto","messages":null}`, wire.CodeInvalidType, "messages"},
		{"messages is empty", `{"model":"auto","messages":[ ]}`, wire.CodeEmptyArray, "messages"},
		{"message is a string", message(`"hi"`), wire.CodeInvalidType, "messages[1]"},
		{"message without role", message(`{"content":"hi"}`), wire.CodeMissing, "messages[1].role"},
		{"role is null", message(`{"role":null}`), wire.CodeInvalidType, "messages[1].role"},
		{"content is a number", content(`1`), wire.CodeInvalidType, "messages[1].content"},
		{"part is a string", content(`[{"type":"text","text":"a"},"b"]`), wire.CodeInvalidType, "messages[1].content[1]"},
		{"part's type is a number", content(`[{"type":1}]`), wire.CodeInvalidType, "messages[1].content[0].type"},
		{"audio part", content(`[{"type":"text","text":"a"},{"type":"input_audio","input_audio":{"data":"AA"}}]`), wire.CodeUnsupported, "messages[1].content[1]"},
		{"earlier audio", message(`{"role":"assistant","audio":{"id":"a"}}`), wire.CodeUnsupported, "messages[1].audio"},
		{"audio out", rest(`"audio":{"voice":"x"}`), wire.CodeUnsupported, "audio"},
		{"audio modality", rest(`"modalities":["text","audio"]`), wire.CodeUnsupported, "modalities"},
		{"modalities is a string", rest(`"modalities":"text"`), wire.CodeInvalidType, "modalities"},
		{"modality is a number", rest(`"modalities":[1]`), wire.CodeInvalidType, "modalities"},
		{"stream is a string", rest(`"stream":"true"`), wire.CodeInvalidType, "stream"},
		{"parallel_tool_calls is a number", rest(`"parallel_tool_calls":1`), wire.CodeInvalidType, "parallel_tool_calls"},
		{"cap is zero", rest(`"max_tokens":0`), wire.CodeBelowMinimum, "max_tokens"},
		{"cap is negative", rest(`"max_completion_tokens":-5`), wire.CodeBelowMinimum, "max_completion_tokens"},
		{"cap is a fraction", rest(`"max_tokens":1.5`), wire.CodeInvalidType, "max_tokens"},
		{"cap has an exponent", rest(`"max_tokens":1e3`), wire.CodeInvalidType, "max_tokens"},
		{"cap is a string", rest(`"max_tokens":"1"`), wire.CodeInvalidType, "max_tokens"},
		{"tools is an object", rest(`"tools":{}`), wire.CodeInvalidType, "tools"},
		{"tool is a string", rest(`"tools":["x"]`), wire.CodeInvalidType, "tools"},
		{"functions is a string", rest(`"functions":"x"`), wire.CodeInvalidType, "functions"},
		{"response_format is a string", rest(`"response_format":"json"`), wire.CodeInvalidType, "response_format"},
		{"response_format's type is a number", rest(`"response_format":{"type":1}`), wire.CodeInvalidType, "response_format.type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			want := &wire.Problem{Status: 400, Type: wire.TypeInvalidRequest, Code: tt.code, Param: tt.param}
			got := wire.Scan([]byte(tt.body), &f)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(wire.Problem{}, "Message")); diff != "" {
				t.Error(diff)
			}
			if got != nil && got.Error() == "" {
				t.Error("the problem says nothing")
			}
		})
	}
	for name, body := range map[string]string{"depth": deep(wire.MaxDepth - 1), "fields": fields(wire.MaxFields)} {
		var f wire.Facts
		if p := wire.Scan([]byte(body), &f); p != nil {
			t.Errorf("just within the bound on %s: %v", name, p)
		}
	}
}

// rich has a value of every kind in every place that Scan reads.
const rich = `{"model":"\u0061uto","stream":true,"max_tokens":12,"max_completion_tokens":null,"x":{"y":[1,-2.5e+3,true,false,null,"z"]},` +
	`"parallel_tool_calls":false,"modalities":["text",null],"audio":null,"functions":[],` +
	`"response_format":{"type":"json_schema","json_schema":{"schema":{}},"x":1},` +
	`"tools":[{"type":"function","function":{"name":"f","description":null,"parameters":{"a":[]},"strict":true}},{"custom":1}],` +
	`"messages":[{"role":"system","content":"é\n"},{"role":"user","name":"n","content":[{"type":"text","text":"a"},` +
	`{"type":"image_url","image_url":{"url":"u"}},{"type":"file","file":{"file_id":"i"}},{"type":"refusal","refusal":null}],"x":[]},` +
	`{"role":"assistant","content":null,"audio":null,"refusal":"r","function_call":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}},2]},` +
	`{"role":"assistant","tool_calls":null,"function_call":{"name":"f"}}]} `

// Whatever part a body breaks off in, it is malformed, not something else.
func TestScanTruncated(t *testing.T) {
	t.Parallel()
	var f wire.Facts
	if p := wire.Scan([]byte(rich), &f); p != nil {
		t.Fatal(p)
	}
	for n := range len(rich) - 1 {
		if p := wire.Scan([]byte(rich)[:n], &f); p == nil || p.Code != wire.CodeInvalidJSON {
			t.Errorf("cut off after %q: %v", rich[:n], p)
		}
	}
}

// Whatever byte of a body is damaged, Scan and encoding/json agree on it.
func TestScanDamaged(t *testing.T) {
	t.Parallel()
	var f wire.Facts
	for i := range len(rich) {
		for _, c := range []byte("\x01\xff\"\\{}[],:0-nt ") {
			body := []byte(rich)
			body[i] = c
			p := wire.Scan(body, &f)
			valid := json.Valid(body) && utf8.Valid(body)
			if malformed := p != nil && p.Code == wire.CodeInvalidJSON; p == nil && !valid || malformed && valid {
				t.Errorf("byte %d set to %q: valid %v, problem %v", i, c, valid, p)
			}
			if p := wire.ScanFields(body, &f); p == nil && !valid || p != nil && p.Code == wire.CodeInvalidJSON && valid {
				t.Errorf("byte %d set to %q: valid %v, problem of the fields %v", i, c, valid, p)
			}
		}
	}
}

// A Facts that is used again must not remember the body before.
func TestScanReuse(t *testing.T) {
	t.Parallel()
	full := []byte(`{"model":"m","stream":true,"max_tokens":5,"parallel_tool_calls":true,"tools":[{"function":{"name":"f"}}],` +
		`"response_format":{"type":"json_schema"},"messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"A"},` +
		`{"type":"image_url"},{"type":"file"}]},{"role":"assistant","content":"B"},{"role":"user","content":"C"}]}`)
	plain := []byte(`{"model":"m","messages":[{"role":"user","content":"hi"}]}`)
	var used, fresh wire.Facts
	for _, body := range [][]byte{full, plain} {
		if p := wire.Scan(body, &used); p != nil {
			t.Fatal(p)
		}
	}
	if p := wire.Scan(plain, &fresh); p != nil {
		t.Fatal(p)
	}
	if diff := cmp.Diff(fresh, used, cmpopts.IgnoreUnexported(wire.Facts{})); diff != "" {
		t.Error(diff)
	}
	if got := wire.AppendRewrite(nil, plain, &used, wire.Edit{Model: "n"}); string(got) != `{"model":"n","messages":[{"role":"user","content":"hi"}]}` {
		t.Errorf("rewritten to %s", got)
	}
}

func TestPrefixHash(t *testing.T) {
	t.Parallel()
	hash := func(messages string) uint64 {
		t.Helper()
		var f wire.Facts
		if p := wire.Scan([]byte(`{"model":"m","messages":[`+messages+`]}`), &f); p != nil {
			t.Fatal(p)
		}
		return f.PrefixHash
	}
	const system, first = `{"role":"system","content":"You are terse."},`, `{"role":"user","content":"What is a fjord?"}`
	base := hash(system + first)
	for name, messages := range map[string]string{
		"a later turn":     system + first + `,{"role":"assistant","content":"A bay."},{"role":"user","content":"Deep?"}`,
		"other spelling":   system + `{"role":"user","content":"What is a \u0066jord?"}`,
		"a later system":   system + first + `,{"role":"system","content":"Be kind."}`,
		"another tool run": system + first + `,{"role":"tool","content":"x"}`,
	} {
		if hash(messages) != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	for name, messages := range map[string]string{
		"no system":     first,
		"other system":  `{"role":"system","content":"You are terse!"},` + first,
		"other turn":    system + `{"role":"user","content":"What is a Fjord?"}`,
		"moved border":  `{"role":"system","content":"You are terse.W"},{"role":"user","content":"hat is a fjord?"}`,
		"system only":   strings.TrimSuffix(system, ","),
		"one byte more": system + `{"role":"user","content":"What is a fjord?\u0000"}`,
	} {
		if hash(messages) == base {
			t.Errorf("%s has the same hash", name)
		}
	}
}

// FuzzScan compares Scan with encoding/json on every document.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"model":"a","messages":[{"role":"user","content":"hi"}]}`, `{`, `[1,]`, `{"a":1,}`, `{"a":[1,2,{"b":[]}],"model":"x"}`,
		`{"m":"\u00e9\ud83d\ude00\n"}`, "{\"m\":\"\x00\"}", `{"a":-0.1e+5}`, `01`, `[[[]]]`, `null x`, "\"\xff\"", `{"Model":""}`,
		`{"model":"a","tools":[{"function":{"name":"f"}}],"messages":[{"content":[{"type":"text","text":"\\\u0041"}],"role":"system"}]}`,
	} {
		f.Add([]byte(s))
	}
	var reused wire.Facts
	f.Fuzz(func(t *testing.T, body []byte) {
		var fresh wire.Facts
		p := wire.Scan(body, &fresh)
		valid := json.Valid(body)
		switch {
		case p == nil && !valid:
			t.Fatal("accepted what encoding/json rejects")
		case p == nil && !utf8.Valid(body):
			t.Fatal("accepted invalid UTF-8")
		case p != nil && p.Code == wire.CodeInvalidJSON && valid && utf8.Valid(body):
			t.Fatalf("rejected what encoding/json accepts: %v", p)
		case p != nil && !json.Valid(wire.AppendError(nil, p)):
			t.Fatalf("the error for %v is not valid JSON", p)
		}
		fields := wire.ScanFields(body, &reused)
		if p == nil && fields != nil {
			t.Fatalf("ScanFields rejects what Scan accepts: %v", fields)
		}
		again := wire.Scan(body, &reused)
		if diff := cmp.Diff(p, again); diff != "" {
			t.Fatal(diff)
		}
		if p != nil {
			return
		}
		if diff := cmp.Diff(fresh, reused, cmpopts.IgnoreUnexported(wire.Facts{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
		var want struct {
			Model    string            `json:"model"`
			Messages []json.RawMessage `json:"messages"`
			Stream   bool              `json:"stream"`
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepted what does not decode: %v", err)
		}
		if string(fresh.Model) != want.Model || fresh.Messages != len(want.Messages) || fresh.Stream != want.Stream {
			t.Fatalf("read %q, %d messages, stream %v; encoding/json reads %+v", fresh.Model, fresh.Messages, fresh.Stream, want)
		}
	})
}
