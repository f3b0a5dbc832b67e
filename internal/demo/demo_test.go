package demo_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wye/internal/demo"
	"wye/router"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestPromptsCoverWhatTheDemoPromises(t *testing.T) {
	t.Parallel()
	prompts := demo.Prompts()
	if len(prompts) < 24 {
		t.Errorf("%d prompts, at least 24 are promised", len(prompts))
	}
	names := map[string]bool{}
	var streams, tools, long int
	for i := range prompts {
		p := &prompts[i]
		if p.Name == "" || names[p.Name] {
			t.Errorf("prompt %d: name %q is empty or taken", i, p.Name)
		}
		names[p.Name] = true
		body, err := p.Body("auto")
		if err != nil {
			t.Fatal(err)
		}
		var request struct {
			Model    string
			Stream   bool
			Tools    []any
			Messages []struct{ Role, Content string }
		}
		if err := json.Unmarshal(body, &request); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if request.Model != "auto" || len(request.Messages) == 0 || request.Messages[len(request.Messages)-1].Role != "user" {
			t.Errorf("%s: model %q, %d messages", p.Name, request.Model, len(request.Messages))
		}
		if request.Stream {
			streams++
		}
		if len(request.Tools) > 0 {
			tools++
		}
		if len(body) > 20_000 {
			long++
		}
		if len(body) < p.Long {
			t.Errorf("%s: %d bytes, want at least %d", p.Name, len(body), p.Long)
		}
	}
	if streams < 4 || tools < 2 || long < 2 {
		t.Errorf("%d streamed, %d with tools, %d long", streams, tools, long)
	}
}

// listener answers like Envoy with Wye would, with the model by mode.
func listener(t *testing.T, answer func(w http.ResponseWriter, mode string, stream bool)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Stream bool }
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/v1/chat/completions" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		mode := r.Header.Get("x-wye-mode")
		w.Header().Set("x-wye-model", mode+"-model")
		w.Header().Set("x-wye-decision", mode)
		w.Header().Set("x-wye-attempts", "2")
		answer(w, mode, request.Stream)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

const usageJSON = `{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":10}}`

func TestRun(t *testing.T) {
	t.Parallel()
	url := listener(t, func(w http.ResponseWriter, _ string, stream bool) {
		if stream {
			fmt.Fprintf(w, ": hello\n\ndata: {\"choices\":[]}\n\ndata: {\"usage\":%s}\n\ndata: [DONE]\n\n", usageJSON)
			return
		}
		fmt.Fprintf(w, `{"usage":%s}`, usageJSON)
	})
	var last atomic.Int64
	c := demo.Config{
		URL: url, Deployment: "auto", Client: http.DefaultClient, Parallel: 4,
		Lookup: func(id string) (demo.Record, bool) {
			return demo.Record{Model: id, Quality: 0.5, Cost: 0.01}, true
		},
		Progress: func(done, total int) { last.Store(int64(done*1000 + total)) },
	}
	message := json.RawMessage(`{"role":"user","content":"x"}`)
	prompts := []demo.Prompt{
		{Name: "plain", Messages: []json.RawMessage{message}},
		{Name: "streamed", Messages: []json.RawMessage{message}, Stream: true},
	}
	outcomes, err := demo.Run(t.Context(), c, prompts)
	if err != nil {
		t.Fatal(err)
	}
	if last.Load() != 6006 {
		t.Errorf("last progress %d", last.Load())
	}
	var want []demo.Outcome
	for _, p := range prompts {
		for _, mode := range []string{"quality", "balanced", "cost"} {
			o := demo.Outcome{
				Answer: demo.Answer{Prompt: p.Name, Mode: mode, Model: mode + "-model", Decision: mode, Attempts: 2},
				Record: demo.Record{Model: mode, Quality: 0.5, Cost: 0.01},
			}
			o.Usage.PromptTokens, o.Usage.CompletionTokens, o.Usage.PromptDetails.CachedTokens = 100, 20, 10
			want = append(want, o)
		}
	}
	for i := range outcomes {
		if outcomes[i].Latency <= 0 {
			t.Errorf("outcome %d took %v", i, outcomes[i].Latency)
		}
		outcomes[i].Latency = 0
	}
	if diff := cmp.Diff(want, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestRunReportsEveryFailure(t *testing.T) {
	t.Parallel()
	found := func(string) (demo.Record, bool) { return demo.Record{}, true }
	for _, tt := range []struct {
		name   string
		stream bool
		answer func(http.ResponseWriter)
		lookup func(string) (demo.Record, bool)
		want   string
	}{
		{"an error status", false, func(w http.ResponseWriter) { w.WriteHeader(503); _, _ = io.WriteString(w, "gone") }, found, "status 503: gone"},
		{"no attempts header", false, func(w http.ResponseWriter) { w.Header().Del("x-wye-attempts") }, found, "x-wye-attempts"},
		{"an answer that is not JSON", false, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{") }, found, "unexpected EOF"},
		{"a stream cut short", true, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "data: {}\n\n") }, found, "unexpected EOF"},
		{"an event that is not JSON", true, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "data: {\n\n") }, found, "stream event"},
		{"an unknown decision", false, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "{}") }, func(string) (demo.Record, bool) { return demo.Record{}, false }, "no record of decision"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := listener(t, func(w http.ResponseWriter, _ string, _ bool) { tt.answer(w) })
			prompts := []demo.Prompt{{Name: "p", Stream: tt.stream}}
			_, err := demo.Run(t.Context(), demo.Config{URL: url, Client: http.DefaultClient, Lookup: tt.lookup}, prompts)
			for _, mode := range []string{"quality", "balanced", "cost"} {
				if err == nil || !strings.Contains(err.Error(), "p ("+mode+")") || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q for mode %s", err, tt.want, mode)
				}
			}
		})
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	models := []router.Model{
		{Name: "big", ServedAs: "big-2026", Price: router.Price{Input: 10, CachedInput: 1, Output: 40}},
		{Name: "tiny", ServedAs: "tiny-2026", Price: router.Price{Input: 0.1, CachedInput: 0.01, Output: 0.4}},
	}
	var outcomes []demo.Outcome
	for i, p := range []string{"first", "second"} {
		for _, mode := range router.Modes {
			o := demo.Outcome{
				Answer: demo.Answer{Prompt: p, Mode: mode.String(), Model: "tiny-2026", Attempts: 1 + i, Latency: 125 * time.Millisecond},
				Record: demo.Record{Model: "tiny", Quality: 0.5, Cost: 0.00012},
			}
			if mode == router.ModeQuality || mode == router.ModeBalanced && i == 1 {
				o.Answer.Model, o.Quality, o.Cost = "big-2026", 0.75, 0.012
			}
			o.Usage.PromptTokens, o.Usage.CompletionTokens = 100, 20
			outcomes = append(outcomes, o)
		}
	}
	var got bytes.Buffer
	if err := demo.Render(&got, outcomes, models); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/render.txt"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := demo.Render(io.Discard, outcomes, models[1:]); err == nil || !strings.Contains(err.Error(), `"big-2026"`) {
		t.Errorf("a top model that does not exist: %v", err)
	}
	if err := demo.Render(io.Discard, outcomes, models[:1]); err == nil || !strings.Contains(err.Error(), `"tiny-2026"`) {
		t.Errorf("a serving model that does not exist: %v", err)
	}
}
