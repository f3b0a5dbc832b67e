package extproc_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"wye/extproc"
	"wye/router"
	"wye/wire"
)

const question = `{"model": "auto", "n":1.00, "messages":[{"role":"user","content":"hi"}], "temperature":0.2 }`

func TestRouted(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	snapshot := testSnapshot(t, "p1")
	small, large := cluster(snapshot, "s1", false), cluster(snapshot, "l1", false)
	smallBack, largeBack := cluster(snapshot, "s1", true), cluster(snapshot, "l1", true)
	decision := func(deployment, mode, dropped string) map[string]any {
		m := map[string]any{"deployment": deployment, "mode": mode, "decision": "id-1", "policy": "p1"}
		if dropped != "" {
			m["dropped"] = dropped
		}
		return m
	}
	onLarge := strings.NewReplacer(`"auto"`, `"large-v1"`, `, "temperature":0.2`, "").Replace(question)
	onSmall := strings.Replace(question, `"auto"`, `"small-v1"`, 1)

	for name, tc := range map[string]struct {
		body    string
		headers []string
		want    routed
	}{
		"best model first, the other as fallback": {
			body: question,
			want: routed{
				Body: onLarge,
				Metadata: map[string]any{
					"wye":         decision("auto", "quality", "temperature"),
					"wye.removed": map[string]any{"members": `"temperature":0.2`},
					"wye.route":   groups(large, smallBack),
				},
			},
		},
		"mode override": {
			body:    question,
			headers: []string{"x-wye-mode", "cost"},
			want: routed{
				Body:   onSmall,
				Remove: []string{"x-wye-mode"},
				Metadata: map[string]any{
					"wye":       decision("auto", "cost", ""),
					"wye.route": groups(small, largeBack),
				},
			},
		},
		"alias names the deployment": {
			body: strings.Replace(question, `"auto"`, `"model-router"`, 1),
			want: routed{
				Body: onLarge,
				Metadata: map[string]any{
					"wye":         decision("auto", "quality", "temperature"),
					"wye.removed": map[string]any{"members": `"temperature":0.2`},
					"wye.route":   groups(large, smallBack),
				},
			},
		},
		"one candidate": {
			body: strings.Replace(question, `"auto"`, `"single"`, 1),
			want: routed{
				Body: onSmall,
				Metadata: map[string]any{
					"wye":       decision("single", "quality", ""),
					"wye.route": groups(small),
				},
			},
		},
		"internal headers of the client leave with nobody": {
			body:    question,
			headers: []string{"x-wye-model", "forged", "x-wye-anything", "", "x-other", "stays"},
			want: routed{
				Body:   onLarge,
				Remove: []string{"x-wye-model", "x-wye-anything"},
				Metadata: map[string]any{
					"wye":         decision("auto", "quality", "temperature"),
					"wye.removed": map[string]any{"members": `"temperature":0.2`},
					"wye.route":   groups(large, smallBack),
				},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.want.Clear, tc.want.End = true, true
			tc.want.Chunks = []int{len(tc.want.Body)}
			tc.want.Set = map[string]string{"content-length": fmt.Sprint(len(tc.want.Body))}
			got, err := exchange(t, conn, false, chat(len(tc.body), tc.headers...), body(tc.body, true))
			if diff := cmp.Diff(tc.want, readRouted(t, got, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The body may arrive cut at any byte, and end with a chunk or an empty chunk.
func TestBodyChunks(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	want := readRouted(t, got, err)
	for cut := range len(question) + 1 {
		got, err := exchange(t, conn, false, chat(len(question)), body(question[:cut], false), body(question[cut:], true))
		if diff := cmp.Diff(want, readRouted(t, got, err)); diff != "" {
			t.Fatalf("cut at %d: %s", cut, diff)
		}
	}
	single := []*extprocv3.ProcessingRequest{chat(len(question))}
	for i := range question {
		single = append(single, body(question[i:i+1], false))
	}
	got, err = exchange(t, conn, false, append(single, body("", true))...)
	if diff := cmp.Diff(want, readRouted(t, got, err)); diff != "" {
		t.Errorf("byte by byte: %s", diff)
	}
}

// What curl says of a body when it is told nothing is corrected on the way.
func TestContentTypeRelabelled(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	for contentType, want := range map[string]string{
		"application/json":                  "",
		"Application/JSON; charset=utf-8":   "",
		"application/x-www-form-urlencoded": "application/json",
		"text/plain;charset=UTF-8":          "application/json",
	} {
		got, err := exchange(t, conn, false, headers(false, "content-type", contentType), body(question, true))
		if r := readRouted(t, got, err); r.Set["content-type"] != want {
			t.Errorf("%s is relabelled %q, want %q", contentType, r.Set["content-type"], want)
		}
	}
}

// Envoy takes at most 64 KiB of body in one message.
func TestLargeBody(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	const chunk = 62 << 10
	for _, n := range []int{1, chunk - 100, chunk, 3*chunk - 1, 3 * chunk, 3*chunk + 1, maxBody} {
		frame := len(`{"model":"large-v1","messages":[{"role":"user","content":""}]}`)
		want := `{"model":"large-v1","messages":[{"role":"user","content":"` + strings.Repeat("x", max(n-frame-len("auto"), 0)) + `"}]}`
		sent := strings.Replace(want, "large-v1", "auto", 1)
		messages := []*extprocv3.ProcessingRequest{chat(len(sent))}
		for rest := sent; ; {
			n := min(len(rest), 50_000)
			messages = append(messages, body(rest[:n], n == len(rest)))
			if rest = rest[n:]; rest == "" {
				break
			}
		}
		got, err := exchange(t, conn, false, messages...)
		r := readRouted(t, got, err)
		if r.Body != want || !r.End {
			t.Errorf("body of %d bytes: got %d bytes, end %v", len(want), len(r.Body), r.End)
		}
		for i, c := range r.Chunks {
			if c == 0 || c > chunk || i < len(r.Chunks)-1 && c != chunk {
				t.Errorf("body of %d bytes: chunks of %v bytes", len(want), r.Chunks)
			}
		}
	}
}

func TestContentEncoding(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{})
	encoded := map[string]string{"gzip": zip(t, question), "zstd": zstandard(t, question), "br": brotliOf(t, question, 22), "identity": question}
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	want := readRouted(t, got, err)
	for coding, text := range encoded {
		got, err := exchange(t, conn, false, chat(len(text), "content-encoding", coding), body(text[:9], false), body(text[9:], true))
		want := want
		if coding != "identity" {
			want.Remove = []string{"content-encoding"}
		}
		if diff := cmp.Diff(want, readRouted(t, got, err)); diff != "" {
			t.Errorf("%s: %s", coding, diff)
		}
	}
}

func zip(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// brotliOf compresses s with a window of 1<<bits bytes.
func brotliOf(t testing.TB, s string, bits int) string {
	t.Helper()
	var b bytes.Buffer
	w := brotli.NewWriterOptions(&b, brotli.WriterOptions{Quality: 5, LGWin: bits})
	if _, err := w.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The decoder's window counts as memory of the request.
func TestBrotliWindowIsBudgeted(t *testing.T) {
	t.Parallel()
	_, conn := start(t, extproc.Config{MaxBodyBytes: 1 << 16, MaxInflightBytes: 1 << 21})
	for bits, status := range map[int]int{18: 0, 20: 0, 22: 503, 24: 503} {
		text := brotliOf(t, question, bits)
		got, err := exchange(t, conn, false, chat(len(text), "content-encoding", "br"), body(text, true))
		if status == 0 {
			readRouted(t, got, err)
			continue
		}
		if r := readRefusal(t, got, err); r.Status != status || !strings.Contains(r.Body, "overloaded") {
			t.Errorf("window of 2^%d: %d %s", bits, r.Status, r.Body)
		}
	}
}

func zstandard(t testing.TB, s string) string {
	t.Helper()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}()
	return string(e.EncodeAll([]byte(s), nil))
}

// A request is decided under the policy in force when its body is complete: what
// an older one alone has may be gone from Envoy by then.
func TestSwapWhileBodyArrives(t *testing.T) {
	t.Parallel()
	var r router.Router
	r.Swap(testSnapshot(t, "old"))
	// An id is asked for when the headers are read.
	begun := make(chan struct{}, 8)
	_, conn := start(t, extproc.Config{Router: &r, AppendID: func(dst []byte) []byte {
		begun <- struct{}{}
		return append(dst, '1')
	}})
	stream, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send := func(m *extprocv3.ProcessingRequest) {
		t.Helper()
		if err := stream.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	send(chat(len(question)))
	<-begun
	r.Swap(testSnapshot(t, "new"))
	got, err := exchange(t, conn, false, chat(len(question)), body(question, true))
	if policy := policyOf(readRouted(t, got, err).Metadata); policy != "new" {
		t.Errorf("policy %v for a request that began after the swap", policy)
	}
	send(body(question, true))
	m, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if policy := policyOf(m.GetDynamicMetadata().AsMap()); policy != "new" {
		t.Errorf("policy %v for a request whose body arrived after the swap", policy)
	}
}

func policyOf(metadata map[string]any) any {
	fields, _ := metadata["wye"].(map[string]any)
	return fields["policy"]
}

// Observers see every request once, with what is known of it.
func TestObserver(t *testing.T) {
	t.Parallel()
	type seen struct {
		ID, Deployment, Mode, Code string
		Chain, Bytes               int
	}
	events := make(chan seen, 8)
	look := func(e *extproc.Event, code string) {
		s := seen{ID: string(e.ID), Mode: e.Decision.Mode.String(), Code: code, Chain: len(e.Decision.Chain), Bytes: e.BodyBytes}
		if e.Decision.Deployment != nil {
			s.Deployment = e.Decision.Deployment.Name
		}
		if e.Snapshot.Hash != "p1" || e.Elapsed <= 0 {
			t.Errorf("event has snapshot %q and took %v", e.Snapshot.Hash, e.Elapsed)
		}
		events <- s
	}
	_, conn := start(t, extproc.Config{Observer: extproc.Observer{
		Decision: func(e *extproc.Event) { look(e, "") },
		Problem:  func(e *extproc.Event, p *wire.Problem) { look(e, p.Code) },
	}})
	for _, tc := range []struct {
		body string
		want seen
	}{
		{question, seen{ID: "id-1", Deployment: "auto", Mode: "quality", Chain: 2, Bytes: len(question)}},
		{`{"model":"nobody","messages":[{"role":"user","content":"x"}]}`, seen{ID: "id-1", Mode: "default", Code: "model_not_found", Bytes: 61}},
	} {
		if _, err := exchange(t, conn, false, chat(len(tc.body)), body(tc.body, true)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, <-events); diff != "" {
			t.Error(diff)
		}
	}
}
