package e2e_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/tidwall/gjson"

	"wye/e2e/internal/rig"
)

func itoa(n int) string { return strconv.Itoa(n) }

// trickle hands out its bytes in pieces and pauses between them; it has no
// length, so that HTTP/1.1 sends it chunked.
type trickle struct {
	rest  []byte
	size  int
	pause time.Duration
}

// Read implements io.Reader.
func (r *trickle) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	time.Sleep(r.pause)
	n := copy(p, r.rest[:min(r.size, len(r.rest))])
	r.rest = r.rest[n:]
	return n, nil
}

// Broken, deep, ambiguous and absurd documents get an answer of their own, at
// once, and the next request on the stand works.
func testGarbageJSON(t *testing.T, s *rig.Stack) {
	hi := `"messages":[{"role":"user","content":"hi"}]`
	for name, body := range map[string]string{
		"nul":                  "\x00",
		"byte order mark":      "\ufeff{\"model\":\"auto\"," + hi + "}",
		"single quotes":        `{'model':'auto'}`,
		"comment":              `{"model":"auto",` + hi + `}//x`,
		"trailing comma":       `{"model":"auto",` + hi + `,}`,
		"bare word":            `auto`,
		"nan":                  `{"model":"auto","temperature":NaN,` + hi + `}`,
		"leading zero":         `{"model":"auto","seed":01,` + hi + `}`,
		"lone surrogate key":   `{"\ud800":1,"model":"auto"`,
		"control character":    "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"content\":\"a\nb\"}]}",
		"deep arrays":          `{"model":"auto",` + hi + `,"x":` + strings.Repeat("[", 100000) + strings.Repeat("]", 100000) + `}`,
		"deep and unclosed":    strings.Repeat(`{"a":[`, 50000),
		"many keys unfinished": `{` + strings.Repeat(`"model":"auto",`, 20000),
		"messages of nulls":    `{"model":"auto","messages":[null,null]}`,
		"long model":           `{"model":"` + strings.Repeat("a", 100000) + `",` + hi + `}`,
		"form":                 "model=auto&messages=hi",
		"half a string":        `{"model":"auto","messages":[{"role":"user","content":"`,
		"half an escape":       `{"model":"auto","messages":[{"role":"user","content":"\u12`,
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			got := s.Post(t, []byte(body))
			if got.Status != http.StatusBadRequest && (name != "long model" || got.Status != http.StatusNotFound) {
				t.Errorf("status %d: %.300s", got.Status, got.Body)
			}
			if _, err := got.Error(); err != nil {
				t.Error(err)
			}
			if len(got.Body) > 4096 {
				t.Errorf("an error of %d bytes", len(got.Body))
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
	if got := s.Post(t, rig.Chat("auto", "hi")); got.Status != http.StatusOK {
		t.Errorf("status %d after the garbage", got.Status)
	}
}

// A body far beyond the limit is refused while it is still being sent, and
// costs Wye no memory to speak of, whether it states its length or not.
func testHugeBody(t *testing.T, s *rig.Stack) {
	const size = 100 << 20
	for _, stated := range []bool{true, false} {
		t.Run(fmt.Sprintf("stated length %t", stated), func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
				t.Fatal(err)
			}
			framing := "Transfer-Encoding: chunked"
			if stated {
				framing = "Content-Length: " + itoa(size)
			}
			if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: wye\r\nContent-Type: application/json\r\n%s\r\n\r\n", rig.ChatPath, framing); err != nil {
				t.Fatal(err)
			}
			wrote := make(chan int, 1)
			go func() { wrote <- pour(conn, size, !stated) }()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("no response: %v", err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatalf("response cut after %q: %v", text, err)
			}
			got := rig.Response{Status: resp.StatusCode, Header: resp.Header, Body: text}
			if got.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("status %d: %.300s", got.Status, got.Body)
			}
			if _, err := got.Error(); err != nil {
				t.Error(err)
			}
			_ = conn.Close() // ends the pouring
			t.Logf("refused after %d MiB", <-wrote>>20)
		})
	}
	checkPeak(t, s)
}

// checkPeak fails when hostile bodies, of which there may be several at once,
// made Wye keep more than a few times the 4 MiB that the policy allows each.
func checkPeak(t *testing.T, s *rig.Stack) {
	t.Helper()
	_, peak := s.Wye.RSS(t)
	t.Logf("Wye's memory has peaked at %d MiB so far", peak>>20)
	if peak > 2*maxRSS {
		t.Errorf("Wye's memory peaked at %d MiB, want below %d", peak>>20, 2*maxRSS>>20)
	}
}

// maxRSS is what Wye may use under ordinary load.
const maxRSS = 64 << 20

