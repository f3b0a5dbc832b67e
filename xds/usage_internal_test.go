package xds

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// usageOf runs the script on a response that comes in these pieces, and returns
// what it noted last. Envoy runs the same language, in LuaJIT.
func usageOf(t *testing.T, kind, coding string, pieces []string) string {
	t.Helper()
	l := lua.NewState()
	defer l.Close()
	if err := l.DoString(usageScript); err != nil {
		t.Fatal(err)
	}
	noted := ""
	object := func(methods map[string]lua.LGFunction) *lua.LTable {
		return l.SetFuncs(l.NewTable(), methods)
	}
	returning := func(value func() lua.LValue) lua.LGFunction {
		return func(l *lua.LState) int { l.Push(value()); return 1 }
	}
	headers := map[string]string{"content-type": kind, "content-encoding": coding}
	handle := object(map[string]lua.LGFunction{
		"headers": returning(func() lua.LValue {
			return object(map[string]lua.LGFunction{"get": func(l *lua.LState) int {
				if v := headers[l.CheckString(2)]; v != "" {
					l.Push(lua.LString(v))
				} else {
					l.Push(lua.LNil)
				}
				return 1
			}})
		}),
		"bodyChunks": returning(func() lua.LValue {
			return l.NewFunction(func(l *lua.LState) int {
				if len(pieces) == 0 {
					l.Push(lua.LNil)
					return 1
				}
				piece := pieces[0]
				pieces = pieces[1:]
				l.Push(object(map[string]lua.LGFunction{
					"length": returning(func() lua.LValue { return lua.LNumber(len(piece)) }),
					"getBytes": func(l *lua.LState) int {
						l.Push(lua.LString(piece[l.CheckInt(2) : l.CheckInt(2)+l.CheckInt(3)]))
						return 1
					},
				}))
				return 1
			})
		}),
		"streamInfo": returning(func() lua.LValue {
			return object(map[string]lua.LGFunction{"dynamicMetadata": returning(func() lua.LValue {
				return object(map[string]lua.LGFunction{"set": func(l *lua.LState) int {
					if got := l.CheckString(2) + ":" + l.CheckString(3); got != "wye.usage:usage" {
						t.Errorf("noted as %q", got)
					}
					noted = l.CheckString(4)
					return 0
				}})
			})})
		}),
	})
	if err := l.CallByParam(lua.P{Fn: l.GetGlobal("envoy_on_response"), Protect: true}, handle); err != nil {
		t.Fatal(err)
	}
	return noted
}

const (
	chatUsage = `{"prompt_tokens":11,"completion_tokens":22,"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":7}}`
	chatEvent = `data: {"id":"x","choices":[{"index":0,"delta":{"content":"a \"usage\":{\"prompt_tokens\":99} }{ b"}}],"usage":null}` + "\n\n"
	startOf   = `{"input_tokens":25,"cache_creation_input_tokens":3,"cache_read_input_tokens":4,"cache_creation":{"ephemeral_5m_input_tokens":3},"output_tokens":1}`
	deltaOf   = `{"output_tokens":15}`
	startBoth = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":" + startOf + "}}\n\n"
	blockOf   = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"tokens\"}}\n\n"
	deltaBoth = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":" + deltaOf + "}\n\n"
	responses = `{"input_tokens":36,"input_tokens_details":{"cached_tokens":30},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":80},"total_tokens":123}`
)

// answers are what providers send, and what is noted of it.
var answers = []struct{ name, kind, body, want string }{
	{"JSON", "application/json", `{"choices":[{"message":{"content":"x"}}],"usage":` + chatUsage + `,"service_tier":"default"}`, chatUsage},
	{"JSON, indented", "application/json", "{\n  \"usage\" : \n\t" + chatUsage + "\n}", chatUsage},
	{"JSON about this API", "application/json", `{"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}]}`, ""},
	{"chat events", "text/event-stream; charset=utf-8", chatEvent + `data: {"choices":[],"usage":` + chatUsage + "}\n\ndata: [DONE]\n\n", chatUsage},
	{"chat events without an end", "text/event-stream", chatEvent + `data: {"choices":[],"usage":` + chatUsage + "}", chatUsage},
	{"chat events with CRLF", "text/event-stream", strings.ReplaceAll(chatEvent+`data: {"usage":`+chatUsage+"}\n\n", "\n", "\r\n"), chatUsage},
	{"running counts", "text/event-stream", `data: {"usage":` + startOf + "}\n\n" + `data: {"usage":` + chatUsage + "}\n\n", startOf + "\x1e" + chatUsage},
	{"Messages' events", "text/event-stream", startBoth + blockOf + deltaBoth + "event: message_stop\ndata: {}\n\n", startOf + "\x1e" + deltaOf},
	{"Messages' events, cut off", "text/event-stream", startBoth + blockOf + blockOf, startOf},
	{"Messages' events that repeat the input", "text/event-stream", startBoth + strings.ReplaceAll(deltaBoth, deltaOf, `{"input_tokens":26,"output_tokens":15}`), startOf + "\x1e" + `{"input_tokens":26,"output_tokens":15}`},
	{"Responses' events", "text/event-stream", "event: response.created\ndata: {\"response\":{\"usage\":null}}\n\n" +
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":" + responses + "}}\n\n", responses},
	{"an object that is not complete", "application/json", `{"usage":` + chatUsage[:len(chatUsage)-2], ""},
	{"text", "text/plain", `{"usage":` + chatUsage + `}`, ""},
}

// What an answer says of its usage is found wherever it is split: in two at every
// byte, and in pieces of every size up to 40 bytes.
func TestUsageScript(t *testing.T) {
	t.Parallel()
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check := func(how string, pieces []string) {
				t.Helper()
				if got := usageOf(t, tt.kind, "", pieces); got != tt.want {
					t.Fatalf("%s: noted %q, want %q", how, got, tt.want)
				}
			}
			for i := range len(tt.body) + 1 {
				check(fmt.Sprintf("split at byte %d", i), []string{tt.body[:i], tt.body[i:]})
			}
			for size := 1; size <= 40; size++ {
				var pieces []string
				for piece := range slices.Chunk([]byte(tt.body), size) {
					pieces = append(pieces, string(piece))
				}
				check(fmt.Sprintf("pieces of %d", size), pieces)
			}
			if got := usageOf(t, tt.kind, "gzip", []string{tt.body}); got != "" {
				t.Errorf("a compressed answer was read: %q", got)
			}
		})
	}
}
