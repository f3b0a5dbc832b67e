package translate_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"wye/translate"
)

// stream writes events as Anthropic does.
func stream(events ...string) string {
	var b strings.Builder
	for _, e := range events {
		e = unquote(e)
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", gjson.Get(e, "type"), e)
	}
	return b.String()
}

const (
	startEvent = `{'type':'message_start','message':{'id':'msg_1','type':'message','role':'assistant','model':'c-1','content':[],'usage':{'input_tokens':10,'cache_read_input_tokens':2,'output_tokens':1}}}`
	endEvent   = `{'type':'message_delta','delta':{'stop_reason':'end_turn','stop_sequence':null},'usage':{'output_tokens':5}}`
	stopEvent  = `{'type':'message_stop'}`
)

var textEvents = []string{
	startEvent, `{'type':'content_block_start','index':0,'content_block':{'type':'text','text':''}}`, `{'type':'ping'}`,
	`{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'Gr\u00fc'}}`,
	`{'type':'content_block_delta','index':0,'delta':{'type':'text_delta','text':'ße\n'}}`,
	`{'type':'content_block_stop','index':0}`, endEvent, stopEvent,
}

var toolEvents = []string{
	startEvent,
	`{'type':'content_block_start','index':0,'content_block':{'type':'thinking','thinking':''}}`,
	`{'type':'content_block_delta','index':0,'delta':{'type':'thinking_delta','thinking':'hm'}}`,
	`{'type':'content_block_delta','index':0,'delta':{'type':'signature_delta','signature':'s'}}`,
	`{'type':'content_block_stop','index':0}`,
	`{'type':'content_block_start','index':1,'content_block':{'type':'tool_use','id':'t1','name':'f','input':{}}}`,
	`{'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta','partial_json':''}}`,
	`{'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta','partial_json':'{\"x\"'}}`,
	`{'type':'content_block_delta','index':1,'delta':{'type':'input_json_delta','partial_json':':1}'}}`,
	`{'type':'content_block_stop','index':1}`,
	`{'type':'content_block_start','index':2,'content_block':{'type':'tool_use','id':'t2','name':'g','input':{}}}`,
	`{'type':'content_block_delta','index':2,'delta':{'type':'input_json_delta','partial_json':''}}`,
	`{'type':'content_block_stop','index':2}`,
	`{'type':'message_delta','delta':{'stop_reason':'tool_use'},'usage':{'output_tokens':9}}`, stopEvent,
}

// chunk is a chunk of the choice as the translation writes it.
func chunk(delta, finish, more string) string {
	return unquote(`data: {'id':'msg_1','object':'chat.completion.chunk','created':7,'model':'c-1','choices':[{'index':0,'delta':{` + delta +
		`},'logprobs':null,'finish_reason':` + finish + `}]` + more + `}` + "\n\n")
}

