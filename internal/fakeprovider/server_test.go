package fakeprovider_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"
	"go.uber.org/goleak"

	"wye/internal/fakeprovider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, c fakeprovider.Config) *fakeprovider.Server {
	t.Helper()
	if c.Model == "" {
		c.Model = "m"
	}
	s, err := fakeprovider.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// post sends body and returns the answer's status, header and body. A
// transport error stands in for the body, or follows what arrived of it.
func post(t *testing.T, s *fakeprovider.Server, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	return send(t, s, http.MethodPost, "/v1/chat/completions", body, header...)
}

func send(t *testing.T, s *fakeprovider.Server, method, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr()+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, nil, ""
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, resp.Header, string(b) + "\nERROR " + err.Error()
	}
	return resp.StatusCode, resp.Header, string(b)
}

const hi = `"messages":[{"role":"user","content":"How do locks on a canal work?"}]`

func TestStartFaults(t *testing.T) {
	t.Parallel()
	if _, err := fakeprovider.Start(t.Context(), fakeprovider.Config{}); err == nil {
		t.Error("a provider without a model starts")
	}
	s := start(t, fakeprovider.Config{})
	if _, err := fakeprovider.Start(t.Context(), fakeprovider.Config{Model: "m", Address: s.Addr()}); err == nil {
		t.Error("two providers listen at one address")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// A provider ends with its context, whatever is in flight.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s, err := fakeprovider.Start(ctx, fakeprovider.Config{Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	s.SetFault(fakeprovider.Fault{NeverAnswer: true})
	done := make(chan string)
	go func() {
		_, _, answer := post(t, s, `{"model":"m",`+hi+`}`)
		done <- answer
	}()
	for s.Stats().InFlight == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if answer := <-done; !strings.Contains(answer, "EOF") && !strings.Contains(answer, "reset") {
		t.Errorf("the request in flight got %q", answer)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := s.Stats().InFlight; n != 0 {
		t.Errorf("%d requests in flight after Close", n)
	}
}

func TestH2C(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Post("http://"+s.Addr()+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m",`+hi+`}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("status %d over %s: %v", resp.StatusCode, resp.Proto, err)
	}
}

// What arrived is there to look at.
func TestLast(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{Zone: "eu"})
	if s.Last() != nil {
		t.Error("an exchange before the first request")
	}
	const body = `{ "model":"m", ` + hi + `, "x": 1e400}`
	_, header, _ := post(t, s, body, "x-secret", "1")
	if header.Get(fakeprovider.HeaderZone) != "eu" || header.Get(fakeprovider.HeaderModel) != "m" {
		t.Errorf("response headers %v", header)
	}
	last := s.Last()
	if string(last.Body) != body || last.Header.Get("x-secret") != "1" || last.Method != "POST" || last.Path != "/v1/chat/completions" {
		t.Errorf("recorded %+v", last)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	s := start(t, fakeprovider.Config{})
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.Addr() + "/v1/models")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || gjson.GetBytes(b, "data.0.id").String() != "m" {
		t.Errorf("%s: %v", b, err)
	}
}

// go test ./internal/fakeprovider -bench .
func BenchmarkServer(b *testing.B) {
	s, err := fakeprovider.Start(b.Context(), fakeprovider.Config{Model: "m", Tokens: 60})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	body := `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("words ", 340) + `"}]}`
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	for b.Loop() {
		resp, err := client.Post("http://"+s.Addr()+"/v1/chat/completions", "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
