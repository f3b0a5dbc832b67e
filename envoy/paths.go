package envoy

// The paths under which clients call an API, and providers are asked behind
// their prefix.
const (
	PathChatCompletions = "/v1/chat/completions"
	PathMessages        = "/v1/messages"
	PathCountTokens     = "/v1/messages/count_tokens"
	PathResponses       = "/v1/responses"
	PathCompletions     = "/v1/completions"
	PathEmbeddings      = "/v1/embeddings"
)

// Paths has the path of each API by its name in policies.
var Paths = map[string]string{
	"chat_completions": PathChatCompletions,
	"messages":         PathMessages,
	"count_tokens":     PathCountTokens,
	"responses":        PathResponses,
	"completions":      PathCompletions,
	"embeddings":       PathEmbeddings,
}

// Version starts the path of every API.
const Version = "/v1"

// KeyAPI is in NamespaceDecision of the metadata of every deployment's route: the
// name of the API whose clients it is for.
const KeyAPI = "api"

// FilterPath is the name of the upstream filter that gives each attempt its path.
// The metadata of a route has the path of its API in a namespace of that name
// under KeyPath; without one, it is PathChatCompletions.
const (
	FilterPath = "envoy.filters.http.lua"
	KeyPath    = "path"
)