func TestChatStream(t *testing.T) {
	t.Parallel()
	const role = `'role':'assistant','content':'','refusal':null`
	const done = "data: [DONE]\n\n"
	call := func(members string) string { return chunk(`'tool_calls':[{'index':`+members+`]`, "null", "") }
	failure := func(message, kind, code string) string {
		return unquote(`data: {'error':{'message':'`+message+`','type':'`+kind+`','param':null,'code':`+code+`}}`) + "\n\n"
	}
	for name, tt := range map[string]struct {
		in, want string
		usage    bool
	}{
		"text": {
			in:   stream(textEvents...),
			want: chunk(role, "null", "") + chunk(`'content':'Gr\u00fc'`, "null", "") + chunk(`'content':'ße\n'`, "null", "") + chunk("", "'stop'", "") + done,
		},
		"usage": {
			in: stream(startEvent, endEvent, stopEvent), usage: true,
			want: chunk(role, "null", ",'usage':null") + chunk("", "'stop'", ",'usage':null") +
				unquote(`data: {'id':'msg_1','object':'chat.completion.chunk','created':7,'model':'c-1','choices':[],'usage':{'prompt_tokens':12,'completion_tokens':5,'total_tokens':17,'prompt_tokens_details':{'cached_tokens':2}}}`) + "\n\n" + done,
		},
		"tools": {
			in: stream(toolEvents...),
			want: chunk(role, "null", "") + call(`0,'id':'t1','type':'function','function':{'name':'f','arguments':''}}`) +
				call(`0,'function':{'arguments':'{\"x\"'}}`) + call(`0,'function':{'arguments':':1}'}}`) +
				call(`1,'id':'t2','type':'function','function':{'name':'g','arguments':''}}`) + call(`1,'function':{'arguments':'{}'}}`) +
				chunk("", "'tool_calls'", "") + done,
		},
		"cut":              {in: stream(textEvents[:4]...), want: chunk(role, "null", "") + chunk(`'content':'Gr\u00fc'`, "null", "")},
		"no last line":     {in: strings.TrimSpace(stream(startEvent, stopEvent)), want: chunk(role, "null", "") + done},
		"after its end":    {in: stream(stopEvent, startEvent, "{}") + "data: x\n\n", want: done},
		"[DONE] of theirs": {in: stream(startEvent) + done, want: chunk(role, "null", "")},
		"error": {
			in:   stream(startEvent, `{'type':'error','error':{'type':'overloaded_error','message':'Over'}}`, stopEvent),
			want: chunk(role, "null", "") + failure("Over", "server_error", "'overloaded'"),
		},
		"no JSON":  {in: "data: {\n\n", want: failure("an event of the provider's stream is no JSON", "server_error", "null")},
		"nothing":  {},
		"too long": {in: "data: " + strings.Repeat("x", translate.MaxEvent+1) + "\n\n", want: failure("an event of the provider's stream is too long", "server_error", "null")},
		"too many lines": {
			in:   strings.Repeat("data: "+strings.Repeat("x", 1<<20)+"\n", 5) + "\n" + stream(startEvent),
			want: failure("an event of the provider's stream is too long", "server_error", "null"),
		},
	} {
		tt.want = strings.ReplaceAll(tt.want, `provider"s`, "provider's")
		s := translate.ChatStream{Created: 7, Usage: tt.usage}
		got := s.End(s.Append(nil, []byte(tt.in)))
		if diff := cmp.Diff(tt.want, string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Wherever a stream is cut into pieces, and whatever ends its lines, it means the
// same, and every event is translated as soon as it is there.
func TestChatStreamSplit(t *testing.T) {
	t.Parallel()
	for _, events := range [][]string{textEvents, toolEvents} {
		whole := stream(events...)
		for _, ending := range []string{"\n", "\r\n", "\r"} {
			text := []byte(strings.ReplaceAll(whole, "\n", ending))
			reference := translate.ChatStream{Created: 7}
			want := reference.End(reference.Append(nil, text))
			for cut := range text {
				s := translate.ChatStream{Created: 7}
				got := s.Append(nil, text[:cut])
				if at := bytes.LastIndex(text[:cut], []byte(ending+ending)); at > 0 {
					soon := translate.ChatStream{Created: 7}
					if due := soon.Append(nil, text[:at+2*len(ending)]); !bytes.HasPrefix(got, due) {
						t.Fatalf("cut at %d: got %q, due are %q", cut, got, due)
					}
				}
				if got = s.End(s.Append(got, text[cut:])); !bytes.Equal(got, want) {
					t.Fatalf("cut at %d: %q, want %q", cut, got, want)
				}
			}
			s := translate.ChatStream{Created: 7}
			var got []byte
			for i := range text {
				got = s.Append(got, text[i:i+1])
			}
			if got = s.End(got); !bytes.Equal(got, want) {
				t.Fatalf("byte by byte: %q, want %q", got, want)
			}
		}
	}
}

func TestChatStreamUsage(t *testing.T) {
	t.Parallel()
	s := translate.ChatStream{}
	s.Append(nil, []byte(stream(textEvents...)))
	const want = `{"prompt_tokens":12,"completion_tokens":5,"total_tokens":17,"prompt_tokens_details":{"cached_tokens":2}}`
	if got := string(s.UsageObject()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
