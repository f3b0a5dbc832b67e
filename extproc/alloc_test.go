//go:build !race

package extproc

import (
	"testing"

	"wye/limits"
	"wye/policies"
	"wye/router"
)

// Under the race detector sync.Pool forgets at random, hence the build tag.
func TestRouteDoesNotAllocate(t *testing.T) {
	for _, size := range []int{2 << 10, 32 << 10} {
		route := routing(t, prompt(size))
		route()
		if n := testing.AllocsPerRun(100, route); n > 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

// Nor does a request of any other API.
func TestRouteOfEveryAPIDoesNotAllocate(t *testing.T) {
	policy, err := policies.Parse("policy.yaml", []byte(`backends:
- {name: a, model: gpt-5, address: "127.0.0.1:1", apis: [messages, count_tokens, responses, completions, embeddings]}
deployments: [{name: auto, subset: [gpt-5]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for api, rest := range map[router.API]string{
		router.APIMessages:    `"max_tokens":64,"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]`,
		router.APICountTokens: `"messages":[{"role":"user","content":"hi"}]`,
		router.APIResponses:   `"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},{"type":"function_call","name":"f","arguments":"{}"}]`,
		router.APICompletions: `"prompt":"hi"`,
		router.APIEmbeddings:  `"input":["hi"]`,
	} {
		route := routingFor(t, policy, api, `{"model":"auto","routing_config":{"mode":"quality"},`+rest+`}`)
		route()
		if n := testing.AllocsPerRun(100, route); n > 0 {
			t.Errorf("%v: %v allocations", api, n)
		}
	}
}

// Limits cost no memory either.
func TestLimitsDoNotAllocate(t *testing.T) {
	st := &stream{}
	st.standing[limits.Requests].Limit, st.standing[ofCaller+limits.Tokens].Limit = 10, 1000
	st.standing[ofCaller+limits.Tokens].Reset = 61e9
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { dst = st.eachLimit(dst[:0], appendStringField[[]byte]) }); n > 0 || len(dst) == 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCallersDoNotAllocate(t *testing.T) {
	l := limits.New(nil)
	sent := []header{{[]byte(":path"), []byte("/")}, {[]byte("x-team"), []byte("red")}, {[]byte("x-user"), []byte("one")}}
	names := []string{"x-team", "x-user"}
	var f requestFacts
	take := func() {
		f.reset()
		if p := f.takeCallers(sent, names, l); p != nil {
			t.Fatal(p)
		}
	}
	take()
	if n := testing.AllocsPerRun(100, take); n > 0 || f.callerOf("x-user") != l.Caller([]byte("one")) {
		t.Errorf("%v allocations, %v", n, f.callers)
	}
}

func TestBudgetDoesNotAllocate(t *testing.T) {
	s := New(Config{Router: new(router.Router)})
	defer s.Close()
	d := &router.Deployment{Name: "d", Budget: router.Budget{USDPerDay: 1, Balanced: 0.5, Cost: 0.9}}
	st := &stream{server: s}
	st.decision = router.Decision{Deployment: d, Stepped: true, Mode: router.ModeBalanced, Candidates: []router.Candidate{{Cost: 0.01}}}
	use := func() {
		st.heedBudget(d)
		st.reserveCost()
		_ = st.appendBudget(st.limitText[:0])
	}
	use()
	if n := testing.AllocsPerRun(100, use); n > 0 || st.request.BudgetUsed == 0 {
		t.Errorf("%v allocations", n)
	}
}
