package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"wye/envoy"
)

// Usage is what the provider reports to have counted, in tokens.
type Usage struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	PromptDetails    struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// Answer is what came back for one prompt in one mode.
type Answer struct {
	Prompt   string
	Mode     string // asked for
	Model    string // served, from the response header
	Decision string // id, from the response header
	Attempts int
	Latency  time.Duration // until the last byte
	Usage    Usage
}

// send posts p and reads the answer whole. The error names the prompt.
func send(ctx context.Context, client *http.Client, url string, p *Prompt, deployment, mode string) (Answer, error) {
	answer := Answer{Prompt: p.Name, Mode: mode}
	fail := func(err error) (Answer, error) { return answer, fmt.Errorf("%s (%s): %w", p.Name, mode, err) }
	body, err := p.Body(deployment)
	if err != nil {
		return fail(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer demo")
	req.Header.Set(envoy.HeaderMode, mode)
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
		if err != nil {
			return fail(err)
		}
		return fail(fmt.Errorf("status %d: %s", resp.StatusCode, text))
	}
	answer.Model = resp.Header.Get(envoy.HeaderModel)
	answer.Decision = resp.Header.Get(envoy.HeaderDecision)
	if answer.Attempts, err = strconv.Atoi(resp.Header.Get(envoy.HeaderAttempts)); err != nil {
		return fail(fmt.Errorf("response header %s: %w", envoy.HeaderAttempts, err))
	}
	if p.Stream {
		answer.Usage, err = readStream(resp.Body)
	} else {
		var reply struct{ Usage Usage }
		err = json.NewDecoder(resp.Body).Decode(&reply)
		answer.Usage = reply.Usage
	}
	if err != nil {
		return fail(err)
	}
	answer.Latency = time.Since(start)
	return answer, nil
}

// readStream reads server-sent events up to [DONE] and returns the usage that
// the last but one carries.
func readStream(r io.Reader) (Usage, error) {
	var usage Usage
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue
		}
		data = bytes.TrimSpace(data)
		if string(data) == "[DONE]" {
			return usage, nil
		}
		var event struct{ Usage *Usage }
		if err := json.Unmarshal(data, &event); err != nil {
			return usage, fmt.Errorf("stream event: %w", err)
		}
		if event.Usage != nil {
			usage = *event.Usage
		}
	}
	if err := lines.Err(); err != nil {
		return usage, fmt.Errorf("stream: %w", err)
	}
	return usage, io.ErrUnexpectedEOF
}
