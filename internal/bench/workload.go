package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// deployment is the model that every request names.
const deployment = "auto"

// measuredAgent marks the load generator's requests for the upstream.
const measuredAgent = "wye-bench"

// workload is a size of request and a number of clients.
type workload struct {
	name    string
	bytes   int // of the body, about
	clients int
}

var workloads = []workload{
	{"2 KB × 1", 2 << 10, 1},
	{"2 KB × 32", 2 << 10, 32},
	{"100 KB × 8", 100 << 10, 8},
}

// body returns a chat completion of about n bytes: a system prompt, a question
// and as much material as it takes.
func body(n int) []byte {
	const sentence = "The bridge over the river was built in 1894 of riveted steel, carries two tracks, " +
		"and was strengthened after the flood of 1957; its inspectors log every bearing twice a year. "
	head := `{"model":"` + deployment + `","temperature":0.2,"messages":[` +
		`{"role":"system","content":"You are a careful engineer. Answer briefly and show your working."},` +
		`{"role":"user","content":"Which bearing should be replaced first, and why? Notes: `
	const tail = `"}],"max_tokens":256}`
	fill := max(n-len(head)-len(tail), 0)
	text := strings.Repeat(sentence, fill/len(sentence)+1)[:fill]
	return []byte(head + text + tail)
}

// request returns the bytes of one whole HTTP/1.1 request.
func request(addr string, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer bench\r\nUser-Agent: %s\r\nContent-Length: %d\r\n\r\n", addr, measuredAgent, len(body))
	b.Write(body)
	return b.Bytes()
}

// check sends one request and fails unless the upstream got the body that the
// variant owes it.
func check(client *http.Client, addr string, body []byte, model func(got string) bool) error {
	resp, err := client.Post("http://"+addr+"/v1/chat/completions", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var reply struct {
		Object   string `json:"object"`
		Received struct {
			Model string `json:"model"`
			Rest  string `json:"rest"`
		} `json:"received"`
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
		return fmt.Errorf("reply: %w", err)
	}
	if reply.Object != "chat.completion" {
		return fmt.Errorf("reply is a %q", reply.Object)
	}
	if !model(reply.Received.Model) {
		return fmt.Errorf("upstream was sent model %q", reply.Received.Model)
	}
	if want := digestWithoutModel(body, deployment); reply.Received.Rest != want {
		return fmt.Errorf("upstream was sent another body: digest %s, want %s", reply.Received.Rest, want)
	}
	return nil
}
