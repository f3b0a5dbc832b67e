package usage_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"wye/envoy"
	"wye/internal/loglines"
	"wye/router"
	"wye/usage"
)

// fixed is a scorer that says the same of every prompt, by model index.
type fixed []float32

func (f fixed) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i, m := range models {
		out[i] = router.Estimate{Quality: f[m], Uncertainty: 0.1, OutputTokens: 100}
	}
	return 1000
}

func (fixed) Version() string { return "fixed-1" }

// snapshot has a cheap, a middling and a dear model; the middling one is the best.
func snapshot(t testing.TB, hash string, usageOf router.Usage) *router.Snapshot {
	t.Helper()
	s, err := router.NewSnapshot(router.Config{
		Hash: hash, Usage: usageOf,
		Models: []router.Model{
			{Name: "cheap", ServedAs: "cheap-1", Price: router.Price{Input: 1, CachedInput: 0.1, Output: 2}},
			{Name: "middling", Price: router.Price{Input: 10, CachedInput: 1, Output: 20}},
			{Name: "dear", Price: router.Price{Input: 100, CachedInput: 10, Output: 200, LongContextTokens: 1000, LongContextInput: 200, LongContextOutput: 300}},
			{Name: "seeing", Capabilities: router.CapVision},
		},
		Backends: []router.Backend{
			{Name: "c", Model: 0, Zone: "eu", Weight: 1},
			{Name: "m", Model: 1, Zone: "us", Weight: 1},
			{Name: "d", Model: 2, Zone: "us", Weight: 1},
			{Name: "v", Model: 3, Zone: "us", Weight: 1},
		},
		Deployments: []router.Deployment{{
			Name: "chat", Mode: router.ModeCost, AllowedModes: router.ModeSet(0).With(router.ModeCost).With(router.ModeQuality),
			Subset: []router.ModelIndex{0, 1, 2}, MaxAttempts: 3, Timeout: time.Minute, Scorer: fixed{0.5, 0.9, 0.8, 0}, Single: 2,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// entry is what Envoy reports of a request that backend served.
func entry(id, policy, backend, object string) loglines.Line {
	l := loglines.Line{At: time.Unix(1_800_000_000, 0)}
	for f, value := range map[envoy.LogField]string{
		envoy.LogDecision: id, envoy.LogDeployment: "chat", envoy.LogMode: "cost", envoy.LogPolicy: policy,
		envoy.LogBackend: backend, envoy.LogModel: "version-of-" + backend, envoy.LogZone: "zone-of-" + backend,
		envoy.LogAttempts: "1", envoy.LogStatus: "200", envoy.LogDetails: "via_upstream", envoy.LogFirst: "300000", envoy.LogTotal: "2000000",
		envoy.LogElapsed: "2001", envoy.LogType: "application/json", envoy.LogTraceParent: "00-1-2-03", envoy.LogCaller: "red", envoy.LogUsage: object,
	} {
		l.Field[f] = value
	}
	return l
}

// export hands lines to the sink as Envoy does.
func export(t testing.TB, sink *usage.Sink, lines ...loglines.Line) {
	t.Helper()
	if err := sink.Export(loglines.Batch(lines...)); err != nil {
		t.Fatal(err)
	}
}

const object = `{"prompt_tokens":100,"completion_tokens":10,"prompt_tokens_details":{"cached_tokens":40}}`

// collected gathers records.
type collected struct {
	mu  sync.Mutex
	all []*usage.Record
}

func (c *collected) add(r *usage.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, r)
}

func newSink(t testing.TB, c usage.Config) (*usage.Sink, *collected, *clock) {
	t.Helper()
	got, now := new(collected), &clock{now: time.Unix(1_800_000_000, 0)}
	c.Readers, c.Now = append(c.Readers, got.add), now.Now
	return usage.NewSink(c), got, now
}

// decide routes req under s and tells the sink.
func decide(t testing.TB, sink *usage.Sink, s *router.Snapshot, id string, req router.Request) {
	t.Helper()
	var d router.Decision
	req.Deployment = []byte("chat")
	_ = s.Route(&req, &d) // a refusal is noted as well
	sink.Decided([]byte(id), s, &req, &d, 1234, 50*time.Microsecond)
}

func closeTo(a *float64, b float64) bool { return a != nil && math.Abs(*a-b) < 1e-15 }

func TestRecord(t *testing.T) {
	t.Parallel()
	sink, got, _ := newSink(t, usage.Config{})
	s := snapshot(t, "p1", router.Usage{CallerHeader: "x-team"})
	sink.Policy(s)
	decide(t, sink, s, "1234567890abcdef", router.Request{
		PromptTokens: 90, PromptTokensMax: 120, Hash: 7, Mode: router.ModeQuality,
		Text:    router.Text{User: []byte("a secret"), Bytes: 300, Turns: 2},
		Session: router.Session{Model: router.Key("cheap"), Backend: router.Key("c"), CachedTokens: 50}, Affinity: router.AffinitySticky,
		Turn: router.Turn{Content: 1, Named: 2},
	})
	export(t, sink, entry("1234567890abcdef", "p1", "c", object))
	if len(got.all) != 1 {
		t.Fatalf("%d records", len(got.all))
	}
	r := got.all[0]
	if r.Deployment != "chat" || r.Policy != "p1" || r.Predictor != "fixed-1" || r.Caller != "red" || r.Status != 200 ||
		r.TraceParent != "00-1-2-03" || r.FirstSeconds != 0.3 || r.TotalSeconds != 2 || r.DecisionSeconds != 50e-6 {
		t.Errorf("record %+v", r)
	}
	if want := (usage.Tokens{Prompt: 100, Cached: 40, Completion: 10}); r.Usage == nil || *r.Usage != want || r.Unknown != "" {
		t.Errorf("usage %+v %s", r.Usage, r.Unknown)
	}
	if want := (usage.Place{Model: "cheap", Version: "version-of-c", Backend: "c", Zone: "zone-of-c"}); r.Served == nil || *r.Served != want {
		t.Errorf("served %+v", r.Served)
	}
	// 60 new tokens, 40 cached, 10 out, at the served, the single and the top model.
	for name, v := range map[string]struct {
		got  *float64
		want float64
	}{
		"cost": {r.CostUSD, (60*1 + 40*0.1 + 10*2) / 1e6}, "single": {r.SingleUSD, (60*100 + 40*10 + 10*200) / 1e6}, "top": {r.TopUSD, (60*10 + 40*1 + 10*20) / 1e6},
	} {
		if !closeTo(v.got, v.want) {
			t.Errorf("%s $%v, want $%v", name, v.got, v.want)
		}
	}
	in := r.Inputs
	if in == nil || in.PromptTokens != 90 || in.PromptTokensMax != 120 || in.Hash != "0000000000000007" || in.TextBytes != 300 ||
		in.Turns != 2 || in.BodyBytes != 1234 || in.Text != nil || in.Mode != "quality" {
		t.Errorf("inputs %+v", in)
	}
	if want := (usage.Session{Model: "cheap", Backend: "c", CachedTokens: 50}); in.Session == nil || *in.Session != want || in.Affinity != "sticky" {
		t.Errorf("session %+v, affinity %q", in.Session, in.Affinity)
	}
	if want := (router.Turn{Content: 1, Named: 2}); r.Turn() != want {
		t.Errorf("turn %+v", r.Turn())
	}
	if c := r.Candidates[0]; c.Model != "cheap" || !c.Incumbent || c.CachedTokens != 50 {
		t.Errorf("the conversation's model is %+v", c)
	}
	if len(r.Candidates) != 3 || r.Candidates[0].Quality == 0 || r.Candidates[0].CostUSD == 0 || len(r.Chain) != 3 {
		t.Errorf("candidates %+v, chain %+v", r.Candidates, r.Chain)
	}
	if c := sink.Counts(); c != (usage.Counts{Entries: 1}) {
		t.Errorf("counts %+v", c)
	}
}

// A brief record has what everybody but the decision log wants.
func TestBrief(t *testing.T) {
	t.Parallel()
	sink, got, _ := newSink(t, usage.Config{Brief: true})
	s := snapshot(t, "p1", router.Usage{})
	sink.Policy(s)
	decide(t, sink, s, "a", router.Request{PromptTokens: 90, Turn: router.Turn{Content: 1}})
	export(t, sink, entry("a", "p1", "c", object))
	r := got.all[0]
	if len(r.Candidates) != 0 || len(r.Chain) != 0 {
		t.Errorf("candidates %v, chain %v", r.Candidates, r.Chain)
	}
	if r.Inputs.PromptTokens != 90 || r.Turn().Content != 1 || r.TopUSD == nil || r.SingleUSD == nil || r.Predictor == "" {
		t.Errorf("%+v", r)
	}
}

// What an entry says of an answer without usage.
func TestUnknown(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		field envoy.LogField
		value string
		want  usage.Unknown
	}{
		{"complete", envoy.LogUsage, "", usage.Unreported},
		{"broken off", envoy.LogFlags, "DC", usage.Interrupted},
		{"before it began", envoy.LogFirst, "", usage.Interrupted},
		{"compressed", envoy.LogCoding, "br", usage.Compressed},
		{"identity", envoy.LogCoding, "identity", usage.Unreported},
		{"an error", envoy.LogStatus, "500", usage.NoAnswer},
		{"refused", envoy.LogBackend, "", usage.NoAnswer},
		{"nonsense", envoy.LogUsage, "{}", usage.Implausible},
		{"separators", envoy.LogUsage, "\x1f\x1f", usage.Implausible},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sink, got, _ := newSink(t, usage.Config{})
			export(t, sink, entry("id", "p1", "c", "").With(tt.field, tt.value))
			if r := got.all[0]; r.Unknown != tt.want || r.Usage != nil {
				t.Error(r)
			}
		})
	}
}

// An Anthropic stream that is cut off has said what its input was, and not its
// output: what is known is no usage.
func TestCutMessages(t *testing.T) {
	t.Parallel()
	const start, delta = `{"input_tokens":25,"output_tokens":1}`, `{"output_tokens":15}`
	for _, tt := range []struct {
		name, object, flags, kind string
		want                      usage.Unknown
	}{
		{"cut", start, "UC", "text/event-stream", usage.Interrupted},
		{"the client left after the end", start + "\x1e" + delta, "DC", "text/event-stream", ""},
		{"one object, and whole", start, "", "text/event-stream", ""},
		{"no stream", start, "DC", "application/json", ""},
		{"a stream of Responses", `{"input_tokens":25,"output_tokens":1,"total_tokens":26}`, "DC", "text/event-stream", ""},
	} {
		sink, got, _ := newSink(t, usage.Config{})
		export(t, sink, entry("id", "p1", "c", tt.object).With(envoy.LogFlags, tt.flags).With(envoy.LogType, tt.kind))
		if r := got.all[0]; r.Unknown != tt.want || (r.Usage == nil) != (tt.want != "") {
			t.Errorf("%s: %v", tt.name, r)
		}
	}
}

// A refusal has no attempt, and times of its own.
func TestRefusal(t *testing.T) {
	t.Parallel()
	sink, got, _ := newSink(t, usage.Config{})
	s := snapshot(t, "p1", router.Usage{})
	sink.Policy(s)
	decide(t, sink, s, "refused", router.Request{Needs: router.CapVision})
	refused := loglines.Line{At: time.Unix(5, 0)}.With(envoy.LogDecision, "refused").With(envoy.LogDeployment, "chat").
		With(envoy.LogPolicy, "p1").With(envoy.LogStatus, "400").With(envoy.LogDetails, "wye_no_candidate").With(envoy.LogElapsed, "3")
	export(t, sink, refused, loglines.Line{})
	if len(got.all) != 1 {
		t.Fatalf("%d records", len(got.all))
	}
	r := got.all[0]
	if r.Status != 400 || r.TotalSeconds != 0.003 || r.Time.Unix() != 5 || r.Details != "wye_no_candidate" || r.Unknown != usage.NoAnswer || r.Served != nil || len(r.Candidates) != 3 ||
		r.Candidates[0].Eliminated != "lacks a capability" || r.Candidates[0].Lacks != "vision" || r.CostUSD != nil {
		t.Errorf("%+v", r)
	}
	if c := sink.Counts(); c.Strangers != 1 || c.Entries != 2 {
		t.Errorf("counts %+v", c)
	}
}

// A late record is priced by the policy that decided it, even when the decision
// itself is forgotten; without its policy it is not priced at all.
func TestLateRecord(t *testing.T) {
	t.Parallel()
	sink, got, now := newSink(t, usage.Config{})
	old := snapshot(t, "old", router.Usage{})
	sink.Policy(old)
	decide(t, sink, old, "a", router.Request{})
	decide(t, sink, old, "b", router.Request{})
	changed := snapshot(t, "new", router.Usage{})
	changed.Models[0].Price.Input = 1000
	sink.Policy(changed)
	export(t, sink, entry("a", "old", "c", object))
	now.add(10 * time.Minute) // more than any timeout
	export(t, sink,
		entry("b", "old", "c", object), entry("c", "new", "c", object), entry("d", "forgotten", "c", object), entry("e", "new", "elsewhere", object),
	)
	if c := sink.Counts(); c.Undecided != 3 || c.Pending != 0 {
		t.Errorf("counts %+v", c)
	}
	at := (60*1 + 40*0.1 + 10*2) / 1e6
	for i, want := range []float64{at, at, at + 60*999/1e6} {
		if r := got.all[i]; !closeTo(r.CostUSD, want) {
			t.Errorf("record %d costs $%v, want $%v", i, r.CostUSD, want)
		}
	}
	for _, r := range got.all[3:] {
		if r.CostUSD != nil || r.Usage == nil {
			t.Errorf("%+v", r)
		}
	}
}

// The table of decisions is bounded in number and age, and says what it gave up.
func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	sink, _, now := newSink(t, usage.Config{MaxPending: 10})
	s := snapshot(t, "p1", router.Usage{})
	sink.Policy(s)
	for i := range 25 {
		decide(t, sink, s, fmt.Sprint("id", i), router.Request{})
	}
	if c := sink.Counts(); c.Pending != 10 || c.Crowded != 15 || c.Expired != 0 {
		t.Errorf("counts %+v", c)
	}
	export(t, sink, entry("id24", "p1", "c", object), entry("id14", "p1", "c", object), entry("id20", "p1", "c", object))
	if c := sink.Counts(); c.Pending != 8 || c.Undecided != 1 {
		t.Errorf("counts %+v", c)
	}
	now.add(2*time.Minute + time.Second) // the deployment's timeout and a margin
	decide(t, sink, s, "late", router.Request{})
	if c := sink.Counts(); c.Pending != 1 || c.Expired != 8 {
		t.Errorf("counts %+v", c)
	}
	decide(t, sink, s, "late", router.Request{}) // the same id again
	decide(t, sink, s, strings.Repeat("x", 33), router.Request{})
	sink.Decided(nil, nil, new(router.Request), new(router.Decision), 0, 0)
	off := snapshot(t, "p2", router.Usage{Off: true})
	decide(t, sink, off, "off", router.Request{})
	if c := sink.Counts(); c.Pending != 1 {
		t.Errorf("counts %+v", c)
	}
}

