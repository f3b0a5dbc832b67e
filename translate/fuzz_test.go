package translate_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"wye/translate"
)

// FuzzRequestRoundTrip: a chat completion that is said as a message and back asks
// for the same thing. The first way may lose what the other API has no words for;
// what has come through once comes through again unchanged, both ways.
func FuzzRequestRoundTrip(f *testing.F) {
	for _, seed := range []string{
		`{'model':'c','messages':[{'role':'user','content':'hi \u00e9'}]}`,
		`{'model':'c','messages':[{'role':'system','content':'s'},{'role':'user','content':[{'type':'text','text':'a'},{'type':'image_url','image_url':{'url':'data:image/png;base64,AAA='}}]}],'stop':['a'],'stream':true}`,
		`{'model':'c','messages':[{'role':'user','content':'hi'},{'role':'assistant','content':'x','tool_calls':[{'id':'a','type':'function','function':{'name':'f','arguments':'{\"x\": [1, 2.0]}'}}]},{'role':'tool','tool_call_id':'a','content':'r'}],` +
			`'tools':[{'type':'function','function':{'name':'f','parameters':{'type':'object'}}}],'tool_choice':'required','parallel_tool_calls':false}`,
		`{'model':'c','messages':[{'role':'user','content':'hi'}],'response_format':{'type':'json_schema','json_schema':{'name':'n','schema':{'type':'object'}}},'temperature':0.7,'max_completion_tokens':5,'user':'u'}`,
	} {
		f.Add([]byte(unquote(seed)))
	}
	f.Fuzz(func(t *testing.T, chat []byte) {
		if !gjson.ValidBytes(chat) || !gjson.ParseBytes(chat).IsObject() {
			return
		}
		first, _, err := translate.AppendMessagesRequest(nil, chat, translate.Options{})
		if err != nil {
			return
		}
		back, _, err := translate.AppendChatRequest(nil, first, translate.Options{})
		if err != nil {
			return // stop sequences that are too many, or an answer in the middle
		}
		again, _, err := translate.AppendMessagesRequest(nil, back, translate.Options{})
		if err != nil {
			t.Fatalf("%v:\n%s\n%s\n%s", err, chat, first, back)
		}
		last, _, err := translate.AppendChatRequest(nil, again, translate.Options{})
		if err != nil {
			t.Fatalf("%v:\n%s\n%s", err, chat, again)
		}
		if diff := cmp.Diff(meaning(t, back), meaning(t, last)); diff != "" {
			t.Errorf("%s\n%s\n%s\n%s", chat, back, again, diff)
		}
		if len(texts(t, chat)) != len(texts(t, back)) {
			return
		}
		if diff := cmp.Diff(texts(t, chat), texts(t, back)); diff != "" {
			t.Errorf("texts of\n%s\n%s\n%s", chat, back, diff)
		}
	})
}

// meaning is a request as encoding/json reads it.
func meaning(t *testing.T, request []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(request, &v); err != nil {
		t.Fatalf("%v: %s", err, request)
	}
	return v
}

// texts are the texts of the users' messages that are strings.
func texts(t *testing.T, chat []byte) (all []string) {
	t.Helper()
	for _, m := range gjson.GetBytes(chat, "messages").Array() {
		if c := m.Get("content"); m.Get("role").Str == "user" && c.Type == gjson.String {
			all = append(all, c.String())
		}
	}
	return all
}

// FuzzStreams: wherever a stream is cut into two, its translation is the one of
// the whole, nothing panics, and what is written is JSON.
func FuzzStreams(f *testing.F) {
	for _, seed := range []string{stream(textEvents...), stream(toolEvents...), textChunks, toolChunks, "data: {}\r\n\r\n", "data\n\n", ":\n\n"} {
		f.Add([]byte(seed), uint16(len(seed)/2))
	}
	type translator interface {
		Append(dst, chunk []byte) []byte
		End(dst []byte) []byte
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint16) {
		cut := min(int(at), len(text))
		for _, fresh := range []func() translator{
			func() translator { return &translate.ChatStream{Usage: cut%2 == 0} },
			func() translator { return &translate.MessagesStream{} },
		} {
			whole, parts := fresh(), fresh()
			want := whole.End(whole.Append(nil, text))
			got := parts.End(parts.Append(parts.Append(nil, text[:cut]), text[cut:]))
			if !bytes.Equal(got, want) {
				t.Errorf("cut at %d of %q:\n%q\n%q", cut, text, got, want)
			}
			for event := range bytes.SplitSeq(want, []byte("\n\n")) {
				_, data, found := bytes.Cut(event, []byte("data: "))
				if found && string(data) != "[DONE]" && !json.Valid(data) {
					t.Errorf("event %q", event)
				}
			}
		}
	})
}

// FuzzAnswers: no answer panics, and what is made of one is JSON.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(unquote(`{'type':'message','content':[{'type':'tool_use','input':{}},{'type':'text','text':'a'}]}`)))
	f.Add([]byte(unquote(`{'choices':[{'message':{'content':'a','tool_calls':[{'function':{'arguments':'{}'}}]}}]}`)))
	f.Add([]byte(unquote(`{'error':{'type':'a','message':'b'}}`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		made := [][]byte{translate.AppendChatError(nil, body, 500), translate.AppendMessageError(nil, body, 429)}
		if b, err := translate.AppendChatAnswer(nil, body, 7); err == nil {
			made = append(made, b)
		}
		if b, err := translate.AppendMessageAnswer(nil, body); err == nil {
			made = append(made, b)
		}
		for _, b := range made {
			if !json.Valid(b) {
				t.Errorf("%q makes %q", body, b)
			}
		}
	})
}
