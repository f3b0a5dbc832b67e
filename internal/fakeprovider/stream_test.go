package fakeprovider_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"wye/internal/fakeprovider"
)

// events takes a stream apart and checks its frame.
func events(t *testing.T, stream string) []gjson.Result {
	t.Helper()
	body, ok := strings.CutSuffix(stream, "data: [DONE]\n\n")
	if !ok {
		t.Fatalf("the stream does not end with [DONE]: %q", stream)
	}
	var all []gjson.Result
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		if !ok || !gjson.Valid(data) {
			t.Fatalf("event %q", event)
		}
		e := gjson.Parse(data)
		if e.Get("object").String() != "chat.completion.chunk" || e.Get("model").String() != "m-1" {
			t.Fatalf("event %s", data)
		}
		all = append(all, e)
	}
	return all
}

func TestStream(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{ServedAs: "m-1", Tokens: 20})
	want := get(t, s, "")
	status, header, answer := post(t, s, `{"model":"m","stream":true,"stream_options":{"include_usage":true},`+hi+`}`)
	if status != 200 || !strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("status %d, header %v", status, header)
	}
	all := events(t, answer)
	var content strings.Builder
	for i, e := range all[:len(all)-1] {
		content.WriteString(e.Get("choices.0.delta.content").String())
		if u := e.Get("usage"); !u.Exists() || u.Type != gjson.Null {
			t.Errorf("usage %s before the end", u.Raw)
		}
		if last := i == len(all)-2; last != (e.Get("choices.0.finish_reason").String() == "stop") {
			t.Errorf("event %d of %d: %s", i, len(all), e.Raw)
		}
	}
	if got := want.Get("choices.0.message.content").String(); content.String() != got {
		t.Errorf("streamed %q, whole %q", content.String(), got)
	}
	if all[0].Get("choices.0.delta.role").String() != "assistant" {
		t.Errorf("first event %s", all[0].Raw)
	}
	end := all[len(all)-1]
	if end.Get("choices.#").Int() != 0 || end.Get("usage").Raw != want.Get("usage").Raw {
		t.Errorf("last event %s, want usage %s", end.Raw, want.Get("usage").Raw)
	}
	if n := len(s.Last().Chunks); n != len(all)+1 {
		t.Errorf("%d times recorded of %d events", n, len(all)+1)
	}
}

func TestStreamVariants(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{ServedAs: "m-1", Tokens: 20})
	stream := func(fields string) []gjson.Result {
		t.Helper()
		_, _, answer := post(t, s, `{"model":"m","stream":true,`+hi+fields+`}`)
		return events(t, answer)
	}
	for _, e := range stream("") {
		if e.Get("usage").Exists() {
			t.Errorf("usage that nobody asked for: %s", e.Raw)
		}
	}
	var contents [2]string
	for _, e := range stream(`,"n":2`) {
		c := e.Get("choices.0")
		contents[c.Get("index").Int()] += c.Get("delta.content").String()
	}
	if contents[0] == "" || contents[0] != contents[1] {
		t.Errorf("two choices: %q", contents)
	}
	name, arguments := "", ""
	for _, e := range stream(`,"tool_choice":{"type":"function","function":{"name":"book"}},` + tools) {
		call := e.Get("choices.0.delta.tool_calls.0.function")
		name += call.Get("name").String()
		arguments += call.Get("arguments").String()
	}
	if name != "book" || arguments != booking {
		t.Errorf("called %s with %s", name, arguments)
	}
	content := ""
	for _, e := range stream(`,"response_format":{"type":"json_object"}`) {
		content += e.Get("choices.0.delta.content").String()
	}
	if content != "{}" {
		t.Errorf("JSON mode streams %q", content)
	}
}

// Each event must leave when it is written, not when the answer is complete.
func TestStreamIsUnbuffered(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{ServedAs: "m-1", TokenInterval: 20 * time.Millisecond})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post("http://"+s.Addr()+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true,"max_tokens":10,`+hi+`}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var arrived []time.Time
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if lines.Text() != "" {
			arrived = append(arrived, time.Now())
		}
	}
	written := s.Last().Chunks
	if err := lines.Err(); err != nil || len(arrived) != len(written) {
		t.Fatalf("%d events arrived, %d were written: %v", len(arrived), len(written), err)
	}
	if spread := arrived[len(arrived)-1].Sub(arrived[0]); spread < 180*time.Millisecond {
		t.Errorf("ten events 20ms apart arrived within %v", spread)
	}
	for i := range arrived {
		if arrived[i].Before(written[i]) {
			t.Errorf("event %d arrived before it was written", i)
		}
	}
}
