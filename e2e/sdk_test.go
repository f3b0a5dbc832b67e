package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"wye/e2e/internal/rig"
)

// testPythonSDK tries chat completions with the official SDK.
func testPythonSDK(t *testing.T, s *rig.Stack) { runPython(t, s, "sdk.py") }

// testPythonAPIs tries the other APIs with the official SDKs.
func testPythonAPIs(t *testing.T, s *rig.Stack) { runPython(t, s, "apis.py") }

// runPython runs a script of testdata: each of its cases is a subtest here.
func runPython(t *testing.T, s *rig.Stack, script string) {
	source, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, match := range regexp.MustCompile(`(?m)^@case\ndef (\w+)`).FindAllSubmatch(source, -1) {
		want = append(want, string(match[1]))
	}
	cmd := exec.CommandContext(t.Context(), rig.Python(t), filepath.Join("testdata", script), s.URL+"/v1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	var got []string
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		var line struct{ Case, Failure string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s printed %q: %v", script, lines.Text(), err)
		}
		got = append(got, line.Case)
		t.Run(line.Case, func(t *testing.T) {
			if line.Failure != "" {
				t.Error(line.Failure)
			}
		})
	}
	if !slices.Equal(got, want) {
		t.Errorf("cases %q ran, the script has %q", got, want)
	}
}

// testGoSDK does the essentials with the other official SDK.
func testGoSDK(t *testing.T, s *rig.Stack) {
	client := openai.NewClient(option.WithBaseURL(s.URL+"/v1"), option.WithAPIKey("sk-e2e"), option.WithMaxRetries(0))
	params := func(deployment string) openai.ChatCompletionNewParams {
		return openai.ChatCompletionNewParams{
			Model:    deployment,
			Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Say hello.")},
		}
	}
	t.Run("completion", func(t *testing.T) {
		var raw *http.Response
		answer, err := client.Chat.Completions.New(t.Context(), params("auto"), option.WithResponseInto(&raw))
		if err != nil {
			t.Fatal(err)
		}
		if len(answer.Choices) != 1 || answer.Choices[0].Message.Content == "" || answer.Usage.TotalTokens == 0 {
			t.Errorf("answer %s", answer.RawJSON())
		}
		if raw.Header.Get("x-wye-model") != answer.Model {
			t.Errorf("x-wye-model %q, the answer is by %q", raw.Header.Get("x-wye-model"), answer.Model)
		}
	})
	t.Run("stream", func(t *testing.T) {
		stream := client.Chat.Completions.NewStreaming(t.Context(), params("auto"), option.WithHeader("x-wye-mode", "cost"))
		defer stream.Close()
		accumulated := openai.ChatCompletionAccumulator{}
		for stream.Next() {
			if !accumulated.AddChunk(stream.Current()) {
				t.Fatalf("chunk %s does not fit", stream.Current().RawJSON())
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if len(accumulated.Choices) != 1 || accumulated.Choices[0].Message.Content == "" {
			t.Errorf("accumulated %+v", accumulated.Choices)
		}
	})
	t.Run("models", func(t *testing.T) {
		page, err := client.Models.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(page.Data, func(m openai.Model) bool { return m.ID == "auto" }) {
			t.Errorf("auto is not in %+v", page.Data)
		}
	})
	for name, test := range map[string]struct {
		deployment, prompt, code string
		status                   int
	}{
		"unknown deployment": {"no-such", "hi", "model_not_found", 404},
		"prompt too long":    {"short-context", strings.Repeat("The quick brown fox. ", 4000), "context_length_exceeded", 400},
	} {
		t.Run(name, func(t *testing.T) {
			p := params(test.deployment)
			p.Messages = []openai.ChatCompletionMessageParamUnion{openai.UserMessage(test.prompt)}
			_, err := client.Chat.Completions.New(t.Context(), p)
			var apiErr *openai.Error
			if !errors.As(err, &apiErr) {
				t.Fatalf("error %v, want an openai.Error", err)
			}
			if apiErr.StatusCode != test.status || apiErr.Code != test.code || apiErr.Message == "" || apiErr.Type != "invalid_request_error" {
				t.Errorf("status %d, code %q, type %q, message %q", apiErr.StatusCode, apiErr.Code, apiErr.Type, apiErr.Message)
			}
		})
	}
}
