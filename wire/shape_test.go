package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/wire"
)

// shaped is what a scan of another shape than chat completions finds.
type shaped struct {
	Model, System, User, History, Tools, Stateful   string
	Stream, Images, PDF, HasTools, Schema, Parallel bool
	OutputCap, Messages                             int
}

func TestScanShapes(t *testing.T) {
	t.Parallel()
	const (
		m = wire.ShapeMessages
		r = wire.ShapeResponses
	)
	for _, tt := range []struct {
		name  string
		shape wire.Shape
		body  string
		want  shaped
	}{
		{
			"messages, plain", m,
			`{"model":"auto","max_tokens":64,"messages":[{"role":"user","content":"hi"}]}`,
			shaped{Model: "auto", OutputCap: 64, User: "hi", Messages: 1},
		},
		{
			"messages, all of it", m,
			`{"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],"model":"auto","stream":true,"max_tokens":64,
			"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],"output_config":{"effort":"low","format":{"type":"json_schema","schema":{}}},
			"messages":[{"role":"user","content":[{"type":"text","text":"look"},{"type":"image","source":{"type":"url","url":"x"}},
			{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"AAAA"}}]},
			{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}]},
			{"content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"out"}]}],"role":"user"}]}`,
			shaped{
				Model: "auto", OutputCap: 64, Stream: true, System: "Be brief.", User: "look", History: "hm\nf\nout", Tools: "f\nd",
				Images: true, PDF: true, HasTools: true, Schema: true, Messages: 3,
			},
		},
		{
			"messages, results and a word", m,
			`{"model":"auto","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result","content":"out"},{"type":"text","text":"go on"}]}]}`,
			shaped{Model: "auto", OutputCap: 1, User: "out\ngo on", Messages: 1},
		},
		{
			"responses, a string", r, `{"model":"auto","input":"hi","instructions":"Be brief.","max_output_tokens":16,"store":false}`,
			shaped{Model: "auto", OutputCap: 16, System: "Be brief.", User: "hi", Messages: 1},
		},
		{
			"responses, items", r,
			`{"model":"auto","stream":true,"parallel_tool_calls":true,"tools":[{"type":"function","name":"f","description":"d","parameters":{}}],
			"text":{"format":{"type":"json_schema","name":"n","schema":{}}},"previous_response_id":null,
			"input":[{"role":"developer","content":"Be brief."},{"role":"user","content":[{"type":"input_text","text":"look"},{"type":"input_image","image_url":"x"},{"type":"input_file","file_id":"x"}]},
			{"type":"function_call","name":"f","arguments":"{}","call_id":"c"},{"type":"function_call_output","call_id":"c","output":"out"}]}`,
			shaped{
				Model: "auto", Stream: true, Parallel: true, System: "Be brief.", User: "look", History: "f\n{}\nout", Tools: "f\nd",
				Images: true, PDF: true, HasTools: true, Schema: true, Messages: 4,
			},
		},
		{"completions", wire.ShapeCompletions, `{"model":"auto","prompt":"Once upon","max_tokens":5,"stream":true}`, shaped{Model: "auto", OutputCap: 5, Stream: true, User: "Once upon", Messages: 1}},
		{"completions, several", wire.ShapeCompletions, `{"model":"auto","prompt":["a","b"]}`, shaped{Model: "auto", User: "a\nb", Messages: 2}},
		{"embeddings", wire.ShapeEmbeddings, `{"model":"auto","input":"text","dimensions":3}`, shaped{Model: "auto", User: "text", Messages: 1}},
		{"embeddings, tokens", wire.ShapeEmbeddings, `{"model":"auto","input":[1,2,3]}`, shaped{Model: "auto", Messages: 1}},
		{"embeddings, lists of tokens", wire.ShapeEmbeddings, `{"model":"auto","input":[[1,2,3],[4]]}`, shaped{Model: "auto", Messages: 2}},
		{"responses, state", r, `{"model":"auto","previous_response_id":"resp_1","input":"go on"}`, shaped{Model: "auto", Stateful: "previous_response_id", User: "go on", Messages: 1}},
		{"responses, a conversation", r, `{"model":"auto","conversation":{"id":"conv_1"}}`, shaped{Model: "auto", Stateful: "conversation"}},
		{"responses, a stored item", r, `{"model":"auto","input":[{"type":"item_reference","id":"i"}]}`, shaped{Model: "auto", Stateful: "input[0]", Messages: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			if p := wire.ScanShape(tt.shape, nil, []byte(tt.body), &f); p != nil {
				t.Fatal(p)
			}
			got := shaped{
				Model: string(f.Model), System: string(f.SystemText), User: string(f.UserText), History: string(f.HistoryText),
				Tools: string(f.ToolsText), Stateful: f.Stateful, Stream: f.Stream, Images: f.HasImages, PDF: f.HasPDF,
				HasTools: f.HasTools, Schema: f.HasSchema, Parallel: f.Parallel, OutputCap: f.OutputCap, Messages: f.Messages,
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
			if f.PromptTokens == 0 || f.PrefixHash == 0 && tt.want.User != "" {
				t.Errorf("%d tokens, hash %x", f.PromptTokens, f.PrefixHash)
			}
		})
	}
}

func TestScanShapeProblems(t *testing.T) {
	t.Parallel()
	const (
		m  = wire.ShapeMessages
		r  = wire.ShapeResponses
		ok = `"model":"auto","max_tokens":1,`
	)
	for _, tt := range []struct {
		shape       wire.Shape
		body        string
		code, param string
	}{
		{m, `{"model":"auto","messages":[{"role":"user","content":"hi"}]}`, "missing_required_parameter", "max_tokens"},
		{m, `{"model":"auto","max_tokens":1}`, "missing_required_parameter", "messages"},
		{wire.ShapeCountTokens, `{"model":"auto"}`, "missing_required_parameter", "messages"},
		{m, `{` + ok + `"messages":[]}`, "empty_array", "messages"},
		{m, `{` + ok + `"messages":{}}`, "invalid_type", "messages"},
		{m, `{` + ok + `"messages":[1]}`, "invalid_type", "messages[0]"},
		{m, `{` + ok + `"messages":[{"content":"hi"}]}`, "missing_required_parameter", "messages[0].role"},
		{m, `{` + ok + `"messages":[{"role":"user","content":1}]}`, "invalid_type", "messages[0].content"},
		{m, `{` + ok + `"messages":[{"role":"user","content":["hi"]}]}`, "invalid_type", "messages[0].content[0]"},
		{m, `{` + ok + `"system":1,"messages":[]}`, "invalid_type", "system"},
		{m, `{` + ok + `"output_config":1}`, "invalid_type", "output_config"},
		{m, `{` + ok + `"System":"x"}`, "invalid_value", "System"},
		{m, `{` + ok + `"messages":[{"role":"user","content":[{"type":"text","text":"hi"]}]}`, "invalid_json", ""},
		{m, `{"max_tokens":0}`, "integer_below_min_value", "max_tokens"},
		{wire.ShapeEmbeddings, `{"model":"auto"}`, "missing_required_parameter", "input"},
		{wire.ShapeEmbeddings, `{"model":"auto","input":[]}`, "empty_array", "input"},
		{wire.ShapeEmbeddings, `{"model":"auto","input":{}}`, "invalid_type", "input"},
		{wire.ShapeEmbeddings, `{"model":"auto","input":[{}]}`, "invalid_type", "input"},
		{wire.ShapeEmbeddings, `{"model":"auto","input":[["a"]]}`, "invalid_type", "input"},
		{wire.ShapeCompletions, `{"model":"auto","prompt":false}`, "invalid_type", "prompt"},
		{r, `{"input":"hi"}`, "missing_required_parameter", "model"},
		{r, `{"model":"auto","input":1}`, "invalid_type", "input"},
		{r, `{"model":"auto","input":["hi"]}`, "invalid_type", "input[0]"},
		{r, `{"model":"auto","input":[{"role":1}]}`, "invalid_type", "input[0].role"},
		{r, `{"model":"auto","input":[{"role":"user","content":["hi"]}]}`, "invalid_type", "input[0].content"},
		{r, `{"model":"auto","input":[{"role":"user","content":[{"type":"input_audio"}]}]}`, "unsupported_value", "input[0]"},
		{r, `{"model":"auto","instructions":[]}`, "invalid_type", "instructions"},
		{r, `{"model":"auto","max_output_tokens":"many"}`, "invalid_type", "max_output_tokens"},
		{r, `{"model":"auto","input":[{"role":"user"}`, "invalid_json", ""},
	} {
		t.Run(tt.body, func(t *testing.T) {
			t.Parallel()
			var f wire.Facts
			p := wire.ScanShape(tt.shape, nil, []byte(tt.body), &f)
			if p == nil || p.Status != 400 || p.Code != tt.code || p.Param != tt.param {
				t.Errorf("problem %+v, want code %q, param %q", p, tt.code, tt.param)
			}
		})
	}
}

// What one of the shapes takes, encoding/json takes too, and the rewrite of it is
// the same request for another model.
func FuzzScanShapes(f *testing.F) {
	for _, seed := range []string{
		`{"model":"auto","max_tokens":64,"system":"s","messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{}}]}]}]}`,
		`{"model":"auto","input":[{"role":"user","content":[{"type":"input_text","text":"\u00e9"}]}],"text":{"format":{"type":"json_schema"}}}`,
		`{"model":"auto","conversation":"c","routing_config":{"mode":"cost"}}`,
	} {
		for s := range uint8(6) {
			f.Add(s, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, s uint8, body []byte) {
		var facts wire.Facts
		if wire.ScanShape(wire.Shape(s%6), nil, body, &facts) != nil {
			return
		}
		var before, after map[string]any
		if err := json.Unmarshal(body, &before); err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if err := json.Unmarshal(wire.AppendRewrite(nil, body, &facts, wire.Edit{Model: "other"}), &after); err != nil {
			t.Fatal(err)
		}
		before["model"] = "other"
		delete(before, "routing_config")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAppendErrorAs(t *testing.T) {
	t.Parallel()
	for status, kind := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		408: "invalid_request_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 502: "api_error",
		503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error",
	} {
		p := &wire.Problem{Status: status, Type: "t", Code: "c", Message: "so \"it\" is"}
		want := `{"type":"error","error":{"type":"` + kind + `","message":"so \"it\" is"}}`
		for _, s := range []wire.Shape{wire.ShapeMessages, wire.ShapeCountTokens} {
			if got := string(wire.AppendErrorAs(nil, s, p)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		if got := string(wire.AppendErrorAs(nil, wire.ShapeResponses, p)); !strings.HasPrefix(got, `{"error":{"message"`) {
			t.Errorf("in OpenAI's shape: %s", got)
		}
	}
}

// Of several inputs the longest counts, since each has the window to itself.
func TestInputsCountTheLongest(t *testing.T) {
	t.Parallel()
	tokens := func(input string) int {
		var f wire.Facts
		if p := wire.ScanShape(wire.ShapeEmbeddings, nil, []byte(`{"model":"m","input":`+input+`}`), &f); p != nil {
			t.Fatal(p)
		}
		return f.PromptTokensMax
	}
	long := `"` + strings.Repeat("The quick brown fox. ", 100) + `"`
	if one, many := tokens(long), tokens("["+long+`,"short",`+long+"]"); one != many {
		t.Errorf("%d tokens alone, %d beside others", one, many)
	}
	if few, many := tokens(`[[1,2,3],[4]]`), tokens(`[[1,2,3],[4,5,6,7,8,9]]`); many-few != 3 {
		t.Errorf("%d tokens, then %d", few, many)
	}
}
