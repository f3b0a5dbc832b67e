package sidecar

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wye/xds"
)

// newAdmin serves GET /healthz, /readyz, /metrics, /policy, /envoys,
// /usage and, where the policy comes from a control plane, /control. It shows nothing of single requests and takes no orders.
func newAdmin(s *Sidecar, registry *prometheus.Registry) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		draining := s.draining
		s.mu.Unlock()
		if draining {
			writeText(w, http.StatusServiceUnavailable, "draining\n")
			return
		}
		if s.Snapshot() == nil {
			writeText(w, http.StatusServiceUnavailable, "no policy yet\n")
			return
		}
		writeText(w, http.StatusOK, "ready\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /policy", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, s.reload.status())
	})
	mux.HandleFunc("GET /envoys", func(w http.ResponseWriter, _ *http.Request) {
		nodes := s.ads.Nodes()
		if nodes == nil {
			nodes = []xds.Node{}
		}
		writeJSON(w, nodes)
	})
	if s.control != nil {
		mux.HandleFunc("GET /control", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, s.control.Status())
		})
	}
	mux.HandleFunc("GET /usage", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, s.Usage())
	})
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
}

// Write errors below mean that the client has gone; there is nobody to tell.

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}
