package wire_test

import (
	"strings"
	"testing"

	"wye/wire"
)

func keysOf(t testing.TB, shape wire.Shape, body string) (this, earlier uint64) {
	t.Helper()
	var f wire.Facts
	if p := wire.ScanShape(shape, nil, []byte(body), &f); p != nil {
		t.Fatalf("%v in %s", p, body)
	}
	return f.TurnKeys([]byte(body))
}

// A conversation is known again in every API that has any, and in Messages
// wherever the client puts its cache marks.
func TestTurnKeysOfShapes(t *testing.T) {
	t.Parallel()
	const (
		user1  = `{"role":"user","content":"What is a monad?"}`
		blocks = `{"role":"user","content":[{"type":"text","text":"What is a monad?","cache_control":{"type":"ephemeral"}}]}`
		reply  = `{"role":"assistant","content":[{"type":"text","text":"A monoid."}]}`
		use    = `{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"a":1}}]}`
		result = `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"42"}]}`
		marked = `{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"42","cache_control":{"type":"ephemeral"}}]}`
		user2  = `{"role":"user","content":"In which category?"}`
		image  = `{"role":"user","content":[{"type":"image","source":{"type":"url","url":"x"}}]}`

		reason  = `{"type":"reasoning","summary":[],"encrypted_content":"x"}`
		called  = `{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}`
		called2 = `{"type":"function_call","call_id":"d","name":"f","arguments":"{}"}`
		output  = `{"type":"function_call_output","call_id":"c","output":"42"}`
		output2 = `{"type":"function_call_output","call_id":"d","output":"43"}`
		said    = `{"type":"message","role":"assistant","content":[{"type":"output_text","text":"A monoid.","annotations":[]}]}`
	)
	m := func(all ...string) string {
		return `{"max_tokens":9,"messages":[` + strings.Join(all, ",") + `],"model":"auto","system":"Be brief."}`
	}
	tooled := func(body, name string) string {
		return strings.Replace(body, `"model"`, `"tools":[{"name":"`+name+`","input_schema":{}}],"model"`, 1)
	}
	r := func(all ...string) string {
		return `{"instructions":"Be brief.","input":[` + strings.Join(all, ",") + `],"model":"auto"}`
	}
	for _, tt := range []struct {
		name          string
		shape         wire.Shape
		before, after string
		follows       bool
	}{
		{"messages", wire.ShapeMessages, m(user1), m(user1, reply, user2), true},
		{"messages, third turn", wire.ShapeMessages, m(user1, reply, user2), m(user1, reply, user2, reply, user1), true},
		{"messages, a result", wire.ShapeMessages, m(user1), m(user1, use, result), true},
		{"messages, after a result", wire.ShapeMessages, m(user1, use, result), m(user1, use, result, reply, user2), true},
		{"messages, the mark moves", wire.ShapeMessages, m(blocks), m(user1, use, marked), true},
		{"messages, the mark moves again", wire.ShapeMessages, m(user1, use, marked), m(user1, use, result, reply, blocks), true},
		{"messages, images", wire.ShapeMessages, m(image), m(image, reply, user2), true},
		{"messages, tools", wire.ShapeMessages, tooled(m(user1), "f"), tooled(m(user1, reply, user2), "f"), true},
		{"messages, other tools", wire.ShapeMessages, tooled(m(user1), "f"), tooled(m(user1, reply, user2), "great"), false},
		{"messages, repeated", wire.ShapeMessages, m(user1), m(user1), false},
		{"messages, edited", wire.ShapeMessages, m(user1, reply, user2), m(user1, use, result, reply, user2), false},
		{"messages, another image count", wire.ShapeMessages, m(user1, image), m(user1, reply, user2), false},
		{"messages, a turn skipped", wire.ShapeMessages, m(user1), m(user1, reply, user2, reply, user1), false},
		{"count_tokens", wire.ShapeCountTokens, m(user1), m(user1, reply, user2), true},

		{"responses", wire.ShapeResponses, r(user1), r(user1, said, user2), true},
		{"responses, an answer of several items", wire.ShapeResponses, r(user1), r(user1, reason, called, called2, output, output2), true},
		{"responses, after results", wire.ShapeResponses, r(user1, reason, called, output), r(user1, reason, called, output, reason, said, user2), true},
		{"responses, repeated", wire.ShapeResponses, r(user1, called, output), r(user1, called, output), false},
		{"responses, edited", wire.ShapeResponses, r(user1), r(user2, said, user2), false},
		{"responses, a turn skipped", wire.ShapeResponses, r(user1), r(user1, called, output, said, user2), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			this, _ := keysOf(t, tt.shape, tt.before)
			_, earlier := keysOf(t, tt.shape, tt.after)
			if (this == earlier) != tt.follows {
				t.Errorf("follows is %v, want %v", this == earlier, tt.follows)
			}
			if this == 0 {
				t.Error("a request without a key")
			}
		})
	}
	// Each of these is a request, and no conversation.
	for shape, body := range map[wire.Shape]string{
		wire.ShapeEmbeddings: `{"model":"m","input":["a"]}`, wire.ShapeCompletions: `{"model":"m","prompt":"a"}`,
		wire.ShapeResponses: `{"model":"m","prompt":{"id":"p"}}`,
	} {
		if this, earlier := keysOf(t, shape, body); this != 0 || earlier != 0 {
			t.Errorf("%s has the keys %x, %x", body, this, earlier)
		}
	}
}

