package extproc

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"wye/policies"
	"wye/router"
)

// pieces are what the prompts of the benchmark are put together from.
var pieces = []string{
	"Explain why the moving average of a noisy signal lags behind the signal itself.",
	"func parse(line string) (key, value string, err error) {\\n\\tkey, value, ok := strings.Cut(line, \\\"=\\\")\\n\\treturn\\n}",
	"The committee met twice in March and could not agree on the budget for the new reading room.",
	"Let $f(x)=x^3-3x+1$. How many real roots does $f(f(x))=0$ have? Justify every step.",
	"Übersetze den folgenden Absatz ins Englische und behalte die Fachbegriffe bei.",
	"Summarise the minutes below in five bullet points, then list open questions by owner.",
	"请用三句话说明这段代码为什么会死锁。", "SELECT city, avg(price) FROM flats GROUP BY city HAVING count(*) > 10;",
	"A train leaves at 9:40 and covers 312 km at 96 km/h; when does it arrive?",
}

// prompt is a conversation of about n bytes of varied text.
func prompt(n int) string {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	var b strings.Builder
	b.WriteString(`{"model":"auto","temperature":0.3,"stream":true,"messages":[{"role":"system","content":"You are a careful assistant. Answer briefly."}`)
	for i := 0; b.Len() < n; i++ {
		role := [...]string{"user", "assistant"}[i%2]
		fmt.Fprintf(&b, `,{"role":%q,"content":"`, role)
		for range 4 {
			fmt.Fprintf(&b, "%s (%d) ", pieces[r.IntN(len(pieces))], r.IntN(1000))
		}
		b.WriteString(`"}`)
	}
	b.WriteString(`,{"role":"user","content":"Go on."}],"max_tokens":800}`)
	return b.String()
}

// routing returns a function that does everything Wye computes for one request
// under the embedded policy: scan, features, prediction, filters, chain, the
// rewritten body and the serialised reply. Only gRPC is left out.
func routing(tb testing.TB, body string) func() {
	tb.Helper()
	policy, err := policies.Default()
	if err != nil {
		tb.Fatal(err)
	}
	return routingFor(tb, policy, router.APIChat, body)
}

// routingFor is routing under a policy, for a client of an API.
func routingFor(tb testing.TB, policy *policies.Policy, api router.API, body string) func() {
	tb.Helper()
	snapshot, err := policy.Compile()
	if err != nil {
		tb.Fatal(err)
	}
	var r router.Router
	r.Swap(snapshot)
	s := New(Config{Router: &r})
	tb.Cleanup(s.Close)
	st := newStream(s)
	st.prepared = s.prepared.of(snapshot, s.config.MaxBodyBytes)
	st.limit = st.prepared.maxBody
	st.facts.api = api
	text := []byte(body)
	st.body = &text
	return func() {
		st.id = s.config.AppendID(st.id[:0])
		if p := st.decide(time.Now()); p != nil {
			tb.Fatal(p)
		}
		out := st.rewrite()
		head := s.buffers.Get(0)
		*head = st.appendRouted(*head, len(*out))
		s.buffers.Put(head)
		s.buffers.Put(out)
	}
}

// BenchmarkRoute is the whole decision. It must stay under 200 µs for 2 KB.
//
//	go test ./extproc -run='^$' -bench=Route -count=5
func BenchmarkRoute(b *testing.B) {
	for _, size := range []int{2 << 10, 32 << 10} {
		body := prompt(size)
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			route := routing(b, body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			// The load of a shared machine is in ns/op, not in this.
			before := cpuTime(b)
			for b.Loop() {
				route()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