func TestDecidedAllocatesNothing(t *testing.T) {
	for _, keep := range []bool{false, true} {
		sink, _, _ := newSink(t, usage.Config{MaxPending: 64, KeepText: keep})
		s := snapshot(t, "p1", router.Usage{})
		sink.Policy(s)
		var d router.Decision
		req := router.Request{Deployment: []byte("chat"), PromptTokens: 9, Text: router.Text{User: make([]byte, 1000)}}
		if err := s.Route(&req, &d); err != nil {
			t.Fatal(err)
		}
		id, n := []byte("0123456789abcdef"), 0
		one := func() {
			n++
			id[0], id[1] = byte('a'+n%26), byte('a'+n/26%26)
			sink.Decided(id, s, &req, &d, 100, time.Microsecond)
		}
		for range 1000 {
			one()
		}
		if allocs := testing.AllocsPerRun(1000, one); allocs != 0 {
			t.Errorf("text kept %t: %v allocations", keep, allocs)
		}
	}
}

// Text is kept where it was asked for, and is a copy.
func TestKeepText(t *testing.T) {
	t.Parallel()
	sink, got, _ := newSink(t, usage.Config{KeepText: true})
	s := snapshot(t, "p1", router.Usage{})
	sink.Policy(s)
	text := []byte("system user history tools")
	decide(t, sink, s, "a", router.Request{Text: router.Text{System: text[:6], User: text[7:11], History: text[12:19], Tools: text[20:]}})
	copy(text, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	export(t, sink, entry("a", "p1", "c", object))
	if in := got.all[0].Inputs; in.Text == nil || *in.Text != (usage.Text{System: "system", User: "user", History: "history", Tools: "tools"}) {
		t.Errorf("text %+v", in.Text)
	}
}

// Decisions and entries meet from many goroutines.
func TestSinkConcurrently(t *testing.T) {
	t.Parallel()
	ledger := usage.NewLedger(time.Time{})
	sink, _, _ := newSink(t, usage.Config{Readers: []func(*usage.Record){ledger.Add}})
	s := snapshot(t, "p1", router.Usage{})
	sink.Policy(s)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				id := fmt.Sprintf("%d-%d", g, i)
				decide(t, sink, s, id, router.Request{})
				sink.Policy(s)
				export(t, sink, entry(id, "p1", "m", object))
				ledger.Summary()
			}
		})
	}
	wg.Wait()
	if total := ledger.Summary().Total; total.Answered != 1600 || total.Prompt != 160_000 {
		t.Errorf("%+v", total)
	}
	if c := sink.Counts(); c.Pending != 0 || c.Undecided != 0 {
		t.Errorf("counts %+v", c)
	}
}

