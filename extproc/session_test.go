package extproc_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"wye/affinity"
	"wye/extproc"
	"wye/router"
)

// talk is a conversation of user turns of about 1,500 tokens each, all but the
// last answered.
func talk(deployment string, turns int, edit ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"model":%q,"messages":[{"role":"system","content":"s"}`, deployment)
	for i := range turns {
		if i > 0 {
			fmt.Fprintf(&b, `,{"role":"assistant","content":"answer %d"}`, i)
		}
		fmt.Fprintf(&b, `,{"role":"user","content":"turn %d %s"}`, i, strings.Repeat("of the long talk ", 500))
	}
	return strings.NewReplacer(edit...).Replace(b.String() + `]}`)
}

// mover prefers the model whose index it is told, by much more than hysteresis
// in quality, at a rate at which the cache of a long prompt outweighs that.
type mover struct {
	fixedScorer
	best *router.ModelIndex
	rate float64
}

func (m mover) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i, model := range models {
		out[i] = router.Estimate{Quality: 0.5}
		if model == *m.best {
			out[i].Quality = 0.6
		}
	}
	return m.rate
}

// affine is a snapshot of two equally priced models, each at two backends.
func affine(t *testing.T, best *router.ModelIndex, rate float64) *router.Snapshot {
	t.Helper()
	all := router.ModeSet(0).With(router.ModeBalanced)
	deployment := func(name string, a router.Affinity) router.Deployment {
		return router.Deployment{
			Name: name, Mode: router.ModeBalanced, AllowedModes: all, Subset: []router.ModelIndex{0, 1}, MaxAttempts: 1,
			Scorer: mover{best: best, rate: rate}, Affinity: a,
		}
	}
	price := router.Price{Input: 10, CachedInput: 1, Output: 10}
	s, err := router.NewSnapshot(router.Config{
		Hash:   "p1",
		Models: []router.Model{{Name: "a", Price: price}, {Name: "b", Price: price}},
		Backends: []router.Backend{
			{Name: "a1", Model: 0, SendAs: "a@1"},
			{Name: "a2", Model: 0, SendAs: "a@2"},
			{Name: "b1", Model: 1, SendAs: "b@1"},
			{Name: "b2", Model: 1, SendAs: "b@2"},
		},
		Deployments: []router.Deployment{
			deployment("adaptive", router.Affinity{}),
			deployment("other", router.Affinity{}),
			deployment("sticky", router.Affinity{Strategy: router.AffinitySticky, Idle: time.Minute}),
			deployment("none", router.Affinity{Strategy: router.AffinityNone}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rig is a server whose clock and whose best model a test moves.
type rig struct {
	t      *testing.T
	conn   *grpc.ClientConn
	best   router.ModelIndex
	now    time.Duration
	table  *affinity.Table
	events []router.Turn
}

func newRig(t *testing.T, rate float64) *rig {
	t.Helper()
	r := &rig{t: t}
	r.table = affinity.New(1000, func() time.Duration { return r.now })
	router := new(router.Router)
	router.Swap(affine(t, &r.best, rate))
	_, r.conn = start(t, extproc.Config{Router: router, Affinity: r.table, Observer: extproc.Observer{
		Decision: func(e *extproc.Event) { r.events = append(r.events, e.Request.Turn) },
	}})
	return r
}

// ask returns what the provider would read as the model.
func (r *rig) ask(request string, headers ...string) string {
	r.t.Helper()
	got, err := exchange(r.t, r.conn, false, chat(len(request), headers...), body(request, true))
	sent := readRouted(r.t, got, err).Body
	model, _, _ := strings.Cut(strings.TrimPrefix(sent, `{"model":"`), `"`)
	return model
}

func (r *rig) expect(what, got, want string) {
	r.t.Helper()
	if got[:1] != want {
		r.t.Errorf("%s: %s, want model %s", what, got, want)
	}
}

// At $10 a million tokens a cached prefix of 1,500 saves $0.0135, so quality of
// 0.1 is worth less than it from 7.4 a dollar on.
func TestConversationStaysWhileItPays(t *testing.T) {
	t.Parallel()
	r := newRig(t, 15)
	r.best = 0
	first := r.ask(talk("adaptive", 1))
	r.expect("turn 1", first, "a")
	r.best = 1
	r.expect("another conversation", r.ask(talk("adaptive", 1, "turn 0", "turn x")), "b")
	for turn := 2; turn <= 4; turn++ {
		if got := r.ask(talk("adaptive", turn)); got != first {
			t.Errorf("turn %d: %s, want %s", turn, got, first)
		}
	}
	r.expect("the same turn again", r.ask(talk("adaptive", 4)), "a")
	r.expect("a branch of the second turn", r.ask(talk("adaptive", 2, "turn 1", "turn z")), "a")
	r.expect("an edited history", r.ask(talk("adaptive", 4, "answer 1", "ANSWER 1", "turn 2", "turn two")), "b")
	r.expect("another deployment", r.ask(talk("other", 4)), "b")
	r.expect("affinity off", r.ask(talk("none", 4)), "b")
}

func TestConversationMovesWhenItPays(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.best = 0
	r.expect("turn 1", r.ask(talk("adaptive", 1)), "a")
	r.best = 1
	r.expect("turn 2", r.ask(talk("adaptive", 2)), "b")
	r.best = 0
	r.expect("turn 3", r.ask(talk("adaptive", 3)), "a")

	r.best = 0
	r.expect("sticky turn 1", r.ask(talk("sticky", 1)), "a")
	r.best = 1
	r.expect("sticky turn 2", r.ask(talk("sticky", 2)), "a")
	r.now += time.Minute
	r.expect("sticky turn 3, just in time", r.ask(talk("sticky", 3)), "a")
	r.now += time.Minute + 1
	r.expect("sticky turn 4, too late", r.ask(talk("sticky", 4)), "b")
}

// What is too short to be cached keeps nobody.
func TestShortPromptIsNotCached(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1000)
	short := strings.Repeat("of the long talk ", 500)
	r.best = 0
	r.expect("turn 1", r.ask(talk("adaptive", 1, short, "")), "a")
	r.best = 1
	r.expect("turn 2", r.ask(talk("adaptive", 2, short, "")), "b")
}

func TestNamedConversation(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"x-wye-session", "x-ms-session-id"} {
		r := newRig(t, 1)
		r.best = 0
		r.expect("first", r.ask(talk("sticky", 1), header, "häuschen"), "a")
		r.best = 1
		r.expect("whatever is said", r.ask(talk("sticky", 1, "turn 0", "something else"), header, "häuschen"), "a")
		r.expect("another name", r.ask(talk("sticky", 1), header, "hütte"), "b")
		r.expect("the name in another deployment", r.ask(talk("adaptive", 1), header, "häuschen"), "b")
		// A name spreads conversations over backends, whatever they say.
		seen := map[string]bool{}
		for i := range 20 {
			name := fmt.Sprint("conversation ", i)
			where := r.ask(talk("none", 1), header, name)
			seen[where] = true
			if again := r.ask(talk("none", 3), header, name); again != where {
				t.Errorf("%s went to %s, then to %s", name, where, again)
			}
		}
		if len(seen) != 2 {
			t.Errorf("20 conversations went to %v", seen)
		}
	}
	r := newRig(t, 1)
	r.best = 0
	r.ask(talk("sticky", 1), "x-wye-session", "one", "x-ms-session-id", "two")
	r.best = 1
	r.expect("ours comes first", r.ask(talk("sticky", 1), "x-ms-session-id", "three", "x-wye-session", "one"), "a")
	r.expect("the other counts for nothing", r.ask(talk("sticky", 1), "x-ms-session-id", "two"), "b")
}

// What the body says of the session comes before the headers.
func TestSessionInTheBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	in := func(deployment, affinity, text string) string {
		return strings.Replace(talk(deployment, 1, "turn 0", text), `,"messages"`,
			`,"routing_config":{"session_affinity":`+affinity+`},"messages"`, 1)
	}
	r.best = 0
	r.expect("first", r.ask(in("sticky", `{"session_id":"s"}`, "a"), "x-wye-session", "other"), "a")
	r.best = 1
	r.expect("same session", r.ask(in("sticky", `{"session_id":"s"}`, "b")), "a")
	r.expect("same name in a header", r.ask(talk("sticky", 1, "turn 0", "c"), "x-wye-session", "s"), "a")
	r.expect("the header of the first", r.ask(talk("sticky", 1, "turn 0", "d"), "x-wye-session", "other"), "b")

	r.best = 0
	r.expect("adaptive", r.ask(talk("adaptive", 1), "x-wye-session", "t"), "a")
	r.best = 1
	r.expect("asks for sticky", r.ask(in("adaptive", `{"session_id":"t","strategy":"sticky"}`, "e")), "a")
	r.expect("asks for none", r.ask(in("sticky", `{"session_id":"s","strategy":"none"}`, "f")), "b")
}

func TestBadSessionNames(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	for _, header := range []string{"x-wye-session", "x-ms-session-id"} {
		for name, pairs := range map[string][]string{
			"empty":     {header, ""},
			"too long":  {header, strings.Repeat("ä", 257)},
			"not UTF-8": {header, "a\xff"},
			"twice":     {header, "a", header, "a"},
		} {
			got, err := exchange(t, conn, false, chat(len(question), pairs...), body(question, true))
			r := readRefusal(t, got, err)
			if r.Status != http.StatusBadRequest || !strings.Contains(r.Body, `"code":"invalid_session"`) || !strings.Contains(r.Body, header) {
				t.Errorf("%s: %+v", name, r)
			}
		}
		got, err := exchange(t, conn, false, chat(len(question), header, strings.Repeat("ä", 256)), body(question, true))
		readRouted(t, got, err)
	}
}

// Whoever learns what became of a request corrects the memory by its Turn.
func TestTurnIsToldToTheObserver(t *testing.T) {
	t.Parallel()
	r := newRig(t, 15)
	r.best = 0
	r.expect("turn 1", r.ask(talk("adaptive", 1)), "a")
	turn := r.events[0]
	if turn.Content == 0 || turn.Named != 0 {
		t.Fatalf("turn %+v", turn)
	}
	r.table.Correct(turn.Content, affinity.Place{Model: router.Key("b"), Backend: router.Key("b2"), Tokens: 1500})
	if got := r.ask(talk("adaptive", 2)); got != "b@2" {
		t.Errorf("after a correction turn 2 goes to %s", got)
	}
	r.table.Forget(r.events[1].Content)
	r.expect("turn 3, after a failure", r.ask(talk("adaptive", 3)), "a")
	r.ask(talk("adaptive", 1), "x-wye-session", "s")
	r.ask(talk("none", 1), "x-wye-session", "s")
	if got := r.events[3]; got.Named == 0 || got.Content != turn.Content {
		t.Errorf("named: %+v", got)
	}
	if got := r.events[4]; got != (router.Turn{}) {
		t.Errorf("off: %+v", got)
	}
}
