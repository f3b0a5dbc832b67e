package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

// A conversation stays with its model in Messages, wherever the client puts its
// cache marks, and in Responses, whose answers have several items.
func testConversationOfAPIs(t *testing.T, s *rig.Stack) {
	const sticky = `,"routing_config":{"mode":"cost","session_affinity":{"strategy":"sticky"}}`
	for _, tt := range []struct {
		name, path, before, after string
		models                    [2]string
	}{
		{
			"messages", "/v1/messages",
			`{"model":"messages","max_tokens":50,"system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":"TURN","cache_control":{"type":"ephemeral"}}]}]CONTROL}`,
			`{"model":"messages","max_tokens":50,"system":"Be brief.","messages":[{"role":"user","content":"TURN"},{"role":"assistant","content":[{"type":"text","text":"Well."}]},
			{"role":"user","content":[{"type":"text","text":"And then?","cache_control":{"type":"ephemeral"}}]}]CONTROL}`,
			[2]string{"claude", "claudette"},
		},
		{
			"responses", "/v1/responses",
			`{"model":"responses","input":[{"role":"user","content":"TURN"}]CONTROL}`,
			`{"model":"responses","input":[{"role":"user","content":"TURN"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},
			{"type":"function_call","call_id":"d","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"42"},
			{"type":"function_call_output","call_id":"d","output":"43"}]CONTROL}`,
			[2]string{"large", "medium"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			served := func(text, turn, control string) string {
				t.Helper()
				id := rig.ID()
				got := ask(t, s, tt.path, strings.NewReplacer("TURN", turn, "CONTROL", control).Replace(text), rig.IDHeader, id)
				seen := s.Find(id)
				if got.Status != http.StatusOK || len(seen) != 1 {
					t.Fatalf("status %d, %d attempts: %s", got.Status, len(seen), got.Body)
				}
				return seen[0].Backend
			}
			turn := rig.ID() + " is my code. Prove that a greedy schedule of the jobs below is optimal."
			unaided := served(tt.after, rig.ID()+" is another.", sticky)
			// It begins with the model that would not get it.
			other := tt.models[0]
			if strings.HasPrefix(unaided, other+"-") {
				other = tt.models[1]
			}
			first := served(tt.before, turn, `,"routing_config":{"models":["`+other+`"]}`)
			if first == unaided {
				t.Fatalf("%s, asked for %s, serves either way", first, other)
			}
			if got := served(tt.after, turn, sticky); got != first {
				t.Errorf("the conversation went to %s, then to %s", first, got)
			}
		})
	}
	// In the older completions and in embeddings the restriction of models holds, too.
	for path, rest := range map[string]string{"/v1/completions": `"prompt":"Once"`, "/v1/embeddings": `"input":"a"`} {
		id := rig.ID()
		got := ask(t, s, path, `{"model":"legacy","routing_config":{"models":["completer"]},`+rest+`}`, rig.IDHeader, id)
		seen := s.Find(id)
		if got.Status != http.StatusOK || len(seen) != 1 || string(seen[0].Body) != `{"model":"completer",`+rest+`}` {
			t.Errorf("%s: status %d, requests %+v: %s", path, got.Status, seen, got.Body)
		}
	}
}
