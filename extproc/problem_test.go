package extproc_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"

	"wye/extproc"
	"wye/router"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{MaxBodyBytes: 4096})
	whole := func(text string, more ...string) []*extprocv3.ProcessingRequest {
		return []*extprocv3.ProcessingRequest{chat(len(text), more...), body(text, true)}
	}
	prompt := func(deployment, content string) string {
		return `{"model":"` + deployment + `","messages":[{"role":"user","content":"` + content + `"}]}`
	}
	known := func(more ...string) map[string]string {
		h := map[string]string{"content-type": "application/json", "x-wye-decision": "id-1", "x-wye-policy": "p1"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	for name, tc := range map[string]struct {
		messages []*extprocv3.ProcessingRequest
		status   int
		code     string
		param    any
		message  string // part of it
		headers  map[string]string
	}{
		"unknown deployment": {
			whole(prompt("nobody", "x")), 404, "model_not_found", "model", `"nobody" does not exist`, known(),
		},
		"malformed": {
			whole(`{"model":"auto",`), 400, "invalid_json", nil, "", known(),
		},
		"no body": {
			[]*extprocv3.ProcessingRequest{headers(true, ":method", "POST")}, 400, "invalid_json", nil, "", known(),
		},
		"only trailers": {
			[]*extprocv3.ProcessingRequest{chat(0), trailers()}, 400, "trailers_not_supported", nil, "", known(),
		},
		"trailers after a good body": {
			[]*extprocv3.ProcessingRequest{chat(len(question)), body(question, false), trailers()}, 400, "trailers_not_supported", nil, "", known(),
		},
		"content-length over every limit, before any body": {
			[]*extprocv3.ProcessingRequest{chat(maxBody + 1)}, 413, "request_too_large", nil, "1048576 bytes", known(),
		},
		"body over every limit, without content-length": {
			[]*extprocv3.ProcessingRequest{
				headers(false, ":method", "POST"), body(strings.Repeat(" ", maxBody), false), body("x", false),
			}, 413, "request_too_large", nil, "1048576 bytes", known(),
		},
		"body over the deployment's limit": {
			whole(prompt("tight", strings.Repeat("x", 256))), 413, "request_too_large", nil, "256 bytes", known(),
		},
		"body over the default limit": {
			whole(prompt("single", strings.Repeat("x", 4096))), 413, "request_too_large", nil, "4096 bytes", known(),
		},
		"gzip bomb": {
			whole(zip(t, strings.Repeat(" ", 2*maxBody)), "content-encoding", "gzip"), 413, "request_too_large", nil, "", known(),
		},
		"zstd bomb": {
			whole(zstandard(t, strings.Repeat(" ", 2*maxBody)), "content-encoding", "zstd"), 413, "request_too_large", nil, "", known(),
		},
		"not gzip": {
			whole(question, "content-encoding", "gzip"), 400, "invalid_content_encoding", nil, "gzip", known(),
		},
		"not zstd": {
			whole(question, "content-encoding", "zstd"), 400, "invalid_content_encoding", nil, "", known(),
		},
		"truncated gzip": {
			whole(zip(t, question)[:30], "content-encoding", "gzip"), 400, "invalid_content_encoding", nil, "", known(),
		},
		"brotli bomb": {
			whole(brotliOf(t, strings.Repeat(" ", 2*maxBody), 22), "content-encoding", "br"), 413, "request_too_large", nil, "", known(),
		},
		"truncated brotli": {
			whole(brotliOf(t, question, 22)[:30], "content-encoding", "br"), 400, "invalid_content_encoding", nil, "", known(),
		},
		"more than brotli": {
			whole(brotliOf(t, question, 22)+"x", "content-encoding", "br"), 400, "invalid_content_encoding", nil, "", known(),
		},
		"empty brotli": {
			whole("", "content-encoding", "br"), 400, "invalid_content_encoding", nil, "brotli", known(),
		},
		"brotli of a later format": {
			whole("\x11\x16", "content-encoding", "br"), 400, "invalid_content_encoding", nil, "brotli", known(),
		},
		"not brotli": {
			whole(question, "content-encoding", "br"), 400, "invalid_content_encoding", nil, "", known(),
		},
		"unknown coding": {
			whole("x", "content-encoding", "compress"), 415, "unsupported_content_encoding", nil, `"compress"`, known(),
		},
		"layered codings": {
			whole("x", "content-encoding", "gzip, gzip"), 415, "unsupported_content_encoding", nil, "", known(),
		},
		"codings on two lines": {
			whole("x", "content-encoding", "gzip", "content-encoding", "zstd"), 415, "unsupported_content_encoding", nil, "", known(),
		},
		"form": {
			[]*extprocv3.ProcessingRequest{headers(false, "content-type", "multipart/form-data; boundary=x")},
			415, "unsupported_media_type", nil, "application/json", known(),
		},
		"other path": {
			[]*extprocv3.ProcessingRequest{headers(false, ":path", "/v1/chat/completions/x?y")}, 404, "unknown_url", nil, "", known(),
		},
		"other method": {
			[]*extprocv3.ProcessingRequest{headers(false, ":method", "PUT")}, 405, "method_not_allowed", nil, "POST", known("allow", "POST"),
		},
		"invalid mode": {
			whole(question, "x-wye-mode", "cheapest"), 400, "invalid_mode", nil, `"cheapest"`, known(),
		},
		"two modes": {
			whole(question, "x-wye-mode", "cost", "x-wye-mode", "quality"), 400, "invalid_mode", nil, "twice", known(),
		},
		"mode not allowed": {
			whole(prompt("fixed", "x"), "x-wye-mode", "quality"), 400, "mode_not_allowed", nil, "quality",
			known("x-wye-deployment", "fixed", "x-wye-mode", "cost"),
		},
		"no candidate": {
			whole(`{"model":"single","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}`),
			400, "no_candidate", nil, "lacks a capability (tools)",
			known("x-wye-deployment", "single", "x-wye-mode", "quality"),
		},
		"prompt too long": {
			whole(`{"model":"single","max_tokens":8192,"messages":[{"role":"user","content":"` + strings.Repeat("x ", 1000) + `"}]}`),
			400, "context_length_exceeded", "messages", "",
			known("x-wye-deployment", "single", "x-wye-mode", "quality"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := exchange(t, conn, false, tc.messages...)
			r := readRefusal(t, got, err)
			if r.Status != tc.status || r.Details != "wye_"+tc.code {
				t.Errorf("status %d, details %q; want %d, wye_%s", r.Status, r.Details, tc.status, tc.code)
			}
			if diff := cmp.Diff(tc.headers, r.Headers); diff != "" {
				t.Error(diff)
			}
			var reply struct{ Error map[string]any }
			if err := json.Unmarshal([]byte(r.Body), &reply); err != nil {
				t.Fatalf("body %q: %v", r.Body, err)
			}
			message, _ := reply.Error["message"].(string)
			if !strings.Contains(message, tc.message) || message == "" {
				t.Errorf("message %q, want %q in it", message, tc.message)
			}
			delete(reply.Error, "message")
			want := map[string]any{"type": "invalid_request_error", "code": tc.code, "param": tc.param}
			if diff := cmp.Diff(want, reply.Error); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoPolicy(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{Router: new(router.Router)})
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	r := readRefusal(t, got, err)
	if r.Status != 503 || r.Headers["retry-after"] != "1" || !strings.Contains(r.Body, `"code":"policy_not_loaded"`) || !strings.Contains(r.Body, `"type":"server_error"`) {
		t.Errorf("got %+v", r)
	}
}

// The bytes of all requests together are bounded, and given back.
func TestOverload(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{MaxInflightBytes: len(question) + 10})
	hold := func() (holder extprocv3.ExternalProcessor_ProcessClient, cancel context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		holder, err := extprocv3.NewExternalProcessorClient(conn).Process(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Send(chat(len(question))); err != nil {
			t.Fatal(err)
		}
		if err := holder.Send(body(question[:11], false)); err != nil {
			t.Fatal(err)
		}
		return holder, cancel
	}
	refused := func() bool {
		got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
		if err != nil {
			t.Fatal(err)
		}
		if got[0].GetImmediateResponse() == nil {
			return false
		}
		r := readRefusal(t, got, nil)
		if r.Status != 503 || !strings.Contains(r.Body, `"code":"overloaded"`) {
			t.Fatalf("got %+v", r)
		}
		return true
	}
	holder, cancel := hold()
	defer func() { cancel() }() //nolint:gocritic // cancel changes below
	eventually(t, "the holder's bytes have arrived", func() bool {
		if refused() {
			return true
		}
		// It may be the holder whom the request left no room.
		cancel()
		holder, cancel = hold()
		time.Sleep(10 * time.Millisecond)
		return false
	})
	if err := holder.Send(body(question[11:], true)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := holder.Recv(); err != nil {
			break
		}
	}
	eventually(t, "the holder's stream has ended", func() bool { return !refused() })
}

// Decoding counts, too: what is small may become large.
func TestOverloadDecoding(t *testing.T) {
	t.Parallel()
	compressed := zip(t, question+strings.Repeat(" ", 5000))
	_, conn := start(t, extproc.Config{MaxInflightBytes: len(compressed) + 2000})
	got, err := exchange(t, conn, false, chat(len(compressed), "content-encoding", "gzip"), body(compressed, true))
	if r := readRefusal(t, got, err); r.Status != 503 || !strings.Contains(r.Body, `"code":"overloaded"`) {
		t.Errorf("got %+v", r)
	}
}

// eventually waits until done, which is tried again and again, and fails the test
// when that takes too long.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
