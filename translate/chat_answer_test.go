package translate_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wye/translate"
)

func TestChatAnswer(t *testing.T) {
	t.Parallel()
	answer := func(message, finish, usage string) string {
		return `{'id':'msg_1','object':'chat.completion','created':7,'model':'c-1','choices':[{'index':0,'message':{'role':'assistant',` + message +
			`,'refusal':null},'logprobs':null,'finish_reason':'` + finish + `'}],'usage':` + usage + `}`
	}
	const usage = `'usage':{'input_tokens':10,'cache_read_input_tokens':4,'cache_creation_input_tokens':3,'output_tokens':5,'output_tokens_details':{'thinking_tokens':1}}`
	const counted = `{'prompt_tokens':17,'completion_tokens':5,'total_tokens':22,'prompt_tokens_details':{'cached_tokens':4,'cache_write_tokens':3},'completion_tokens_details':{'reasoning_tokens':1}}`
	const none = `{'prompt_tokens':0,'completion_tokens':0,'total_tokens':0,'prompt_tokens_details':{'cached_tokens':0}}`
	for name, tt := range map[string]struct{ in, want string }{
		"text": {
			`{'id':'msg_1','type':'message','model':'c-1','content':[{'type':'thinking','thinking':'t'},{'type':'text','text':'a\u00e9'},{'type':'text','text':' b\n'}],'stop_reason':'end_turn',` + usage + `}`,
			answer(`'content':'a\u00e9 b\n'`, "stop", counted),
		},
		"tools": {
			`{'id':'msg_1','type':'message','model':'c-1','content':[{'type':'tool_use','id':'t1','name':'f','input':{'x': 'y\n'}},{'type':'tool_use','id':'t2','name':'g','input':{}}],'stop_reason':'tool_use','usage':{'input_tokens':-1}}`,
			answer(`'content':null,'tool_calls':[{'id':'t1','type':'function','function':{'name':'f','arguments':'{\'x\': \'y\\n\'}'}},{'id':'t2','type':'function','function':{'name':'g','arguments':'{}'}}]`, "tool_calls", none),
		},
		"nothing": {
			`{'id':'msg_1','type':'message','model':'c-1','content':[],'stop_reason':'refusal'}`, answer(`'content':''`, "content_filter", none),
		},
		"cap": {
			`{'id':'msg_1','type':'message','model':'c-1','content':[{'type':'text','text':'a'}],'stop_reason':'max_tokens'}`, answer(`'content':'a'`, "length", none),
		},
	} {
		got, err := translate.AppendChatAnswer([]byte("x"), []byte(unquote(tt.in)), 7)
		if diff := cmp.Diff("x"+unquote(tt.want), string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v%s", name, err, diff)
		}
	}
	for _, in := range []string{``, `{`, `[]`, `{'type':'error'}`, `{'type':'message'}`, `{'type':'message','content':'a'}`} {
		if got, err := translate.AppendChatAnswer([]byte("x"), []byte(unquote(in)), 7); !errors.Is(err, translate.ErrAnswer) || string(got) != "x" {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestChatError(t *testing.T) {
	t.Parallel()
	body := func(kind string) string {
		return `{'type':'error','error':{'type':'` + kind + `','message':'m\u00e9'},'request_id':'r'}`
	}
	want := func(message, kind, code string) string {
		return `{'error':{'message':'` + message + `','type':'` + kind + `','param':null,'code':` + code + `}}`
	}
	for _, tt := range []struct {
		in     string
		status int
		want   string
	}{
		{body("invalid_request_error"), 400, want(`m\u00e9`, "invalid_request_error", "null")},
		{body("authentication_error"), 401, want(`m\u00e9`, "invalid_request_error", "'invalid_api_key'")},
		{body("permission_error"), 403, want(`m\u00e9`, "invalid_request_error", "null")},
		{body("not_found_error"), 404, want(`m\u00e9`, "invalid_request_error", "'model_not_found'")},
		{body("request_too_large"), 413, want(`m\u00e9`, "invalid_request_error", "'request_too_large'")},
		{body("rate_limit_error"), 429, want(`m\u00e9`, "rate_limit_error", "'rate_limit_exceeded'")},
		{body("api_error"), 500, want(`m\u00e9`, "server_error", "null")},
		{body("overloaded_error"), 529, want(`m\u00e9`, "server_error", "'overloaded'")},
		{body("new_error"), 500, want(`m\u00e9`, "server_error", "null")},
		{`<html>`, 502, want("The provider answered 502 Bad Gateway.", "server_error", "null")},
		{`{}`, 429, want("The provider answered 429 Too Many Requests.", "rate_limit_error", "'rate_limit_exceeded'")},
		{``, 599, want("The provider answered 599.", "server_error", "null")},
		{`{'error':{'message':1}}`, 418, want("The provider answered 418 I'm a teapot.", "invalid_request_error", "null")},
	} {
		got := translate.AppendChatError([]byte("x"), []byte(unquote(tt.in)), tt.status)
		if tt.status == 418 {
			tt.want = `{"error":{"message":"The provider answered 418 I'm a teapot.","type":"invalid_request_error","param":null,"code":null}}`
		} else {
			tt.want = unquote(tt.want)
		}
		if diff := cmp.Diff("x"+tt.want, string(got)); diff != "" {
			t.Errorf("%s: %s", tt.in, diff)
		}
	}
}
