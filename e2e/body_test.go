package e2e_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wye/e2e/internal/rig"
)

// Every byte of the client's JSON but the model's name reaches the provider:
// numbers beyond float64, key order, white space, unknown fields, escapes.
func testBodyUntouched(t *testing.T, s *rig.Stack) {
	const model = `"auto"`
	long := strings.Repeat("long text with \\u00fcmlaut and \\\"quotes\\\" ", 5000)
	for name, body := range map[string]string{
		"compact":                        `{"model":"auto","messages":[{"role":"user","content":"hi"}]}`,
		"model last and odd white space": "{\r\n\t\"messages\" : [ { \"content\":\"hi\" ,\"role\":\"user\" } ]\n,  \"model\"\t:\t\"auto\"  }\n\n",
		"numbers": `{"seed":12345678901234567890,"temperature":0.10,"top_p":1.0e0,"x":-0.0,"y":1E400,"model":"auto",` +
			`"messages":[{"role":"user","content":"hi"}]}`,
		"unknown fields and nested models": `{"metadata":{"model":"auto","b":[1,{"model":"x"}]},"model":"auto","zz":null,"":1,` +
			`"messages":[{"role":"user","content":"\"model\":\"auto\"","model":"nested"}],"unknown":{"a":{"b":[]}}}`,
		"escapes": `{"model":"auto","messages":[{"role":"user","content":"\u00e9\/\ud83d\ude00 ` + "é😀" + `"}],"user":"a\\b"}`,
		"long":    `{"model":"auto","messages":[{"role":"user","content":"` + long + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			id := rig.ID()
			got := s.Post(t, []byte(body), rig.IDHeader, id)
			if got.Status != http.StatusOK {
				t.Fatalf("status %d: %s", got.Status, got.Body)
			}
			seen := s.Find(id)
			if len(seen) != 1 {
				t.Fatalf("%d requests reached providers", len(seen))
			}
			sent := s.SendAs(seen[0].Backend)
			i := topLevelModel(body)
			want := body[:i] + `"` + sent + `"` + body[i+len(model):]
			if diff := cmp.Diff(want, string(seen[0].Body)); diff != "" {
				t.Errorf("body at the provider (-want +got):\n%.2000s", diff)
			}
			if length := seen[0].Header.Get("Content-Length"); length != "" && length != itoa(len(want)) {
				t.Errorf("content-length %s of %d bytes", length, len(want))
			}
		})
	}
}

// topLevelModel is where the value of the top-level model begins in the bodies
// of this file, which all name deployment auto.
func topLevelModel(body string) int {
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber() // one of them overflows a float64
	depth := 0
	for {
		token, err := decoder.Token()
		if err != nil {
			panic("no model: " + err.Error()) // the test's own bodies have one
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		case "model":
			if depth == 1 {
				from := int(decoder.InputOffset())
				return from + strings.Index(body[from:], `"auto"`)
			}
		}
	}
}