// go test ./usage -bench . -benchmem
func BenchmarkDecided(b *testing.B) {
	sink, _, _ := newSink(b, usage.Config{})
	s := snapshot(b, "p1", router.Usage{})
	sink.Policy(s)
	var d router.Decision
	req := router.Request{Deployment: []byte("chat"), PromptTokens: 9}
	if err := s.Route(&req, &d); err != nil {
		b.Fatal(err)
	}
	id := []byte("0123456789abcdef")
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		for i := range 8 {
			id[i] = byte(n >> (8 * i))
		}
		sink.Decided(id, s, &req, &d, 100, time.Microsecond)
	}
}

func BenchmarkExport(b *testing.B) {
	sink := usage.NewSink(usage.Config{Brief: true, Readers: []func(*usage.Record){usage.NewLedger(time.Now()).Add}})
	sink.Policy(snapshot(b, "p1", router.Usage{}))
	batch := loglines.Batch(entry("0123456789abcdef", "p1", "c", object))
	b.ReportAllocs()
	for b.Loop() {
		if err := sink.Export(batch); err != nil {
			b.Fatal(err)
		}
	}
}

// What remains are the strings that differ from request to request: id, trace
// parent and usage object.
func TestExportAllocatesLittle(t *testing.T) {
	sink := usage.NewSink(usage.Config{Brief: true, Readers: []func(*usage.Record){usage.NewLedger(time.Now()).Add}})
	s := snapshot(t, "p1", router.Usage{})
	sink.Policy(s)
	batch := loglines.Batch(entry("0123456789abcdef", "p1", "c", object))
	var d router.Decision
	req := router.Request{Deployment: []byte("chat"), PromptTokens: 9}
	if err := s.Route(&req, &d); err != nil {
		t.Fatal(err)
	}
	one := func() {
		sink.Decided([]byte("0123456789abcdef"), s, &req, &d, 100, time.Microsecond)
		if err := sink.Export(batch); err != nil {
			t.Fatal(err)
		}
	}
	if allocs := testing.AllocsPerRun(1000, one); allocs > 4 {
		t.Errorf("%v allocations", allocs)
	}
	if c := sink.Counts(); c.Undecided != 0 {
		t.Errorf("%+v", c)
	}
}
