package translate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"wye/translate"
)

// unquote lets tests write JSON with single quotes.
func unquote(s string) string { return strings.ReplaceAll(s, "'", `"`) }

func TestMessagesRequest(t *testing.T) {
	t.Parallel()
	const hi = `'messages':[{'role':'user','content':'hi'}]`
	const hiBlocks = `'messages':[{'role':'user','content':[{'type':'text','text':'hi'}]}]`
	for _, tt := range []struct {
		name, in, want string
		options        translate.Options
		dropped        []string
		usage          bool
	}{
		{
			name: "least", in: `{'model':'c',` + hi + `}`, want: `{'model':'c',` + hiBlocks + `,'max_tokens':4096}`,
		},
		{
			name: "model's cap", options: translate.Options{MaxTokens: 64000},
			in: `{'model':'c',` + hi + `}`, want: `{'model':'c',` + hiBlocks + `,'max_tokens':64000}`,
		},
		{
			name: "the newer cap counts", in: `{'max_completion_tokens':7,'max_tokens':9,'model':'c',` + hi + `}`,
			want: `{'model':'c',` + hiBlocks + `,'max_tokens':7}`,
		},
		{
			name: "sampling", in: `{'model':'c',` + hi + `,'temperature':1.70,'top_p':1,'stop':'END','stream':true,'stream_options':{'include_usage':true},'user':'u\u00e9'}`,
			want:  `{'model':'c',` + hiBlocks + `,'stop_sequences':['END'],'max_tokens':4096,'temperature':1,'metadata':{'user_id':'u\u00e9'},'stream':true}`,
			usage: true,
		},
		{
			name: "fields without counterpart",
			in:   `{'model':'c',` + hi + `,'top_p':0.50,'stop':['a','b'],'seed':1,'n':1,'logit_bias':{},'logprobs':false,'store':true,'presence_penalty':null,'routing_config':{}}`,
			want: `{'model':'c',` + hiBlocks + `,'stop_sequences':['a','b'],'max_tokens':4096,'top_p':0.50}`, dropped: []string{"seed", "logit_bias", "store"},
		},
		{
			name: "one of temperature and top_p", in: `{'model':'c',` + hi + `,'top_p':0.5,'temperature':0.20,'top_k':3,'safety_identifier':'s'}`,
			want: `{'model':'c',` + hiBlocks + `,'max_tokens':4096,'temperature':0.20,'top_k':3,'metadata':{'user_id':'s'}}`, dropped: []string{"top_p"},
		},
		{
			name: "instructions", in: `{'model':'c','messages':[{'role':'system','content':'a'},{'role':'user','content':'hi'},` +
				`{'role':'developer','content':[{'type':'text','text':'b','cache_control':{'type':'ephemeral'}}]},{'role':'system','content':' '}]}`,
			want: `{'model':'c',` + hiBlocks + `,'system':[{'type':'text','text':'a'},{'type':'text','text':'b','cache_control':{'type':'ephemeral'}}],'max_tokens':4096}`,
		},
		{
			name: "parts", in: `{'model':'c','messages':[{'role':'user','content':[{'type':'text','text':'look \u00e9 \n'},{'type':'text','text':''},` +
				`{'type':'image_url','image_url':{'url':'data:image\/png;base64,AAA=','detail':'low'}},{'type':'image_url','image_url':{'url':'https:\/\/e.org\/x'}},` +
				`{'type':'file','file':{'filename':'a.pdf','file_data':'data:application/pdf;base64,BBB='}}]}]}`,
			want: `{'model':'c','messages':[{'role':'user','content':[{'type':'text','text':'look \u00e9 \n'},` +
				`{'type':'image','source':{'type':'base64','media_type':'image/png','data':'AAA='}},{'type':'image','source':{'type':'url','url':'https:\/\/e.org\/x'}},` +
				`{'type':'document','source':{'type':'base64','media_type':'application/pdf','data':'BBB='},'title':'a.pdf'}]}],'max_tokens':4096}`,
		},
		{
			name: "tools",
			in: `{'model':'c','parallel_tool_calls':false,'tool_choice':'required','messages':[{'role':'user','content':'hi'},` +
				`{'role':'assistant','content':null,'tool_calls':[{'id':'a.1','type':'function','function':{'name':'f','arguments':'{\"x\": 1.0}'}},{'id':'b','type':'function','function':{'name':'g','arguments':''}}]},` +
				`{'role':'tool','tool_call_id':'a.1','content':'rain'},{'role':'tool','tool_call_id':'b','content':[{'type':'text','text':'sun'}]},{'role':'user','content':'so?'}],` +
				`'tools':[{'type':'function','function':{'name':'f','description':'d','parameters':{'type':'object', 'properties':{'x':{'type':'number'}}},'strict':true}},` +
				`{'type':'function','function':{'name':'g'},'cache_control':{'type':'ephemeral'}},{'type':'function','function':{'name':'h','parameters':{'properties':{}}}}]}`,
			want: `{'model':'c','tools':[{'name':'f','description':'d','input_schema':{'type':'object', 'properties':{'x':{'type':'number'}}}},` +
				`{'name':'g','input_schema':{'type':'object','properties':{}},'cache_control':{'type':'ephemeral'}},{'name':'h','input_schema':{'type':'object','properties':{}}}],` +
				`'tool_choice':{'type':'any','disable_parallel_tool_use':true},` +
				`'messages':[{'role':'user','content':[{'type':'text','text':'hi'}]},{'role':'assistant','content':[{'type':'tool_use','id':'a_1','name':'f','input':{"x": 1.0}},{'type':'tool_use','id':'b','name':'g','input':{}}]},` +
				`{'role':'user','content':[{'type':'tool_result','tool_use_id':'a_1','content':'rain'},{'type':'tool_result','tool_use_id':'b','content':[{'type':'text','text':'sun'}]},{'type':'text','text':'so?'}]}],'max_tokens':4096}`,
		},
		{
			name: "a chosen tool", in: `{'model':'c',` + hi + `,'tool_choice':{'type':'function','function':{'name':'f'}},'tools':[{'type':'function','function':{'name':'f','parameters':{}}}]}`,
			want: `{'model':'c','tools':[{'name':'f','input_schema':{'type':'object'}}],'tool_choice':{'type':'tool','name':'f'},` + hiBlocks + `,'max_tokens':4096}`,
		},
		{
			name: "a choice without tools", in: `{'model':'c',` + hi + `,'tool_choice':'auto','tools':[]}`,
			want: `{'model':'c',` + hiBlocks + `,'max_tokens':4096}`,
		},
		{
			name: "no tool may be called", in: `{'model':'c',` + hi + `,'tool_choice':'none','parallel_tool_calls':false,'tools':[{'type':'function','function':{'name':'f'}}]}`,
			want: `{'model':'c','tools':[{'name':'f','input_schema':{'type':'object','properties':{}}}],'tool_choice':{'type':'none'},` + hiBlocks + `,'max_tokens':4096}`,
		},
		{
			name: "one call at a time", in: `{'model':'c',` + hi + `,'parallel_tool_calls':false,'tools':[{'type':'function','function':{'name':'f'}}]}`,
			want: `{'model':'c','tools':[{'name':'f','input_schema':{'type':'object','properties':{}}}],'tool_choice':{'type':'auto','disable_parallel_tool_use':true},` + hiBlocks + `,'max_tokens':4096}`,
		},
		{
			name: "what the assistant said", in: `{'model':'c','messages':[{'role':'user','content':'hi'},{'role':'assistant','content':[{'type':'text','text':'a'},{'type':'refusal','refusal':'no'}]},{'role':'assistant','content':'','refusal':'b'},{'role':'user','content':'c'}]}`,
			want: `{'model':'c','messages':[{'role':'user','content':[{'type':'text','text':'hi'}]},{'role':'assistant','content':[{'type':'text','text':'a'},{'type':'text','text':'no'},{'type':'text','text':'b'}]},{'role':'user','content':[{'type':'text','text':'c'}]}],'max_tokens':4096}`,
		},
		{
			name: "schema", in: `{'model':'c',` + hi + `,'response_format':{'type':'json_schema','json_schema':{'name':'n','strict':true,'schema':{ 'type':'object'}}}}`,
			want: `{'model':'c',` + hiBlocks + `,'output_config':{'format':{'type':'json_schema','schema':{ 'type':'object'}}},'max_tokens':4096}`,
		},
		{
			name: "text", in: `{'model':'c',` + hi + `,'response_format':{'type':'text'},'modalities':['text']}`, want: `{'model':'c',` + hiBlocks + `,'max_tokens':4096}`,
		},
		{
			name: "effort", options: translate.Options{MaxTokens: 8000, Thinking: map[string]int{"low": 2048}},
			in:   `{'model':'c',` + hi + `,'reasoning_effort':'low','temperature':0.5,'top_p':0.9,'top_k':1}`,
			want: `{'model':'c',` + hiBlocks + `,'thinking':{'type':'enabled','budget_tokens':2048},'max_tokens':8000}`, dropped: []string{"temperature", "top_p", "top_k"},
		},
		{
			name: "effort beyond the cap", options: translate.Options{Thinking: map[string]int{"high": 32000}},
			in:   `{'model':'c',` + hi + `,'reasoning_effort':'high','max_tokens':3000}`,
			want: `{'model':'c',` + hiBlocks + `,'thinking':{'type':'enabled','budget_tokens':1500},'max_tokens':3000}`,
		},
		{
			name: "no effort", options: translate.Options{Thinking: map[string]int{"none": 0}},
			in: `{'model':'c',` + hi + `,'reasoning_effort':'none','temperature':0.5}`, want: `{'model':'c',` + hiBlocks + `,'max_tokens':4096,'temperature':0.5}`,
		},
		{
			name: "unknown effort", in: `{'model':'c',` + hi + `,'reasoning_effort':'low'}`, want: `{'model':'c',` + hiBlocks + `,'max_tokens':4096}`, dropped: []string{"reasoning_effort"},
		},
		{
			name: "no thoughts amid tool calls", options: translate.Options{Thinking: map[string]int{"low": 2048}},
			in: `{'model':'c','reasoning_effort':'low','messages':[{'role':'user','content':'hi'},{'role':'assistant','tool_calls':[{'id':'a','type':'function','function':{'name':'f','arguments':'{}'}}]},{'role':'tool','tool_call_id':'a','content':''}]}`,
			want: `{'model':'c','messages':[{'role':'user','content':[{'type':'text','text':'hi'}]},{'role':'assistant','content':[{'type':'tool_use','id':'a','name':'f','input':{}}]},` +
				`{'role':'user','content':[{'type':'tool_result','tool_use_id':'a'}]}],'max_tokens':4096}`,
		},
		{
			name: "effort of a model that knows efforts", options: translate.Options{Effort: true},
			in:   `{'model':'c',` + hi + `,'reasoning_effort':'minimal','temperature':0.5,'response_format':{'type':'json_schema','json_schema':{'schema':{}}}}`,
			want: `{'model':'c',` + hiBlocks + `,'output_config':{'effort':'low','format':{'type':'json_schema','schema':{}}},'thinking':{'type':'adaptive'},'max_tokens':4096}`, dropped: []string{"temperature"},
		},
		{
			name: "no effort of one", options: translate.Options{Effort: true}, in: `{'model':'c',` + hi + `,'reasoning_effort':'none','temperature':0.5}`,
			want: `{'model':'c',` + hiBlocks + `,'thinking':{'type':'disabled'},'max_tokens':4096,'temperature':0.5}`,
		},
		{
			name: "effort of one that must call a tool", options: translate.Options{Effort: true},
			in:   `{'model':'c',` + hi + `,'reasoning_effort':'max','tool_choice':'required','tools':[{'type':'function','function':{'name':'f'}}]}`,
			want: `{'model':'c','tools':[{'name':'f','input_schema':{'type':'object','properties':{}}}],'tool_choice':{'type':'any'},` + hiBlocks + `,'output_config':{'effort':'max'},'max_tokens':4096}`,
		},
		{
			name: "thoughts as Anthropic's own clients ask for them", in: `{'model':'c',` + hi + `,'thinking':{'type':'adaptive'},'temperature':1,'top_p':1}`,
			want: `{'model':'c',` + hiBlocks + `,'thinking':{'type':'adaptive'},'max_tokens':4096}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, request, err := translate.AppendMessagesRequest([]byte("before"), []byte(unquote(tt.in)), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff("before"+unquote(tt.want), string(got)); diff != "" {
				t.Error(diff)
			}
			if !gjson.ValidBytes(got[len("before"):]) {
				t.Errorf("no JSON: %s", got)
			}
			if diff := cmp.Diff(translate.Request{Stream: tt.usage, Usage: tt.usage, Dropped: tt.dropped}, request); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMessagesRequestUnable(t *testing.T) {
	t.Parallel()
	message := func(m string) string { return `{'messages':[{'role':'user','content':'a'},` + m + `]}` }
	with := func(field string) string { return `{'messages':[{'role':'user','content':'a'}],` + field + `}` }
	for in, what := range map[string]string{
		`{'messages':[]}`: "without a message of the user's",
		`{'messages':[{'role':'system','content':'a'}]}`:                                                                         "without a message of the user's",
		`{'messages':[{'role':'user','content':' \n'}]}`:                                                                         "without a message of the user's",
		`{'messages':[{'role':'assistant','content':'a'}]}`:                                                                      "that the user did not begin",
		message(`{'role':'function','name':'f','content':'a'}`):                                                                  `role "function"`,
		message(`{'role':'system','content':[{'type':'image'}]}`):                                                                "no text",
		message(`{'role':'user','content':[{'type':'input_audio','input_audio':{}}]}`):                                           `type "input_audio"`,
		message(`{'role':'user','content':[{'type':'image_url','image_url':{'url':'data:image/png,x'}}]}`):                       "not base64",
		message(`{'role':'user','content':[{'type':'image_url','image_url':{'url':'file:///etc/passwd'}}]}`):                     "no web address",
		message(`{'role':'user','content':[{'type':'file','file':{'file_id':'f'}}]}`):                                            "known by its id",
		message(`{'role':'assistant','content':[{'type':'image_url'}]}`):                                                         "assistant's content",
		message(`{'role':'assistant','function_call':{'name':'f'}}`):                                                             "function_call",
		message(`{'role':'assistant','audio':{'id':'a'}}`):                                                                       "audio",
		message(`{'role':'assistant','tool_calls':[{'id':'a','type':'custom','custom':{'name':'f'}}]}`):                          "no function",
		message(`{'role':'assistant','tool_calls':[{'id':'a','type':'function','function':{'name':'f','arguments':'[1]'}}]}`):    "no JSON object",
		message(`{'role':'assistant','tool_calls':[{'id':'a','type':'function','function':{'name':'f','arguments':'{\"a\"'}}]}`): "no JSON object",
		message(`{'role':'tool','tool_call_id':'a','content':[{'type':'refusal'}]}`):                                             `type "refusal"`,
		with(`'n':2`):                                    "n above 1",
		with(`'modalities':['text','audio']`):            "modalities",
		with(`'audio':{}`):                               "audio",
		with(`'functions':[]`):                           "functions",
		with(`'web_search_options':{}`):                  "web_search_options",
		with(`'response_format':{'type':'json_object'}`): `response_format "json_object"`,
		with(`'response_format':{'type':'json_schema','json_schema':{}}`): "without a schema",
		with(`'stop':['a',' ']`):                            "stop sequence",
		with(`'stop':'\n\n'`):                               "stop sequence",
		with(`'tools':[{'type':'web_search'}]`):             `tool of type "web_search"`,
		with(`'tools':[{'type':'function','function':{}}]`): "without a name",
		with(`'tools':[{'type':'function','function':{'name':'f'}}],'tool_choice':{'type':'allowed_tools','allowed_tools':{}}`): "tool_choice",
	} {
		got, _, err := translate.AppendMessagesRequest([]byte("x"), []byte(unquote(in)), translate.Options{})
		var u *translate.Unable
		if !errors.As(err, &u) || !strings.Contains(u.Error(), what) || string(got) != "x" {
			t.Errorf("%s: %q, %v, want %q", in, got, err, what)
		}
	}
}