// The text of the last user turn is counted in every API.
func TestTurnBytesOfShapes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		shape       wire.Shape
		body        string
		turn, texts int
	}{
		{wire.ShapeMessages, `{"model":"m","max_tokens":1,"system":"abc","messages":[{"role":"user","content":"defgh"}]}`, 5, 8},
		{wire.ShapeMessages, `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"ab"},{"role":"user","content":[{"type":"tool_result","content":"xyz"}]}]}`, 2, 5},
		{wire.ShapeResponses, `{"model":"m","input":"abc","instructions":"d"}`, 3, 4},
		{wire.ShapeResponses, `{"model":"m","input":[{"role":"user","content":"abc"},{"type":"function_call_output","output":"de"}]}`, 3, 5},
		{wire.ShapeCompletions, `{"model":"m","prompt":"abc"}`, 3, 3},
		{wire.ShapeEmbeddings, `{"model":"m","input":["abc","de"]}`, 5, 5},
	} {
		var f wire.Facts
		if p := wire.ScanShape(tt.shape, nil, []byte(tt.body), &f); p != nil {
			t.Fatal(p)
		}
		if f.TurnBytes != tt.turn || f.TextBytes != tt.texts {
			t.Errorf("%s: %d of %d bytes, want %d of %d", tt.body, f.TurnBytes, f.TextBytes, tt.turn, tt.texts)
		}
	}
}

// routing_config means the same wherever it stands.
func TestRoutingConfigOfShapes(t *testing.T) {
	t.Parallel()
	const config = `"routing_config":{"mode":"cost","models":["a",{"name":"b","version":"1"}],"require_parameters":true,"trace":true,` +
		`"session_affinity":{"strategy":"sticky","session_id":"s"}}`
	for shape, rest := range shapes {
		var f wire.Facts
		body := []byte(`{"model":"m",` + config + `,` + rest + `}`)
		if p := wire.ScanShape(shape, nil, body, &f); p != nil {
			t.Fatalf("shape %d: %v", shape, p)
		}
		r := f.Routing
		if string(r.Mode) != "cost" || len(r.Models) != 2 || string(r.Models[1].Version) != "1" || !r.RequireParameters || !r.Trace ||
			string(f.SessionID) != "s" || f.SessionStrategy != wire.StrategySticky {
			t.Errorf("shape %d: %+v, session %q %v", shape, r, f.SessionID, f.SessionStrategy)
		}
		if got, want := string(wire.AppendRewrite(nil, body, &f, wire.Edit{Model: "n"})), `{"model":"n",`+rest+`}`; got != want {
			t.Errorf("shape %d: sent %s, want %s", shape, got, want)
		}
		for config, param := range map[string]string{
			`{"mode":1}`: "routing_config.mode", `{"model":"a"}`: "routing_config.model", `[]`: "routing_config",
			`{"models":[{"version":"1"}]}`: "routing_config.models[0].name", `{"trace":true,"trace":true}`: "routing_config.trace",
		} {
			p := wire.ScanShape(shape, nil, []byte(`{"model":"m",`+rest+`,"routing_config":`+config+`}`), &f)
			if p == nil || p.Status != 400 || p.Param != param {
				t.Errorf("shape %d, %s: problem %v", shape, config, p)
			}
		}
	}
}

// shapes is the rest of a request of each shape, beside its model.
var shapes = map[wire.Shape]string{
	wire.ShapeChat:        `"messages":[{"role":"user","content":"hi"}]`,
	wire.ShapeMessages:    `"max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`,
	wire.ShapeCountTokens: `"messages":[{"role":"user","content":"hi"}]`,
	wire.ShapeResponses:   `"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"function_call","name":"f","arguments":"{}"}]`,
	wire.ShapeCompletions: `"prompt":["a","b"]`,
	wire.ShapeEmbeddings:  `"input":[[1,2],[3]]`,
}

// No shape costs memory, once the buffers have grown.
func TestShapesDoNotAllocate(t *testing.T) {
	for shape, rest := range shapes {
		body := []byte(`{"model":"m","routing_config":{"mode":"cost","models":["a"]},` + rest + `}`)
		var f wire.Facts
		dst := make([]byte, 0, 1024)
		run := func() {
			if p := wire.ScanShape(shape, nil, body, &f); p != nil {
				t.Fatal(p)
			}
			f.TurnKeys(body)
			dst = wire.AppendRewrite(dst[:0], body, &f, wire.Edit{Model: "other", Drop: []string{"temperature"}})
		}
		run()
		if n := testing.AllocsPerRun(100, run); n > 0 {
			t.Errorf("shape %d: %v allocations", shape, n)
		}
	}
}

// A step that edits a body for a fallback takes what any shape has passed.
func TestScanFieldsTakesEveryShape(t *testing.T) {
	t.Parallel()
	for shape, rest := range shapes {
		body := []byte(`{"model":"m","N":1,"Functions":[],` + rest + `}`)
		var f wire.Facts
		if wire.ScanShape(shape, nil, body, &f) != nil {
			continue // chat completions have these fields
		}
		if p := wire.ScanFields(body, &f); p != nil {
			t.Errorf("shape %d: %v", shape, p)
		}
	}
}
