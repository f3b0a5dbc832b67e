package rig

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"wye/internal/fakeprovider"
)

// well answers as the fake provider of the backend's model does, with its
// strictness. The recording provider stands before it as a proxy.
func well(t testing.TB, b Backend) (Answer, *fakeprovider.Server) {
	t.Helper()
	c := fakeprovider.Config{
		Model: b.sendAs(), ServedAs: ServedAs[b.Model], Zone: b.Zone, Reasoning: b.Model == "thinker", Tokens: 20, Anthropic: b.Protocol == "anthropic",
	}
	if b.CredentialEnv != "" {
		c.Key = ThinkerKey
	}
	server, err := fakeprovider.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1, // each chunk at once
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: server.Addr()})
		},
	}
	return func(w http.ResponseWriter, r *Received) {
		again := r.request.Clone(r.request.Context())
		again.URL.Path = strings.TrimPrefix(again.URL.Path, b.PathPrefix)
		again.Body = io.NopCloser(bytes.NewReader(r.Body))
		again.ContentLength = int64(len(r.Body))
		again.TransferEncoding, again.Trailer = nil, nil
		proxy.ServeHTTP(w, again)
	}, server
}