// pour writes a JSON string that does not end and returns how much of it went.
func pour(conn net.Conn, size int, chunked bool) int {
	piece := bytes.Repeat([]byte("x"), 64<<10)
	head := []byte(`{"model":"auto","messages":[{"role":"user","content":"`)
	copy(piece, head)
	total := 0
	for total < size {
		out := piece
		if chunked {
			out = fmt.Appendf(nil, "%x\r\n%s\r\n", len(piece), piece)
		}
		if _, err := conn.Write(out); err != nil {
			return total
		}
		total += len(piece)
		copy(piece, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")
	}
	return total
}

// A client that takes seconds to send its body is slow, not wrong.
func testSlowBody(t *testing.T, s *rig.Stack) {
	body := rig.Chat("auto", strings.Repeat("slowly ", 40))
	got := s.Do(t, http.MethodPost, rig.ChatPath, &trickle{rest: body, size: len(body)/6 + 1, pause: 500 * time.Millisecond})
	if got.Status != http.StatusOK {
		t.Errorf("status %d: %s", got.Status, got.Body)
	}
}

// Clients that go away in the middle of a body leave nothing behind.
func testClientGone(t *testing.T, s *rig.Stack) {
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		_, err := rig.Do(ctx, s.Client, http.MethodPost, s.URL+rig.ChatPath,
			&trickle{rest: rig.Chat("auto", "never whole"), size: 8, pause: 10 * time.Millisecond})
		cancel()
		if err == nil {
			t.Fatal("the request was answered, it was to be abandoned")
		}
	}
	if got := s.Post(t, rig.Chat("auto", "hi")); got.Status != http.StatusOK {
		t.Errorf("status %d afterwards", got.Status)
	}
}

// Request trailers, which no client of this API has a use for, are refused or
// dropped; either way the connection to the provider stays sound for the
// requests of others. (Envoy 1.40 sends a body that is followed by trailers
// twice when the route may retry it.)
func TestTrailers(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	for name, client := range map[string]*http.Client{"HTTP/1.1": s.Client, "HTTP/2": rig.NewH2Client(t)} {
		t.Run(name, func(t *testing.T) {
			id := rig.ID()
			got, err := postTrailers(t, client, s.URL+rig.ChatPath, id)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != http.StatusOK {
				if _, err := got.Error(); err != nil || got.Status != http.StatusBadRequest {
					t.Errorf("status %d, %v", got.Status, err)
				}
			}
			for _, r := range s.Find(id) {
				if !json.Valid(r.Body) || len(r.Trailer) > 0 {
					t.Errorf("the provider was sent %q and trailers %v", r.Body, r.Trailer)
				}
			}
			// New connections, so that each of Envoy's workers, which keep their
			// own connections to providers, gets some.
			for range 16 {
				got, err := rig.Post(t.Context(), rig.NewClient(t), s.URL, rig.Chat("auto", "hi"))
				if err != nil || got.Status != http.StatusOK {
					t.Fatalf("status %d, %v for a request after it: %.300s", got.Status, err, got.Body)
				}
			}
		})
	}
	s.CheckStrict(t)
}

func postTrailers(t *testing.T, client *http.Client, url, id string) (rig.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rig.Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, &trickle{rest: rig.Chat("auto", "hi"), size: 20})
	if err != nil {
		return rig.Response{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(rig.IDHeader, id)
	req.Trailer = http.Header{"X-Checksum": {"abc"}, "X-Wye-Model": {"forged"}}
	resp, err := client.Do(req)
	if err != nil {
		return rig.Response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return rig.Response{Status: resp.StatusCode, Header: resp.Header, Body: text}, err
}

// Compressed bodies are routed by what they hold; a bomb is not inflated.
func testCompressed(t *testing.T, s *rig.Stack) {
	encoders := map[string]func(io.Writer) (io.WriteCloser, error){
		"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		"br":   func(w io.Writer) (io.WriteCloser, error) { return brotli.NewWriter(w), nil },
		"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	}
	for name, encoder := range encoders {
		compress := func(parts ...[]byte) []byte {
			var b bytes.Buffer
			w, err := encoder(&b)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range parts {
				if _, err := w.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		id := rig.ID()
		got := s.Post(t, compress(rig.Chat("auto", "hello, compressed")), "Content-Encoding", name, rig.IDHeader, id)
		if got.Status != http.StatusOK {
			t.Errorf("%s: status %d: %s", name, got.Status, got.Body)
		}
		for _, r := range s.Find(id) {
			if r.Header.Get("Content-Encoding") != "" || gjson.GetBytes(r.Body, "messages.0.content").String() != "hello, compressed" {
				t.Errorf("%s: the provider was sent encoding %q and %q", name, r.Header.Get("Content-Encoding"), r.Body)
			}
		}
		zeros := make([]byte, 1<<20)
		bomb := [][]byte{[]byte(`{"model":"auto","messages":[{"role":"user","content":"`)}
		for range 256 {
			bomb = append(bomb, zeros)
		}
		got = s.Post(t, compress(bomb...), "Content-Encoding", name)
		if got.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s bomb: status %d: %.300s", name, got.Status, got.Body)
		}
	}
	checkPeak(t, s)
}
