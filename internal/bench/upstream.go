package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

// upstream is the one provider behind every variant. It answers at once with a
// completion of ordinary size, and tells everyone but the load generator what it
// was sent.
type upstream struct {
	server *http.Server
	addr   string
	bufs   sync.Pool
}

func startUpstream() (*upstream, error) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start upstream: %w", err)
	}
	u := &upstream{addr: lis.Addr().String()}
	u.bufs.New = func() any { return new(bytes.Buffer) }
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: time.Minute}
	go func() { _ = u.server.Serve(lis) }() // ends with Close
	return u, nil
}

func (u *upstream) close() error { return u.server.Close() }

const completion = `{"id":"chatcmpl-bench","object":"chat.completion","created":1764000000,"model":"bench",` +
	`"choices":[{"index":0,"message":{"role":"assistant","content":"Bearing seven: its log shows twice the wear of its ` +
	`neighbours since the spring inspection, and it carries the joint that moves most in the heat of the afternoon."},` +
	`"finish_reason":"stop"}],"usage":{"prompt_tokens":420,"completion_tokens":38,"total_tokens":458}`

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := u.bufs.Get().(*bytes.Buffer)
	defer u.bufs.Put(buf)
	buf.Reset()
	if _, err := io.Copy(buf, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.UserAgent() == measuredAgent {
		_, _ = io.WriteString(w, completion+"}")
		return
	}
	model := gjson.GetBytes(buf.Bytes(), "model").String()
	_, _ = fmt.Fprintf(w, `%s,"received":{"model":%q,"rest":%q}}`, completion, model, digestWithoutModel(buf.Bytes(), model))
}

// digestWithoutModel is a digest of every byte of the body but the model's
// name.
func digestWithoutModel(body []byte, model string) string {
	rest := bytes.Replace(body, []byte(`"`+model+`"`), nil, 1)
	sum := sha256.Sum256(rest)
	return hex.EncodeToString(sum[:8])
}