// What a reasoning model refuses is dropped, its output cap renamed, the rest
// stays byte for byte, and the response says what was dropped.
func testBodyForReasoningModel(t *testing.T, s *rig.Stack) {
	id := rig.ID()
	body := `{"temperature":0.5,"model":"thinking", "top_p":0.9,"messages":[{"role":"user","content":"hi"}],` +
		`"seed":7,"stop":["a","b"],"max_tokens":64,"logit_bias":{"1":2},"user":"u","reasoning_effort":"minimal","prompt_cache_key":"k\u0031"}`
	got := s.Post(t, []byte(body), rig.IDHeader, id)
	if got.Status != http.StatusOK {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	seen := s.Find(id)
	if len(seen) != 1 {
		t.Fatalf("%d requests reached providers", len(seen))
	}
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(seen[0].Body, &sent); err != nil {
		t.Fatalf("the provider was sent no JSON: %v: %s", err, seen[0].Body)
	}
	want := map[string]string{
		"model": `"` + s.SendAs("thinker-us") + `"`, "messages": `[{"role":"user","content":"hi"}]`,
		"seed": "7", "max_completion_tokens": "64", "user": `"u"`, "reasoning_effort": `"low"`, "prompt_cache_key": `"k\u0031"`,
	}
	have := map[string]string{}
	for name, value := range sent {
		have[name] = string(value)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("members at the provider (-want +got):\n%s", diff)
	}
	for _, field := range []string{"temperature", "top_p", "stop", "logit_bias"} {
		if !strings.Contains(got.Header.Get("x-wye-dropped"), field) {
			t.Errorf("x-wye-dropped %q does not tell of %s", got.Header.Get("x-wye-dropped"), field)
		}
	}
}

// Bodies without a length, in many small chunks, arrive whole.
func testChunked(t *testing.T, s *rig.Stack) {
	body := rig.Chat("auto", strings.Repeat("All work and no play makes Jack a dull boy. ", 500))
	id := rig.ID()
	got := s.Do(t, http.MethodPost, rig.ChatPath, &trickle{rest: body, size: 997}, rig.IDHeader, id)
	if got.Status != http.StatusOK {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	seen := s.Find(id)
	if len(seen) != 1 {
		t.Fatalf("%d requests reached providers", len(seen))
	}
	want := bytes.Replace(body, []byte(`"auto"`), []byte(`"`+s.SendAs(seen[0].Backend)+`"`), 1)
	if !bytes.Equal(seen[0].Body, want) {
		t.Errorf("%d bytes arrived, want %d", len(seen[0].Body), len(want))
	}
}

// A body of JSON is taken under the content type that curl gives it by default,
// and reaches the provider under its own.
func testContentTypeOfCurl(t *testing.T, s *rig.Stack) {
	for _, kind := range []string{"application/x-www-form-urlencoded", "application/json; charset=utf-8"} {
		id := rig.ID()
		got := s.Post(t, rig.Chat("auto", "hi"), "Content-Type", kind, rig.IDHeader, id)
		if got.Status != http.StatusOK {
			t.Errorf("%s: status %d: %s", kind, got.Status, got.Body)
		}
		for _, r := range s.Find(id) {
			if sent := r.Header.Get("Content-Type"); !strings.HasPrefix(sent, "application/json") {
				t.Errorf("%s: the provider was sent content type %q", kind, sent)
			}
		}
	}
}

// A client that waits for leave before it sends its body, as curl does with
// long ones, gets it at once.
func testExpectContinue(t *testing.T, s *rig.Stack) {
	transport := &http.Transport{ExpectContinueTimeout: rig.Patience}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	begin := time.Now()
	got, err := rig.Post(t.Context(), client, s.URL, rig.Chat("auto", strings.Repeat("long ", 1<<18)), "Expect", "100-continue")
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusOK {
		t.Errorf("status %d: %.300s", got.Status, got.Body)
	}
	if took := time.Since(begin); took > rig.Patience/2 {
		t.Errorf("it took %v, the client was not told to go on", took)
	}
}

func testHTTP2(t *testing.T, s *rig.Stack) {
	id := rig.ID()
	body := rig.Chat("auto", strings.Repeat("All work and no play makes Jack a dull boy. ", 5000))
	got, err := rig.Post(t.Context(), rig.NewH2Client(t), s.URL, body, rig.IDHeader, id)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusOK || got.Header.Get("x-wye-model") == "" {
		t.Fatalf("status %d: %s", got.Status, got.Body)
	}
	if seen := s.Find(id); len(seen) != 1 || !json.Valid(seen[0].Body) || len(seen[0].Body) < len(body) {
		t.Errorf("%d requests reached providers, want one with the whole body", len(seen))
	}
	// Many at once on one connection keep apart.
	client := rig.NewH2Client(t)
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			prompt, id := "Say "+itoa(n)+".", rig.ID()
			got, err := rig.Post(t.Context(), client, s.URL, rig.Chat("auto", prompt), rig.IDHeader, id)
			if err != nil || got.Status != http.StatusOK {
				t.Errorf("request %d: status %d, %v", n, got.Status, err)
			}
			if seen := s.Find(id); len(seen) != 1 || !bytes.Contains(seen[0].Body, []byte(prompt)) {
				t.Errorf("request %d: %d requests reached providers, want one with its own prompt", n, len(seen))
			}
		})
	}
	wg.Wait()
	refused, err := rig.Post(t.Context(), rig.NewH2Client(t), s.URL, []byte("{"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Error(); err != nil || refused.Status != http.StatusBadRequest {
		t.Errorf("status %d for broken JSON, %v", refused.Status, err)
	}
}
