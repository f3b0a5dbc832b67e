package translate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"wye/translate"
)

func TestChatRequest(t *testing.T) {
	t.Parallel()
	const hi = `'messages':[{'role':'user','content':'hi'}]`
	efforts := translate.Options{Thinking: map[string]int{"minimal": 0, "none": 0, "low": 2000, "high": 9000}}
	for _, tt := range []struct {
		name, in, want string
		options        translate.Options
		dropped        []string
		stream         bool
	}{
		{name: "least", in: `{'model':'g','max_tokens':7,` + hi + `}`, want: `{'model':'g',` + hi + `,'max_tokens':7}`},
		{
			name: "name of the cap", options: translate.Options{MaxTokensField: "max_completion_tokens"},
			in: `{'model':'g','max_tokens':7,` + hi + `}`, want: `{'model':'g',` + hi + `,'max_completion_tokens':7}`,
		},
		{
			name: "fields",
			in: `{'max_tokens':7,'model':'g',` + hi + `,'system':'S\u00e9','temperature':0.50,'top_p':0.9,'top_k':5,'stop_sequences':['a','\n'],'stream':true,'metadata':{'user_id':'u'},` +
				`'service_tier':'auto','routing_config':{},'container':null,'mcp_servers':[]}`,
			want: `{'model':'g','messages':[{'role':'system','content':'S\u00e9'},{'role':'user','content':'hi'}],'max_tokens':7,'temperature':0.50,'top_p':0.9,'stop':['a','\n'],` +
				`'user':'u','stream':true,'stream_options':{'include_usage':true}}`,
			dropped: []string{"top_k", "service_tier"}, stream: true,
		},
		{
			name: "blocks",
			in: `{'model':'g','system':[{'type':'text','text':'a','cache_control':{'type':'ephemeral'}},{'type':'text','text':'b'}],'messages':[{'role':'user','content':[{'type':'text','text':'hi'}]},` +
				`{'role':'assistant','content':[{'type':'thinking','thinking':'t','signature':'s'},{'type':'text','text':'x'},{'type':'text','text':'y\n'}]},{'role':'user','content':[{'type':'text','text':'look'},` +
				`{'type':'image','source':{'type':'base64','media_type':'image/png','data':'AAA='}},{'type':'image','source':{'type':'url','url':'https://e.org/x'}},` +
				`{'type':'document','source':{'type':'base64','media_type':'application/pdf','data':'BBB='},'title':'a.pdf'},{'type':'document','source':{'type':'base64','media_type':'application/pdf','data':'C'}},` +
				`{'type':'document','source':{'type':'text','media_type':'text/plain','data':'D'}}]}]}`,
			want: `{'model':'g','messages':[{'role':'system','content':'a\n\nb'},{'role':'user','content':'hi'},{'role':'assistant','content':'xy\n'},{'role':'user','content':[{'type':'text','text':'look'},` +
				`{'type':'image_url','image_url':{'url':'data:image/png;base64,AAA='}},{'type':'image_url','image_url':{'url':'https://e.org/x'}},` +
				`{'type':'file','file':{'filename':'a.pdf','file_data':'data:application/pdf;base64,BBB='}},{'type':'file','file':{'filename':'document.pdf','file_data':'data:application/pdf;base64,C'}},` +
				`{'type':'text','text':'D'}]}]}`,
		},
		{
			name: "tools",
			in: `{'model':'g','messages':[{'role':'user','content':'hi'},{'role':'assistant','content':[{'type':'text','text':'so'},{'type':'tool_use','id':'t1','name':'f','input':{'x': 'q'}}]},` +
				`{'role':'user','content':[{'type':'tool_result','tool_use_id':'t1','content':[{'type':'text','text':'a'},{'type':'text','text':'b'},{'type':'image','source':{'type':'url','url':'https://e.org/x'}}]},` +
				`{'type':'text','text':'and?'}]},{'role':'assistant','content':[{'type':'tool_use','id':'t2','name':'g','input':{}}]},{'role':'user','content':[{'type':'tool_result','tool_use_id':'t2','content':'r'}]},` +
				`{'role':'assistant','content':'ok'},{'role':'user','content':[{'type':'tool_result','tool_use_id':'t3'},{'type':'text','text':'end'}]}],` +
				`'tools':[{'name':'f','description':'d','input_schema':{'type':'object'},'cache_control':{}},{'type':'custom','name':'g','input_schema':{}}],'tool_choice':{'type':'auto','disable_parallel_tool_use':true}}`,
			want: `{'model':'g','messages':[{'role':'user','content':'hi'},{'role':'assistant','content':'so','tool_calls':[{'id':'t1','type':'function','function':{'name':'f','arguments':'{\'x\': \'q\'}'}}]},` +
				`{'role':'tool','tool_call_id':'t1','content':'a\nb'},{'role':'user','content':[{'type':'image_url','image_url':{'url':'https://e.org/x'}},{'type':'text','text':'and?'}]},` +
				`{'role':'assistant','content':null,'tool_calls':[{'id':'t2','type':'function','function':{'name':'g','arguments':'{}'}}]},{'role':'tool','tool_call_id':'t2','content':'r'},` +
				`{'role':'assistant','content':'ok'},{'role':'tool','tool_call_id':'t3','content':''},{'role':'user','content':'end'}],` +
				`'tools':[{'type':'function','function':{'name':'f','description':'d','parameters':{'type':'object'}}},{'type':'function','function':{'name':'g','parameters':{}}}],'tool_choice':'auto','parallel_tool_calls':false}`,
		},
		{
			name: "a tool", in: `{'model':'g',` + hi + `,'tools':[{'name':'f'}],'tool_choice':{'type':'tool','name':'f'}}`,
			want: `{'model':'g',` + hi + `,'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':{'type':'function','function':{'name':'f'}}}`,
		},
		{
			name: "any tool", in: `{'model':'g',` + hi + `,'tools':[{'name':'f'}],'tool_choice':{'type':'any'}}`,
			want: `{'model':'g',` + hi + `,'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':'required'}`,
		},
		{name: "no tools", in: `{'model':'g',` + hi + `,'tools':[],'system':'','tool_choice':{'type':'auto'}}`, want: `{'model':'g',` + hi + `}`},
		{name: "budget", options: efforts, in: `{'model':'g',` + hi + `,'thinking':{'type':'enabled','budget_tokens':3000}}`, want: `{'model':'g',` + hi + `,'reasoning_effort':'high'}`},
		{name: "beyond all", options: efforts, in: `{'model':'g',` + hi + `,'thinking':{'type':'enabled','budget_tokens':30000}}`, want: `{'model':'g',` + hi + `,'reasoning_effort':'high'}`},
		{name: "no thoughts", options: efforts, in: `{'model':'g',` + hi + `,'thinking':{'type':'disabled'}}`, want: `{'model':'g',` + hi + `,'reasoning_effort':'none'}`},
		{
			name: "thoughts that cannot be helped", options: translate.Options{Thinking: map[string]int{"low": 1024}},
			in: `{'model':'g',` + hi + `,'thinking':{'type':'disabled'}}`, want: `{'model':'g',` + hi + `}`,
		},
		{name: "as it likes", options: efforts, in: `{'model':'g',` + hi + `,'thinking':{'type':'adaptive'}}`, want: `{'model':'g',` + hi + `}`},
		{name: "effort", options: efforts, in: `{'model':'g',` + hi + `,'thinking':{'type':'adaptive'},'output_config':{'effort':'low'}}`, want: `{'model':'g',` + hi + `,'reasoning_effort':'low'}`},
		{
			name: "effort by itself", options: translate.Options{Effort: true}, in: `{'model':'g',` + hi + `,'thinking':{'type':'adaptive'},'output_config':{'effort':'max'}}`,
			want: `{'model':'g',` + hi + `,'reasoning_effort':'max'}`,
		},
		{
			name: "none by itself", options: translate.Options{Effort: true}, in: `{'model':'g',` + hi + `,'thinking':{'type':'disabled'}}`,
			want: `{'model':'g',` + hi + `,'reasoning_effort':'none'}`,
		},
		{
			name: "no efforts", in: `{'model':'g',` + hi + `,'thinking':{'type':'enabled','budget_tokens':3000},'output_config':{'effort':'max'}}`, want: `{'model':'g',` + hi + `}`,
			dropped: []string{"output_config.effort", "thinking"},
		},
		{
			name: "closed schema", in: `{'model':'g',` + hi + `,'output_config':{'format':{'type':'json_schema','schema':{'type':'object','properties':{'a':{'type':'array','items':{'type':'string'}}},'required':['a'],'additionalProperties':false}}}}`,
			want: `{'model':'g',` + hi + `,'response_format':{'type':'json_schema','json_schema':{'name':'answer','schema':{'type':'object','properties':{'a':{'type':'array','items':{'type':'string'}}},'required':['a'],'additionalProperties':false},'strict':true}}}`,
		},
		{
			name: "open schema", in: `{'model':'g',` + hi + `,'output_format':{'type':'json_schema','schema':{'type':'object','properties':{'a':{}},'additionalProperties':false}}}`,
			want: `{'model':'g',` + hi + `,'response_format':{'type':'json_schema','json_schema':{'name':'answer','schema':{'type':'object','properties':{'a':{}},'additionalProperties':false}}}}`,
		},
		{
			name: "open inside", in: `{'model':'g',` + hi + `,'output_format':{'type':'json_schema','schema':{'anyOf':[{'type':'string'},{'type':'array','items':{'type':'object'}}]}}}`,
			want: `{'model':'g',` + hi + `,'response_format':{'type':'json_schema','json_schema':{'name':'answer','schema':{'anyOf':[{'type':'string'},{'type':'array','items':{'type':'object'}}]}}}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, request, err := translate.AppendChatRequest([]byte("before"), []byte(unquote(tt.in)), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("before"+unquote(tt.want), string(got)); diff != "" {
				t.Error(diff)
			}
			if !gjson.ValidBytes(got[len("before"):]) {
				t.Errorf("no JSON: %s", got)
			}
			if diff := cmp.Diff(translate.Request{Stream: tt.stream, Dropped: tt.dropped}, request); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestChatRequestUnable(t *testing.T) {
	t.Parallel()
	user := func(block string) string { return `{'messages':[{'role':'user','content':[` + block + `]}]}` }
	with := func(field string) string { return `{'messages':[{'role':'user','content':'a'}],` + field + `}` }
	for in, what := range map[string]string{
		`{'messages':[]}`: "begun for the model",
		`{'messages':[{'role':'user','content':'a'},{'role':'assistant','content':'{'}]}`:                          "begun for the model",
		`{'messages':[{'role':'system','content':'a'}]}`:                                                           `role "system"`,
		`{'messages':[{'role':'assistant','content':[{'type':'server_tool_use'}]},{'role':'user','content':'a'}]}`: `type "server_tool_use"`,
		user(`{'type':'image','source':{'type':'file','file_id':'f'}}`):                                            `source of type "file"`,
		user(`{'type':'document','source':{'type':'url','url':'https://e.org'}}`):                                  `source of type "url"`,
		user(`{'type':'search_result'}`):                                                                           `type "search_result"`,
		user(`{'type':'tool_result','tool_use_id':'a','content':[{'type':'search_result'}]}`):                      `type "search_result"`,
		with(`'system':[{'type':'image'}]`):                                                                        "system prompt",
		with(`'container':'c'`):                                                                                    "container",
		with(`'mcp_servers':[{}]`):                                                                                 "mcp_servers",
		with(`'stop_sequences':['a','b','c','d','e']`):                                                             "four stop sequences",
		with(`'tools':[{'type':'bash_20250124','name':'bash'}]`):                                                   `tool of type "bash_20250124"`,
		with(`'tools':[{'name':'a'}],'tool_choice':{'type':'new'}`):                                                "tool_choice",
		with(`'output_format':{'type':'grammar'}`):                                                                 "output format",
	} {
		got, _, err := translate.AppendChatRequest([]byte("x"), []byte(unquote(in)), translate.Options{})
		var u *translate.Unable
		if !errors.As(err, &u) || !strings.Contains(u.Error(), what) || string(got) != "x" {
			t.Errorf("%s: %q, %v, want %q", in, got, err, what)
		}
	}
}
