package envoy

import (
	"regexp"
	"strconv"
	"strings"
)

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
	HeaderBudget     = "x-wye-budget"     // share of the deployment's budget that is spent, and the mode if that is why
	HeaderTrace      = "x-wye-trace"      // request: true; response: the decision as JSON
)

// Response headers of a deployment with limits, as OpenAI spells them, and the
// keys in NamespaceDecision that they are taken from.
const (
	HeaderLimitRequests     = "x-ratelimit-limit-requests"
	HeaderLimitTokens       = "x-ratelimit-limit-tokens"
	HeaderRemainingRequests = "x-ratelimit-remaining-requests"
	HeaderRemainingTokens   = "x-ratelimit-remaining-tokens"
	HeaderResetRequests     = "x-ratelimit-reset-requests" // duration such as 1s or 6m0s
	HeaderResetTokens       = "x-ratelimit-reset-tokens"
)

// HeaderPrefix starts every header that Wye owns. Envoy removes client-sent
// ones before anything reads them, except those in ClientHeaders.
const HeaderPrefix = "x-wye-"

// ClientHeaders are the x-wye-* request headers that clients may send. They
// are removed again before a request leaves for a provider.
var ClientHeaders = []string{HeaderMode, HeaderTrace, HeaderSession}

// HeaderSession is a request header: the client's name for the conversation.
// HeaderAzureSession is the same as clients of Azure's router spell it.
const (
	HeaderSession      = "x-wye-session"
	HeaderAzureSession = "x-ms-session-id"
)

// ReservedHeaders are the other x-wye-* names in use. Only Wye may say them: no
// client, and no provider in its responses.
var ReservedHeaders = []string{
	HeaderModel, HeaderDeployment, HeaderZone, HeaderAttempts, HeaderDecision, HeaderPolicy, HeaderDropped,
	HeaderBudget,
}

// Dynamic metadata that the ext_proc server writes. Clients cannot write
// dynamic metadata, which is why routes match on it and on no header.
const (
	// NamespaceRoute is read by the priority_group cluster specifier: its one
	// key lists the clusters of the attempts. The first group has the name of its
	// model, all others that of their cluster.
	NamespaceRoute = "wye.route"
	// NamespaceAttempts is written by Envoy itself, with what became of the
	// attempts that failed: by cluster, the model and, if there was an answer, its
	// status and the retry-after in seconds that came with it, with spaces between.
	// KeyMade is there when all of them failed.
	NamespaceAttempts = "wye.attempts"
	// NamespaceRemoved has, under KeyRemoved, the members of the request's body
	// that were removed or changed for the first model, as JSON without braces.
	// Fallback clusters forward it to the step that rewrites the body for theirs.
	NamespaceRemoved = "wye.removed"
	// NamespaceDecision has the keys below, all strings.
	NamespaceDecision = "wye"

	KeyPriorityGroups = "priority_groups" // of NamespaceRoute
	KeyRemoved        = "members"         // of NamespaceRemoved
	KeyFirstModel     = "model"           // of NamespaceRoute, on an Envoy that asked for ChainByAttempt
	KeyMade           = "made"            // of NamespaceAttempts: number of attempts at providers

	KeyDeployment = "deployment" // routes match on it
	KeyMode       = "mode"
	KeyDecision   = "decision"
	KeyPolicy     = "policy"
	KeyDropped    = "dropped"
	KeyBudget     = "budget" // only of deployments that have one
	KeyTrace      = "trace"  // only where a client asked for it
)

// NamespaceUsage is the dynamic metadata in which Envoy notes what a response says
// of itself, for the access log. Providers write its value, so it is only read as
// data. The one key is KeyUsage.
const (
	NamespaceUsage = "wye.usage"
	// KeyUsage is the text of the last JSON object that the response had under
	// the name usage and that counts tokens, such as
	// {"prompt_tokens":11,"completion_tokens":22}. If there was one before it that
	// counts input, the last such comes first, with UsageSeparator between.
	// Absent: there was none.
	KeyUsage = "usage"
)

// Cluster metadata, written by the control plane in NamespaceDecision: what a
// response is annotated with, and, for whoever reads a config dump, which backend
// the cluster is and what it is sent.
const (
	KeyModel   = "model"   // version reported in x-wye-model
	KeyZone    = "zone"    // data zone
	KeyBackend = "backend" // backend name
	KeySendAs  = "send_as" // value of the body's model field
)

// EnvoyPrefix starts the request headers by which a client could change how
// Envoy's router retries, times out or names a request. Envoy removes
// client-sent ones.
const EnvoyPrefix = "x-envoy-"

// Initial gRPC metadata of the ext_proc stream that a fallback cluster opens per
// attempt: all that the upstream step needs to rewrite a body. MetadataSendAs is
// always there and tells the step from the first one, which has none of these.
const (
	MetadataSendAs         = "wye-send-as"          // value of the body's model field
	MetadataDrop           = "wye-drop"             // comma-separated request fields to remove; absent: none
	MetadataMaxTokensField = "wye-max-tokens-field" // name of the output cap; absent: either
	// MetadataEffort has values of reasoning_effort to replace, as from=to with
	// commas between; absent: none.
	MetadataEffort = "wye-reasoning-effort"
)

