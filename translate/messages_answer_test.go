package translate_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/translate"
)

func TestMessageAnswer(t *testing.T) {
	t.Parallel()
	in := func(message, finish string) string {
		return `{'id':'c1','object':'chat.completion','model':'g-1','choices':[{'index':0,'message':` + message + `,'finish_reason':'` + finish +
			`'}],'usage':{'prompt_tokens':10,'completion_tokens':5,'prompt_tokens_details':{'cached_tokens':4,'cache_write_tokens':1},'completion_tokens_details':{'reasoning_tokens':2}}}`
	}
	want := func(content, stop string) string {
		return `{'id':'c1','type':'message','role':'assistant','model':'g-1','content':[` + content + `],'stop_reason':'` + stop +
			`','stop_sequence':null,'usage':{'input_tokens':5,'cache_creation_input_tokens':1,'cache_read_input_tokens':4,'output_tokens':5,'output_tokens_details':{'thinking_tokens':2}}}`
	}
	const call = `{'id':'t1','type':'function','function':{'name':'f','arguments':'{\"x\": 1}'}}`
	for name, tt := range map[string]struct{ in, want string }{
		"text":                 {in(`{'role':'assistant','content':'a\u00e9','refusal':null}`, "stop"), want(`{'type':'text','text':'a\u00e9'}`, "end_turn")},
		"cap":                  {in(`{'content':'a'}`, "length"), want(`{'type':'text','text':'a'}`, "max_tokens")},
		"refusal":              {in(`{'content':null,'refusal':'no'}`, "stop"), want(`{'type':'text','text':'no'}`, "refusal")},
		"filter":               {in(`{'content':''}`, "content_filter"), want(``, "refusal")},
		"tools":                {in(`{'content':'so','tool_calls':[`+call+`]}`, "tool_calls"), want(`{'type':'text','text':'so'},{'type':'tool_use','id':'t1','name':'f','input':{"x": 1}}`, "tool_use")},
		"tools without a word": {in(`{'content':null,'tool_calls':[`+call+`]}`, "stop"), want(`{'type':'tool_use','id':'t1','name':'f','input':{"x": 1}}`, "tool_use")},
		"a call that was cut off": {
			in(`{'content':null,'tool_calls':[{'id':'t1','function':{'name':'f','arguments':'{\"x'}},{'id':'t2','function':{'name':'g','arguments':''}}]}`, "length"),
			want(`{'type':'tool_use','id':'t1','name':'f','input':{}},{'type':'tool_use','id':'t2','name':'g','input':{}}`, "max_tokens"),
		},
	} {
		got, err := translate.AppendMessageAnswer([]byte("x"), []byte(unquote(tt.in)))
		if diff := cmp.Diff("x"+unquote(tt.want), string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v%s", name, err, diff)
		}
	}
	for _, in := range []string{``, `{`, `[]`, `{'choices':[]}`, `{'error':{}}`, `{'choices':[{'text':'a'}]}`} {
		if got, err := translate.AppendMessageAnswer([]byte("x"), []byte(unquote(in))); !errors.Is(err, translate.ErrAnswer) || string(got) != "x" {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestMessageError(t *testing.T) {
	t.Parallel()
	for status, kind := range map[int]string{
		400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large", 422: "invalid_request_error",
		429: "rate_limit_error", 500: "api_error", 503: "overloaded_error", 504: "timeout_error", 529: "overloaded_error",
	} {
		got := translate.AppendMessageError([]byte("x"), []byte(`{"error":{"message":"m\u00e9","type":"t","code":null}}`), status)
		if want := `x{"type":"error","error":{"type":"` + kind + `","message":"m\u00e9"}}`; string(got) != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
	for _, body := range []string{"", "<html>", `{"error":"m"}`, `{"error":{"message":[]}}`} {
		if got, want := string(translate.AppendMessageError(nil, []byte(body), 502)), `{"type":"error","error":{"type":"api_error","message":"The provider answered 502 Bad Gateway."}}`; got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// chunks writes the chunks of a chat completion.
func chunks(deltas ...string) string {
	var b strings.Builder
	for _, d := range deltas {
		fmt.Fprintf(&b, "data: %s\n\n", unquote(`{'id':'c1','model':'g-1','choices':[{'index':0,`+d+`}],'usage':null}`))
	}
	return b.String()
}

const (
	counts = `data: {"id":"c1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}` + "\n\n"
	done   = "data: [DONE]\n\n"
)

var (
	textChunks = chunks(`'delta':{'role':'assistant','content':''}`, `'delta':{'content':'Gr\u00fc'}`, `'delta':{'content':'ße\n'}`, `'delta':{},'finish_reason':'stop'`) + counts + done
	toolChunks = chunks(`'delta':{'role':'assistant','content':null}`, `'delta':{'content':'so'}`,
		`'delta':{'tool_calls':[{'index':0,'id':'t1','type':'function','function':{'name':'f','arguments':''}}]}`, `'delta':{'tool_calls':[{'index':0,'function':{'arguments':'{\"x\"'}}]}`,
		`'delta':{'tool_calls':[{'index':0,'function':{'arguments':':1}'}},{'index':1,'id':'t2','function':{'name':'g','arguments':'{}'}}]}`,
		`'delta':{'tool_calls':[{'index':0,'function':{'arguments':' '}}]}`, `'delta':{},'finish_reason':'tool_calls'`) + counts + done
)

func TestMessagesStream(t *testing.T) {
	t.Parallel()
	const start = `{'type':'message_start','message':{'id':'c1','type':'message','role':'assistant','model':'g-1','content':[],'stop_reason':null,'stop_sequence':null,` +
		`'usage':{'input_tokens':0,'cache_creation_input_tokens':0,'cache_read_input_tokens':0,'output_tokens':0}}}`
	block := func(n int, b string) string {
		return fmt.Sprintf(`{'type':'content_block_start','index':%d,'content_block':{%s}}`, n, b)
	}
	delta := func(n int, d string) string {
		return fmt.Sprintf(`{'type':'content_block_delta','index':%d,'delta':{%s}}`, n, d)
	}
	stop := func(n int) string { return fmt.Sprintf(`{'type':'content_block_stop','index':%d}`, n) }
	end := func(reason string, input, read, output int) []string {
		return []string{fmt.Sprintf(`{'type':'message_delta','delta':{'stop_reason':'%s','stop_sequence':null},'usage':{'input_tokens':%d,'cache_creation_input_tokens':0,'cache_read_input_tokens':%d,'output_tokens':%d}}`,
			reason, input, read, output), `{'type':'message_stop'}`}
	}
	failure := func(message string) string {
		return "event: error\ndata: " + `{"type":"error","error":{"type":"api_error","message":"` + message + `"}}` + "\n\n"
	}
	events := func(more []string, first ...string) string { return stream(append(first, more...)...) }
	for name, tt := range map[string]struct{ in, want string }{
		"text": {textChunks, events(end("end_turn", 6, 4, 5), start, block(0, `'type':'text','text':''`), delta(0, `'type':'text_delta','text':'Gr\u00fc'`), delta(0, `'type':'text_delta','text':'ße\n'`), stop(0))},
		"tools": {toolChunks, events(end("tool_use", 6, 4, 5), start, block(0, `'type':'text','text':''`), delta(0, `'type':'text_delta','text':'so'`), stop(0),
			block(1, `'type':'tool_use','id':'t1','name':'f','input':{}`), delta(1, `'type':'input_json_delta','partial_json':'{\"x\"'`), delta(1, `'type':'input_json_delta','partial_json':':1}'`), stop(1),
			block(2, `'type':'tool_use','id':'t2','name':'g','input':{}`), delta(2, `'type':'input_json_delta','partial_json':'{}'`),
			delta(1, `'type':'input_json_delta','partial_json':' '`), stop(2))},
		"no usage, no DONE": {chunks(`'delta':{'content':'a'}`, `'delta':{},'finish_reason':'length'`), events(end("max_tokens", 0, 0, 0), start, block(0, `'type':'text','text':''`), delta(0, `'type':'text_delta','text':'a'`), stop(0))},
		"refusal":           {chunks(`'delta':{'refusal':'no'}`, `'delta':{},'finish_reason':'stop'`) + done, events(end("refusal", 0, 0, 0), start, block(0, `'type':'text','text':''`), delta(0, `'type':'text_delta','text':'no'`), stop(0))},
		"no finish":         {chunks(`'delta':{'content':'a'}`) + done, events(end("end_turn", 0, 0, 0), start, block(0, `'type':'text','text':''`), delta(0, `'type':'text_delta','text':'a'`), stop(0))},
		"cut":               {chunks(`'delta':{'content':'a'}`), stream(start, block(0, `'type':'text','text':''`), delta(0, `'type':'text_delta','text':'a'`))},
		"other choices":     {`data: {"id":"c1","model":"g-1","choices":[{"index":1,"delta":{"content":"b"}}]}` + "\n\n", stream(start)},
		"error":             {chunks(`'delta':{'content':''}`) + `data: {"error":{"message":"Over","type":"server_error"}}` + "\n\n" + done, stream(start) + failure("Over")},
		"no JSON":           {"data: {\n\n" + textChunks, failure("an event of the provider's stream is no JSON")},
		"too long":          {"data: " + strings.Repeat("x", translate.MaxEvent+1), failure("an event of the provider's stream is too long")},
		"nothing":           {"", ""},
		"nothing but DONE":  {done, ""},
	} {
		s := translate.MessagesStream{}
		got := s.End(s.Append(nil, []byte(tt.in)))
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	var calls []string
	for i := range 1025 {
		calls = append(calls, fmt.Sprintf(`'delta':{'tool_calls':[{'index':%d,'id':'t','function':{'name':'f'}}]}`, i))
	}
	s := translate.MessagesStream{}
	if got := s.Append(nil, []byte(chunks(calls...))); !bytes.HasSuffix(got, []byte(failure("the provider's stream has too many tool calls"))) {
		t.Errorf("got %q", got[len(got)-300:])
	}
}

// Wherever a stream is cut into pieces it means the same.
func TestMessagesStreamSplit(t *testing.T) {
	t.Parallel()
	for _, whole := range []string{textChunks, toolChunks} {
		text := []byte(whole)
		reference := translate.MessagesStream{}
		want := reference.End(reference.Append(nil, text))
		for cut := range text {
			s := translate.MessagesStream{}
			got := s.Append(nil, text[:cut])
			if at := bytes.LastIndex(text[:cut], []byte("\n\n")); at > 0 {
				soon := translate.MessagesStream{}
				if due := soon.Append(nil, text[:at+2]); !bytes.Equal(got, due) {
					t.Fatalf("cut at %d: got %q, due are %q", cut, got, due)
				}
			}
			if got = s.End(s.Append(got, text[cut:])); !bytes.Equal(got, want) {
				t.Fatalf("cut at %d: %q, want %q", cut, got, want)
			}
		}
	}
}
