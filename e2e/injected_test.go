package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

// quickFaults are the kinds of failure that need no timeout to be noticed.
var quickFaults = []string{"500", "503", "429", "reset", "json-error", "sse-error", "sse-end", "early-cut"}

// Every backend fails every fifth request, in any way; one of each chain does not.
// All requests but one in ten thousand must be served, each by the model that the
// response names, and nobody is sent a body for another model.
// WYE_E2E_REQUESTS sets how many requests there are.
func TestInjectedFailures(t *testing.T) {
	requests := 3000
	if text := os.Getenv("WYE_E2E_REQUESTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("WYE_E2E_REQUESTS=%q, want a number of requests", text)
		}
		requests = n
	}
	s := rig.Start(t, rig.Options{FirstToken: "10s"})
	chains := map[string][]string{}
	for _, deployment := range []string{"any-order", "auto", "eu-only", "messages"} {
		e := s.Explain(t, rig.Chat(deployment, "Say hello."), "")
		chains[deployment] = backends(e, len(e.Chain))
	}
	deployments := []string{"any-order", "auto", "eu-only", "messages"}
	client := rig.NewClient(t)
	var next, attempts, faults, failed atomic.Int64
	var told sync.Once
	var wg sync.WaitGroup
	begin := time.Now()
	for worker := range 16 {
		random := rand.New(rand.NewPCG(7, uint64(worker)))
		wg.Go(func() {
			for next.Add(1) <= int64(requests) && t.Context().Err() == nil {
				deployment := deployments[random.IntN(len(deployments))]
				injected := inject(random, chains[deployment])
				body := rig.Chat(deployment, "Say hello.")
				streamed := random.IntN(2) == 0
				if streamed {
					body = slices.Concat(body[:len(body)-1], []byte(`,"stream":true}`))
				}
				got, err := rig.Post(t.Context(), client, s.URL, body, rig.FailHeader, strings.Join(injected, ","))
				faults.Add(int64(len(injected)))
				if n, err := strconv.Atoi(got.Header.Get("x-wye-attempts")); err == nil {
					attempts.Add(int64(n))
				}
				if why := wrongAnswer(got, err, streamed); why != "" {
					failed.Add(1)
					told.Do(func() { t.Logf("%s with %q: %s", deployment, injected, why) })
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests in %v, %d attempts, %d faults injected, %d requests failed",
		requests, time.Since(begin).Round(time.Second), attempts.Load(), faults.Load(), failed.Load())
	if failed.Load()*10000 > int64(requests) {
		t.Errorf("%d of %d requests failed", failed.Load(), requests)
	}
	if attempts.Load() < int64(requests)*11/10 {
		t.Errorf("%d attempts for %d requests: no failures were injected", attempts.Load(), requests)
	}
	s.CheckStrict(t)
}

// inject has each backend of a chain fail with a chance of one in five, but for
// one.
func inject(random *rand.Rand, chain []string) []string {
	var injected []string
	healthy := random.IntN(len(chain))
	for i, backend := range chain {
		if i != healthy && random.IntN(5) == 0 {
			injected = append(injected, backend+"="+quickFaults[random.IntN(len(quickFaults))])
		}
	}
	return injected
}

// wrongAnswer says what is wrong with an answer, empty: nothing.
func wrongAnswer(got rig.Response, err error, streamed bool) string {
	if err != nil || got.Status != http.StatusOK {
		return fmt.Sprintf("%v, status %d: %.300s", err, got.Status, got.Body)
	}
	first := got.Body
	if streamed {
		if !bytes.HasSuffix(got.Body, []byte("data: [DONE]\n\n")) {
			return fmt.Sprintf("a stream without its end: %.300s", got.Body)
		}
		first, _, _ = bytes.Cut(bytes.TrimPrefix(got.Body, []byte("data: ")), []byte("\n"))
	}
	if model := gjson.GetBytes(first, "model").Str; model == "" || model != got.Header.Get("x-wye-model") {
		return fmt.Sprintf("%s served, the answer says %q: %.300s", got.Header.Get("x-wye-model"), model, got.Body)
	}
	return ""
}

// A body of nearly 16 MiB, the default limit, is retried like any other.
func TestFailoverOfLargestBody(t *testing.T) {
	s := rig.Start(t, rig.Options{FirstToken: "20s"})
	policy := strings.Replace(s.Policy.YAML(t), "max_body_bytes: 4194304", "max_body_bytes: 16777216", 1)
	before := s.PolicyHash(t)
	rig.WriteFile(t, s.PolicyPath, policy)
	rig.Eventually(t, rig.Patience, "the policy is in force", func() (bool, string) {
		return s.PolicyHash(t) != before, fmt.Sprintf("%+v", s.PolicyStatus(t))
	})
	image := strings.Repeat("iVBORw0KGgo=", (16<<20-4096)/12)
	body := []byte(`{"model":"fixed","max_tokens":50,"messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},` +
		`{"type":"image_url","image_url":{"url":"data:image/png;base64,` + image + `"}}]}]}`)
	e := s.Explain(t, body, "")
	for n := range len(e.Chain) {
		id := rig.ID()
		got := s.Post(t, body, rig.IDHeader, id, rig.FailHeader, failed(e, n, quickFaults[n*3%len(quickFaults)]))
		if got.Status != http.StatusOK || got.Header.Get("x-wye-attempts") != itoa(n+1) {
			t.Fatalf("status %d after %q attempts: %.300s", got.Status, got.Header.Get("x-wye-attempts"), got.Body)
		}
		for _, r := range s.Find(id) {
			if got := gjson.GetBytes(r.Body, "messages.0.content.1.image_url.url").Str; len(got) != len(image)+len("data:image/png;base64,") {
				t.Errorf("%s was sent an image of %d bytes, want %d", r.Backend, len(got), len(image))
			}
		}
	}
	s.CheckStrict(t)
}