// Further such metadata, of the streams that a translating cluster opens.
const (
	// MetadataTranslate is the API in which the provider is asked, messages or
	// chat_completions: the client speaks the other. It tells such a stream.
	MetadataTranslate = "wye-translate"
	// The model's bounds, in tokens; absent: none is known.
	MetadataMaxOutput     = "wye-max-output-tokens"
	MetadataContextWindow = "wye-context-window"
	// MetadataThinking has the tokens to think for values of reasoning_effort, as
	// effort=tokens with commas between; absent: none.
	MetadataThinking = "wye-thinking"
	// MetadataKnowsEffort is there if efforts pass as they are.
	MetadataKnowsEffort = "wye-knows-effort"
)

// MetadataFirstToken is initial gRPC metadata of the ext_proc stream that a cluster
// opens per response: how long its first token may take, in milliseconds.
const MetadataFirstToken = "wye-first-token"

// MetadataZone is initial gRPC metadata of the ext_proc streams of an Envoy that
// stands in a data zone: the zone. It tells the ext_proc server which backends
// that Envoy has, and protects nothing: what keeps requests in a zone is that
// such an Envoy has no others.
const MetadataZone = "wye-zone"

// MetadataChain is initial gRPC metadata of the ext_proc streams of an Envoy that
// has no priority_group cluster specifier. It says in which form the Envoy takes
// the chain. The one value is ChainByAttempt: NamespaceRoute has, by the number of
// the attempt from 1, the cluster, and at KeyFirstModel the model of the first.
const (
	MetadataChain  = "wye-chain"
	ChainByAttempt = "by-attempt"
)

// MaxChain is how many clusters a chain has at most: eight attempts at
// providers, and the cluster that tells of their failure.
const MaxChain = 9

// AttemptState names the filter state that has the cluster of an attempt, from 1,
// on an Envoy that takes chains by attempt.
func AttemptState(attempt int) string { return "wye.attempt." + strconv.Itoa(attempt) }

// CodeDetails starts ImmediateResponse.details of every error that the ext_proc
// server words itself, so that Envoy's local_reply_config leaves it as it is.
// What follows must have no spaces.
const CodeDetails = "wye"

// KeyBootstrap is true in NamespaceDecision of a node's metadata if the Envoy
// was started with what Bootstrap renders.
const KeyBootstrap = "bootstrap"

// zoneNames are the names that data zones have in a policy.
var zoneNames = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// IsZone reports whether a policy can have a data zone of the name.
func IsZone(name string) bool { return zoneNames.MatchString(name) }

// Static secrets in the bootstrap of an Envoy that speaks TLS to Wye: its own
// certificate, and what it accepts as Wye's. Only that Envoy has the files.
const (
	IdentitySecret = "wye_identity"
	TrustSecret    = "wye_ca"
)

// Names of Envoy resources.
const (
	ListenerName   = "wye"
	RouteName      = "wye"
	ADSCluster     = "wye_ads"     // in the bootstrap
	ExtProcCluster = "wye_extproc" // over CDS
	// ExhaustedCluster is the last of every chain. It answers that all before it
	// failed.
	ExhaustedCluster = "wye_exhausted"
	ClusterPrefix    = "wye/"
	NodeCluster      = "wye"
	ExtProcFilter    = "envoy.filters.http.ext_proc"
	// FirstTokenFilter is the ext_proc filter that watches how a response begins.
	FirstTokenFilter  = "wye.first_token"
	StatPrefix        = "wye"
	fallbackComponent = "fallback/"
	firstComponent    = "first/"

	translatingComponent = "translating/"
)

// ClusterName names the cluster of a backend. hash is a content hash of
// everything the cluster says, so that an edited backend is a new cluster: a
// request that was decided under the old policy never reaches an address that
// expects another model. Each backend has two clusters: the one for first
// attempts, and the one for fallbacks, whose upstream ext_proc rewrites the
// body; and some a third, see TranslatingClusterName.
func ClusterName(backend, hash string, fallback bool) string {
	kind := firstComponent
	if fallback {
		kind = fallbackComponent
	}
	return ClusterPrefix + kind + backend + "/" + hash
}

// TranslatingClusterName names a backend's third cluster, for attempts of clients
// who speak another API than it: first attempts and fallbacks alike, since its
// upstream ext_proc sees to everything.
func TranslatingClusterName(backend, hash string) string {
	return ClusterPrefix + translatingComponent + backend + "/" + hash
}

// IsBackendCluster reports whether name was made by ClusterName or
// TranslatingClusterName.
func IsBackendCluster(name string) bool {
	rest, ok := strings.CutPrefix(name, ClusterPrefix)
	return ok && (strings.HasPrefix(rest, firstComponent) || strings.HasPrefix(rest, fallbackComponent) ||
		strings.HasPrefix(rest, translatingComponent))
}
