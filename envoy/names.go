package envoy

import "strings"

// Response headers. Envoy sets them on routed responses, from the cluster that
// served; the ext_proc server sets what it knows of them on its own errors.
const (
	HeaderModel      = "x-wye-model"      // version that served, e.g. gpt-5-mini-2025-08-07
	HeaderDeployment = "x-wye-deployment" // deployment that the request named
	HeaderMode       = "x-wye-mode"       // request: override; response: mode that applied
	HeaderZone       = "x-wye-zone"       // zone of the backend that served
	HeaderAttempts   = "x-wye-attempts"   // attempts until this response
	HeaderDecision   = "x-wye-decision"   // id of the decision
	HeaderPolicy     = "x-wye-policy"     // hash of the policy snapshot
	HeaderDropped    = "x-wye-dropped"    // request fields that the model does not take
)

// HeaderPrefix starts every header that Wye owns. Envoy removes client-sent
// ones before anything reads them, except those in ClientHeaders.
const HeaderPrefix = "x-wye-"

// ClientHeaders are the x-wye-* request headers that clients may send. They
// are removed again before a request leaves for a provider.
var ClientHeaders = []string{HeaderMode}

// ReservedHeaders are the x-wye-* names that clients may not send.
var ReservedHeaders = []string{
	HeaderModel, HeaderDeployment, HeaderZone, HeaderAttempts, HeaderDecision, HeaderPolicy, HeaderDropped,
}

// Dynamic metadata that the ext_proc server writes. Clients cannot write
// dynamic metadata, which is why routes match on it and on no header.
const (
	// NamespaceRoute is read by the priority_group cluster specifier: its one
	// key priority_groups lists the clusters of the attempts by group name.
	NamespaceRoute = "wye.route"
	// NamespaceDecision has the keys below, all strings.
	NamespaceDecision = "wye"

	KeyDeployment = "deployment" // routes match on it
	KeyMode       = "mode"
	KeyDecision   = "decision"
	KeyPolicy     = "policy"
	KeyDropped    = "dropped"
)

// Cluster metadata, written by the control plane in NamespaceDecision: what a
// response is annotated with, and all that the upstream ext_proc needs to
// rewrite a body for a fallback.
const (
	KeyModel          = "model"            // version reported in x-wye-model
	KeyZone           = "zone"             // data zone
	KeyBackend        = "backend"          // backend name
	KeySendAs         = "send_as"          // value of the body's model field
	KeyDrop           = "drop"             // comma-separated request fields to remove
	KeyMaxTokensField = "max_tokens_field" // name of the output cap
)

// Names of Envoy resources.
const (
	ListenerName      = "wye"
	RouteName         = "wye"
	ADSCluster        = "wye_ads"     // in the bootstrap
	ExtProcCluster    = "wye_extproc" // over CDS
	ClusterPrefix     = "wye/"
	NodeCluster       = "wye"
	ExtProcFilter     = "envoy.filters.http.ext_proc"
	StatPrefix        = "wye"
	fallbackComponent = "fallback/"
	firstComponent    = "first/"
)

// ClusterName names the cluster of a backend. hash is a content hash of
// everything the cluster says, so that an edited backend is a new cluster: a
// request that was decided under the old policy never reaches an address that
// expects another model. Each backend has two clusters: the one for first
// attempts, and the one for fallbacks, whose upstream ext_proc rewrites the
// body.
func ClusterName(backend, hash string, fallback bool) string {
	kind := firstComponent
	if fallback {
		kind = fallbackComponent
	}
	return ClusterPrefix + kind + backend + "/" + hash
}

// IsBackendCluster reports whether name was made by ClusterName.
func IsBackendCluster(name string) bool {
	rest, ok := strings.CutPrefix(name, ClusterPrefix)
	return ok && (strings.HasPrefix(rest, firstComponent) || strings.HasPrefix(rest, fallbackComponent))
}
