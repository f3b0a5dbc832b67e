package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ChatPath is the path of chat completions.
const ChatPath = "/v1/chat/completions"

// Response is a whole HTTP response.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// APIError is the body of an OpenAI-shaped error.
type APIError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// Chat returns the body of a chat completion with one user message.
func Chat(deployment, prompt string) []byte {
	body, err := json.Marshal(map[string]any{
		"model":    deployment,
		"messages": []any{map[string]any{"role": "user", "content": prompt}},
	})
	if err != nil {
		panic(err) // strings always marshal
	}
	return body
}

// Post sends body as a chat completion. Headers are name, value, name, value.
func Post(ctx context.Context, client *http.Client, url string, body []byte, headers ...string) (Response, error) {
	return Do(ctx, client, http.MethodPost, url+ChatPath, bytes.NewReader(body), headers...)
}

// Do sends one request, as JSON unless a header says otherwise.
func Do(ctx context.Context, client *http.Client, method, url string, body io.Reader, headers ...string) (Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return Response{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer sk-e2e")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return Response{}, fmt.Errorf("read response: %w", err)
	}
	return Response{Status: resp.StatusCode, Header: resp.Header, Body: text}, nil
}

// Error decodes an OpenAI-shaped error, and fails when the body is anything
// else: other members, other types, another content type.
func (r Response) Error() (APIError, error) {
	if kind := r.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		return APIError{}, fmt.Errorf("status %d has content type %q: %.300s", r.Status, kind, r.Body)
	}
	var outer map[string]json.RawMessage
	if err := json.Unmarshal(r.Body, &outer); err != nil {
		return APIError{}, fmt.Errorf("status %d: %w: %.300s", r.Status, err, r.Body)
	}
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(outer["error"], &inner); err != nil || len(outer) != 1 {
		return APIError{}, fmt.Errorf("status %d is no error document: %.300s", r.Status, r.Body)
	}
	for _, name := range []string{"message", "type", "param", "code"} {
		if _, ok := inner[name]; !ok || len(inner) != 4 {
			return APIError{}, fmt.Errorf("status %d: the error's members are not message, type, param and code: %.300s", r.Status, r.Body)
		}
	}
	var e APIError
	if err := json.Unmarshal(outer["error"], &e); err != nil {
		return APIError{}, fmt.Errorf("status %d: %w: %.300s", r.Status, err, r.Body)
	}
	if e.Message == "" || e.Type == "" {
		return APIError{}, fmt.Errorf("status %d has an empty message or type: %.300s", r.Status, r.Body)
	}
	return e, nil
}

// NewClient returns a client with connections of its own, closed by the test's
// cleanup.
func NewClient(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 60 * time.Second}
}

// NewH2Client is NewClient speaking HTTP/2 without TLS.
func NewH2Client(t testing.TB) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 60 * time.Second}
}
