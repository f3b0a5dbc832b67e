package archtest_test

import (
	"path/filepath"
	"sync"
	"testing"

	"wye/internal/archtest"
)

const module = "wye"

var (
	grpc     = []string{"google.golang.org/grpc", "google.golang.org/protobuf", "github.com/envoyproxy/go-control-plane", "github.com/cncf/xds"}
	embedded = []string{archtest.Everything}
)

// rooms is the import table of docs/architecture.md.
var rooms = []archtest.Room{
	{
		Path:   "router",
		Reason: "the domain knows no protocol, no predictor and no I/O, so that it can be read and tested alone",
	},
	{
		Path:   "predict",
		Reason: "a predictor takes plain text and numbers; whoever embeds it needs nothing else of Wye",
	},
	{
		Path: "predict/train", Own: []string{"predict"},
		Reason: "fitting is numerics over the predictor's own shapes",
	},
	{
		Path: "wire", External: []string{"github.com/tidwall/gjson", "github.com/tidwall/sjson"},
		Reason: "the shape of requests does not depend on policies or on Envoy",
	},
	{
		Path: "translate", External: []string{"github.com/tidwall/gjson"},
		Reason: "what one API's words mean in another's depends on nothing else",
	},
	{
		Path:   "envoy",
		Reason: "the contract with Envoy is names and a process; gRPC and protobuf stay in extproc and xds",
	},
	{
		Path: "policies", Own: []string{"router", "predict", "policies/policyv1"},
		External: []string{
			"buf.build/go/protovalidate", "buf.build/go/protoyaml", "buf.build/gen/go/bufbuild/protovalidate",
			"go.yaml.in/yaml/v3", "google.golang.org/protobuf",
		},
		OwnTests: []string{"internal/protogen"},
		Reason:   "a policy compiles to a router.Snapshot; it must not know how it is served",
	},
	{
		Path:     "policies/policyv1",
		External: []string{"google.golang.org/protobuf", "buf.build/gen/go/bufbuild/protovalidate"},
		Reason:   "generated from the schema",
	},
	{
		Path:   "limits",
		Reason: "counting by name; what is counted is its callers' business",
	},
	{
		Path:   "affinity",
		Reason: "a memory of numbers; what they stand for is its callers' business",
	},
	{
		Path: "extproc", Own: []string{"router", "wire", "translate", "envoy", "affinity", "limits"},
		External: append([]string{"github.com/rs/zerolog", "github.com/klauspost/compress", "github.com/andybalholm/brotli"}, grpc...),
		OwnTests: []string{"policies", "predict", "internal/..."},
		Reason:   "the data half serves whatever snapshot it is handed; it meets the control half only in router and envoy",
	},
	{
		Path: "xds", Own: []string{"router", "policies", "envoy"},
		External: append([]string{"github.com/rs/zerolog", "go.opentelemetry.io/proto/otlp"}, grpc...),
		OwnTests: []string{"internal/..."},
		Reason:   "the control half publishes a snapshot; it meets the data half only in router and envoy",
	},
	{
		Path: "control", Own: []string{"router", "policies", "policies/policyv1", "envoy"},
		External: append([]string{"github.com/rs/zerolog", "google.golang.org/genproto/googleapis/rpc"}, grpc...),
		OwnTests: []string{"internal/..."},
		Reason:   "the fleet's policy is a document; whoever receives it brings it into force",
	},
	{
		Path: "usage", Own: []string{"router", "envoy"},
		External: append([]string{"github.com/rs/zerolog", "github.com/tidwall/gjson", "github.com/DeRuina/timberjack"}, grpc...),
		OwnTests: []string{"policies", "internal/..."},
		Reason:   "accounting reads what was decided and what Envoy reports; nothing else depends on it to serve",
	},
	{
		Path: "cmd/wye", Own: embedded, External: embedded,
		Reason: "flags and wiring",
	},
	{
		Path: "internal/archtest", Reason: "reads source, knows no package",
	},
	{
		Path: "internal/...", Own: embedded, External: embedded,
		Reason: "test support and composition",
	},
	{
		Path: "e2e/...", Own: []string{"envoy", "e2e/...", "internal/..."}, External: embedded,
		Reason: "black box: a test sees what a user sees",
	},
}

// loaded are the module's files, parsed once.
var loaded = sync.OnceValues(func() ([]archtest.File, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	return archtest.Load(root)
})

func load(t *testing.T) []archtest.File {
	t.Helper()
	files, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, fault := range archtest.CheckImports(module, load(t), rooms) {
		t.Error(fault)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for _, fault := range archtest.CheckFiles(module, load(t)) {
		t.Error(fault)
	}
}
