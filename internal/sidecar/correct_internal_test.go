package sidecar

import (
	"strconv"
	"testing"
	"time"

	"wye/affinity"
	"wye/envoy"
	"wye/internal/loglines"
	"wye/limits"
	"wye/router"
	"wye/usage"
)

// What became of a request decides what is remembered of it.
func TestCorrector(t *testing.T) {
	t.Parallel()
	first := affinity.Place{Model: router.Key("first"), Backend: router.Key("at-first"), Tokens: 10}
	second := affinity.Place{Model: router.Key("second"), Backend: router.Key("at-second"), Tokens: 2000}
	none := affinity.Place{}
	for _, tt := range []struct {
		name           string
		status         int
		served         bool
		tokens         bool
		named          uint64
		content, known affinity.Place
	}{
		{"a fallback served", 200, true, true, 8, second, second},
		{"without a name", 200, true, true, 0, second, first},
		{"usage is unknown", 200, true, false, 8, affinity.Place{Model: second.Model, Backend: second.Backend, Tokens: 20}, affinity.Place{Model: second.Model, Backend: second.Backend, Tokens: 20}},
		{"an error", 503, true, false, 8, first, none},
		{"no attempt", 200, false, false, 8, first, none},
		{"the client left before the answer", 0, true, false, 8, first, none},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table := affinity.New(1, nil)
			table.Keep(7, first)
			table.Keep(8, first)
			records := make(chan *usage.Record, 1)
			s := correctorSnapshot(t)
			account(t, s, router.Request{Deployment: []byte("d"), PromptTokens: 20, Turn: router.Turn{Content: 7, Named: tt.named}}, servedEntry(tt.status, tt.served, tt.tokens), corrector(table), func(r *usage.Record) { records <- r })
			<-records
			for key, want := range map[uint64]affinity.Place{7: tt.content, 8: tt.known} {
				if got, _ := table.Recall(key, time.Hour); got != want {
					t.Errorf("key %d has %+v, want %+v", key, got, want)
				}
			}
		})
	}
	// A request that is not remembered changes nothing.
	table := affinity.New(1, nil)
	table.Keep(0, first)
	corrector(table)(&usage.Record{Status: 503})
	if got, _ := table.Recall(0, time.Hour); got != first {
		t.Errorf("the table has %+v", got)
	}
}

// What a request was charged becomes what it used, as far as that is known.
func TestRefunder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		status         int
		served, tokens bool
		charged, limit int
		left           int // of 5000, of which 1000 were taken
	}{
		{"it used more", 200, true, true, 1000, 5000, 5000 - 2001},
		{"it used less", 200, true, true, 4000, 5000, 5000}, // 1000 were taken, 1999 come back
		{"nobody knows", 200, true, false, 1000, 5000, 4000},
		{"no model answered", 503, true, false, 1000, 5000, 5000},
		{"nothing was charged", 200, true, true, 0, 5000, 4000},
		{"the limit is gone", 200, true, true, 1000, 0, 4000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			limiter := limits.New(func() time.Duration { return 0 })
			key := limits.Key{Name: "d", What: limits.Tokens}
			limiter.Take(key, 5000, 1000)
			s := correctorSnapshot(t)
			s.Deployments[0].PerMinute.Tokens = tt.limit
			account(t, s, router.Request{Deployment: []byte("d"), Charged: tt.charged}, servedEntry(tt.status, tt.served, tt.tokens), refunder(limiter, func() *router.Snapshot { return s }))
			if got := limiter.Take(key, 5000, 0).Remaining; got != tt.left {
				t.Errorf("%d left, want %d", got, tt.left)
			}
		})
	}
}

// A caller is given back what its deployment is.
func TestRefunderOfCallers(t *testing.T) {
	t.Parallel()
	limiter := limits.New(func() time.Duration { return 0 })
	key := limits.Key{Name: "d", What: limits.Tokens, Caller: limiter.Caller([]byte("team"))}
	limiter.Take(key, 5000, 4000)
	s := correctorSnapshot(t)
	s.Deployments[0].Callers = router.CallerLimits{Header: "x-team", PerMinute: router.PerMinute{Tokens: 5000}}
	account(t, s, router.Request{Deployment: []byte("d"), Charged: 4000, Caller: key.Caller}, servedEntry(200, true, true), refunder(limiter, func() *router.Snapshot { return s }))
	if got := limiter.Take(key, 5000, 0).Remaining; got != 5000-2001 {
		t.Errorf("%d left, want %d", got, 5000-2001)
	}
	key.Caller = 0
	if got := limiter.Take(key, 5000, 0).Remaining; got != 5000 {
		t.Errorf("the deployment, which has no limit, was charged: %d left", got)
	}
}

// evenScorer finds every model equal.
type evenScorer struct{}

func (evenScorer) Version() string { return "even" }

func (evenScorer) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	for i := range models {
		out[i] = router.Estimate{Quality: 0.5}
	}
	return 0
}

func correctorSnapshot(t *testing.T) *router.Snapshot {
	t.Helper()
	s, err := router.NewSnapshot(router.Config{
		Hash: "p", Models: []router.Model{{Name: "first"}, {Name: "second"}},
		Backends: []router.Backend{{Name: "at-first", Model: 0}, {Name: "at-second", Model: 1}},
		Deployments: []router.Deployment{{
			Name: "d", Mode: router.ModeQuality, AllowedModes: router.ModeSet(0).With(router.ModeQuality),
			Subset: []router.ModelIndex{0, 1}, MaxAttempts: 2, Timeout: time.Minute, Scorer: evenScorer{},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// account has the readers told of one request under s, of which Envoy reports
// entry.
func account(t *testing.T, s *router.Snapshot, req router.Request, entry loglines.Line, readers ...func(*usage.Record)) {
	t.Helper()
	sink := usage.NewSink(usage.Config{Readers: readers})
	sink.Policy(s)
	var d router.Decision
	if err := s.Route(&req, &d); err != nil {
		t.Fatal(err)
	}
	sink.Decided([]byte("id"), s, &req, &d, 1, time.Microsecond)
	if err := sink.Export(loglines.Batch(entry)); err != nil {
		t.Fatal(err)
	}
}

// servedEntry is what Envoy reports of the request "id".
func servedEntry(status int, served, tokens bool) loglines.Line {
	l := loglines.Line{}.With(envoy.LogDecision, "id").With(envoy.LogDeployment, "d").With(envoy.LogPolicy, "p").
		With(envoy.LogStatus, strconv.Itoa(status))
	if tokens {
		l = l.With(envoy.LogUsage, `{"prompt_tokens":2000,"completion_tokens":1}`)
	}
	if served {
		l = l.With(envoy.LogBackend, "at-second").With(envoy.LogModel, "second").With(envoy.LogZone, "global")
	}
	return l
}
