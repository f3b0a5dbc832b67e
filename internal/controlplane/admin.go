package controlplane

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wye/control"
	"wye/internal/telemetry"
	"wye/xds"
)

// Status is what the admin page says of the policy.
type Status struct {
	Hash     string    `json:"hash"`      // of the policy that is handed out
	LoadedAt time.Time `json:"loaded_at"` // since when
	Reloads  int       `json:"reloads"`   // times that something new was handed out
	Failures int       `json:"failures"`  // edits that were not
	// Refused is why the newest edit is not handed out; empty when it is.
	Refused   string    `json:"refused,omitempty"`
	RefusedAt time.Time `json:"refused_at,omitzero"`
}

// Fleet is what /fleet says.
type Fleet struct {
	Policy  Status                `json:"policy"`
	Counts  map[control.State]int `json:"counts"` // of members by state
	Members []control.Member      `json:"members"`
	Now     time.Time             `json:"now"` // by the control plane's clock
}

// Fleet returns how every member stands.
func (p *ControlPlane) Fleet() Fleet {
	f := Fleet{Policy: p.Status(), Members: p.members.Members(), Now: time.Now(), Counts: map[control.State]int{
		control.StateCurrent: 0, control.StateWaiting: 0, control.StateRefused: 0, control.StateGone: 0,
	}}
	for i := range f.Members {
		f.Counts[f.Members[i].State]++
	}
	return f
}

// Status returns how the policy stands.
func (p *ControlPlane) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

func (p *ControlPlane) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Failures++
	p.status.Refused, p.status.RefusedAt = err.Error(), time.Now()
	p.config.Logger.Error().Str("handed_out", p.status.Hash).Str("reason", p.status.Refused).Msg("policy refused")
}

func (p *ControlPlane) accept(releases []control.Release) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.status
	p.status.Refused, p.status.RefusedAt = "", time.Time{}
	p.status.Hash = releases[len(releases)-1].Policy.Hash()
	if was.Hash == p.status.Hash {
		p.config.Logger.Info().Str("policy", p.status.Hash).Msg("policy edited without a change of meaning")
		return
	}
	p.status.Reloads++
	p.status.LoadedAt = time.Now()
	p.config.Logger.Info().Str("policy", p.status.Hash).Msg("policy handed out")
}

// newAdmin serves GET /healthz, /readyz, /metrics, /policy, /fleet and, where
// Envoys are served, /envoys. It takes no orders.
func (p *ControlPlane) newAdmin() *http.Server {
	mux := http.NewServeMux()
	for path, text := range map[string]string{"GET /healthz": "ok\n", "GET /readyz": "ready\n"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write([]byte(text)) // an error means that the client has gone
		})
	}
	registry := telemetry.Fleet(p.config.Version, telemetry.FleetSources{
		Policy:  func() (string, int, int) { s := p.Status(); return s.Hash, s.Reloads, s.Failures },
		Members: p.members.Members, Counters: p.members.Counters,
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /policy", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.Status()) })
	mux.HandleFunc("GET /fleet", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, p.Fleet()) })
	if p.envoys != nil {
		mux.HandleFunc("GET /envoys", func(w http.ResponseWriter, _ *http.Request) {
			nodes := p.envoys.Nodes()
			if nodes == nil {
				nodes = []xds.Node{}
			}
			writeJSON(w, nodes)
		})
	}
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // an error means that the client has gone
}
